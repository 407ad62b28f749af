"""All docks at once, in a program of its own: a worklist goes on under them, and closing the window ends it cleanly."""

import os
import subprocess
import sys

import numpy as np
from PIL import Image

PROGRAM = """
import sys, threading, time
import napari
from napari.settings import get_settings
get_settings(None)
from qtpy.QtWidgets import QApplication
from napari_gigaclf.viewer import commands, worklist_commands

def until(holds):
    end = time.monotonic() + 60
    while not holds():
        QApplication.processEvents()
        time.sleep(0.01)
        assert time.monotonic() < end, "waited in vain"

viewer = napari.Viewer()
viewer.window.resize(1280, 800)
names = ("Worklist", "Classify slide", "Compare", "Navigate", "Hotspots", "Teach", "Curtain")
docks = [viewer.window.add_plugin_dock_widget("napari-gigaclf", name)[1] for name in names]
worklist = docks[0]
worklist.controller.choose(__import__("pathlib").Path(sys.argv[1]))
until(lambda: worklist.table.rowCount() == 2)
commands.toggle_curtain(viewer)
for row in range(2):
    worklist_commands.next_slide(viewer)
    until(lambda: worklist.controller.open_row == row and not worklist.controller.opening)
    print([layer.name for layer in viewer.layers])
viewer.close()
until(lambda: all(dock.is_closed for dock in docks))
end = time.monotonic() + 1
until(lambda: time.monotonic() > end)
print([thread.name for thread in threading.enumerate() if thread.name.startswith("gigaclf")])
"""


def test_a_worklist_goes_on_under_all_docks_and_the_window_closes(pixels, tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    for number in range(2):
        Image.fromarray(np.roll(pixels, 20 * number, axis=1)).save(case / f"{number}.png")
    folders = {name: str(tmp_path / name) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(case)], capture_output=True, text=True, timeout=200,
        env={**os.environ, **folders},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["['0.png']", "['1.png']", "[]"], done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
