"""Measures what the plugin adds to napari's start-up, and how long its widget takes to open.

    xvfb-run -a python benchmarks/viewer/start_up.py

Times include software rendering where there is no graphics card, and depend on what else the machine does; compare
within one run.
"""

import statistics
import subprocess
import sys

from window import show

START_UP_ROUNDS = 5

WINDOW_SCRIPT = """
import sys, time
begin = time.perf_counter()
import napari
from napari.settings import get_settings
settings = get_settings(None)
if {disabled}:
    settings.plugins.disabled_plugins = {{"napari-gigaclf"}}
viewer = napari.Viewer(show=True)
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
stands = time.perf_counter() - begin
import numpy
viewer.add_image(numpy.zeros((64, 64)))
QApplication.processEvents()
begin = time.perf_counter()
if not {disabled}:
    viewer.window.add_plugin_dock_widget("napari-gigaclf", "Classify slide")
else:
    from qtpy.QtWidgets import QWidget
    viewer.window.add_dock_widget(QWidget(), name="empty")
QApplication.processEvents()
print(stands, time.perf_counter() - begin, "torch" in sys.modules)
viewer.close()
"""


def start_up() -> dict[str, object]:
    """Seconds until napari's window stands, and to open the widget, with the plugin and without it (an empty dock)."""
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    torch_loaded = False
    for _ in range(START_UP_ROUNDS):
        for disabled in (True, False):
            script = WINDOW_SCRIPT.format(disabled=disabled)
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            window, widget, torch = done.stdout.split()[-3:]
            times[disabled].append((float(window), float(widget)))
            torch_loaded |= torch == "True"
    without = [statistics.median(column) for column in zip(*times[True], strict=True)]
    with_plugin = [statistics.median(column) for column in zip(*times[False], strict=True)]
    return {
        "window_seconds": {"without": without[0], "with_plugin": with_plugin[0]},
        "start_up_added_seconds": with_plugin[0] - without[0],
        "dock_seconds": {"empty_widget": without[1], "classify_widget": with_plugin[1]},
        "widget_added_seconds": with_plugin[1] - without[1],
        "torch_imported": torch_loaded,
    }


if __name__ == "__main__":
    show("start-up", start_up())
