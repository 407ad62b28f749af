"""Measures how long a person waits from opening a slide until the canvas shows it as it will stay.

    xvfb-run -a python benchmarks/viewer/first_pixels.py SLIDE

Each figure is of several fresh processes: with the widget open, without it, and of a small PNG by napari's own reader.
Times include software rendering where there is no graphics card, and depend on what else the machine does; compare
within one run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from window import make_viewer, show

ROUNDS = 5
MIDDLE = 256
"""Side of the square in the middle of the canvas which is compared, in pixels of the screen."""
SAME_PICTURE = 1.0
"""Mean difference (of 255) up to which two draws show the same."""
SETTLE_SECONDS = 0.5


class Pictures:
    """Notes when each draw of the canvas ended and what it showed in the middle."""

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        from vispy import gloo

        self.read_pixels = gloo.read_pixels
        self.viewer = viewer
        self.canvas = viewer.window._qt_viewer.canvas._scene_canvas  # napari has no public event for a draw
        self.canvas.events.draw.connect(self.note, position="last")
        self.drawn: list[tuple[float, np.ndarray]] = []

    def note(self, _event: object) -> None:
        """Read pixels back, which also waits until they are drawn, then look at the clock."""
        if not len(self.viewer.layers):
            return
        width, height = self.canvas.physical_size
        middle = (width // 2 - MIDDLE // 2, height // 2 - MIDDLE // 2, MIDDLE, MIDDLE)
        pixels = self.read_pixels(middle, alpha=False)
        self.drawn.append((time.perf_counter(), pixels.astype(np.int16)))

    def first_like_the_last(self) -> float:
        """Return when the canvas first showed what it shows for good."""
        last = self.drawn[-1][1]
        return next(moment for moment, pixels in self.drawn if np.abs(pixels - last).mean() < SAME_PICTURE)


def first_pixels(path: Path, plugin: str = "napari-gigaclf", *, with_widget: bool = False) -> dict[str, object]:
    """Seconds from asking the standing window to open a file until the canvas shows it as it will stay.

    The first time includes what napari does once for its first layer (units, thumbnail: some imports and a file of
    definitions), which a small PNG opened by napari's own reader in a fresh process shows alone. The widget, where it
    is open, has loaded that in the background.
    """
    from qtpy.QtWidgets import QApplication

    viewer = make_viewer()
    widget = None
    if with_widget:
        from napari_gigaclf.viewer.demo import settle, wait_until
        from napari_gigaclf.viewer.widgets.classify import ClassifyWidget

        widget = ClassifyWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Classify slide")
        settle(2)  # until it has loaded ahead
        wait_until(lambda: not widget.quick.busy, 60)
    pictures = Pictures(viewer)
    seconds = []
    for _ in range(ROUNDS):
        viewer.layers.clear()
        QApplication.processEvents()
        pictures.drawn.clear()
        begin = time.perf_counter()
        (layer, *_) = viewer.open(str(path), plugin=plugin)
        settled = time.perf_counter() + SETTLE_SECONDS
        pictures.canvas.update()
        while time.perf_counter() < settled or not layer.loaded:
            QApplication.processEvents()
        seconds.append(pictures.first_like_the_last() - begin)
        if widget is not None:  # what it plans is not what is measured again
            wait_until(lambda: not widget.quick.busy, 60)
    if widget is not None:
        widget.shut_down()
    viewer.close()
    return {"first_time_seconds": seconds[0], "again_seconds": statistics.median(seconds[1:])}


def first_pixels_in_fresh_processes(path: Path) -> dict[str, object]:
    """Median and best of several fresh processes: with the widget open, without, and a PNG by napari's own reader."""
    from PIL import Image

    found: dict[str, list[dict[str, float]]] = {"slide_with_widget_open": [], "slide": [], "small_png": []}
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / "small.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)).save(png)
        for _ in range(ROUNDS):
            kinds = {
                "slide_with_widget_open": [str(path), "--with-widget"],
                "slide": [str(path)],
                "small_png": [str(png), "--plugin", "napari"],
            }
            for name, how in kinds.items():
                command = [sys.executable, __file__, "--once", *how]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))  # napari may have said something before
    result: dict[str, object] = {}
    for name, rounds in found.items():
        first = [each["first_time_seconds"] for each in rounds]
        again = statistics.median(each["again_seconds"] for each in rounds)
        result[name] = {"first_time_median": statistics.median(first), "first_time_best": min(first), "again": again}
    return result


def main() -> None:
    """Measure in fresh processes, or in this one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--once", action="store_true", help="in this process; the others are for this")
    parser.add_argument("--plugin", default="napari-gigaclf")
    parser.add_argument("--with-widget", action="store_true")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(first_pixels(arguments.slide, arguments.plugin, with_widget=arguments.with_widget)))
    else:
        show("first-pixels", first_pixels_in_fresh_processes(arguments.slide))


if __name__ == "__main__":
    main()
