"""Measures going through a worklist: how soon the next slide is shown, and the lag of the window meanwhile.

    xvfb-run -a python benchmarks/viewer/worklist.py [FOLDER] [--steps N]

Without a folder, five computed slides of 3000 x 4000 pixels are written. Each step is PageDown over the slide (PageUp
from the end on); ``opened`` is until the next slide is the open one, ``sharp`` until it is drawn with its own pixels.
The lag is that of a timer of 20 ms, from the key until half a second after the slide is sharp; no one pans. Times
include software rendering where there is no graphics card, and depend on what else the machine does.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from pendulum import Pendulum
from window import Draws, make_viewer, milliseconds_until, percentiles, show

NUM_SLIDES = 5
SHAPE = (3000, 4000)
REST_SECONDS = 0.5


def worklist(folder: Path, steps: int) -> dict[str, object]:
    """Step through the slides to and fro."""
    from napari_gigaclf.viewer.demo import settle
    from napari_gigaclf.viewer.taking import canvas_is_sharp
    from napari_gigaclf.viewer.widgets.worklist import WorklistWidget

    viewer = make_viewer()
    widget = WorklistWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Worklist")
    widget.source_row.set_path(folder)
    work = widget.controller
    milliseconds_until(lambda: work.worklist is not None)
    draws = Draws(viewer)
    times: dict[str, list[float]] = {"opened": [], "sharp": []}
    lags: list[float] = []
    longest: list[int] = []
    by = 1
    for _ in range(steps):
        row = -1 if work.current is None else work.current
        by = by if 0 <= row + by < len(work.worklist.items) else -by
        pendulum = Pendulum(viewer, 0.0)
        pendulum.begin()
        begin = time.perf_counter()
        press(viewer, "PageDown" if by > 0 else "PageUp")
        times["opened"].append(milliseconds_until(lambda to=row + by: work.open_row == to, begin))
        drawn = draws.count
        viewer.window._qt_viewer.canvas.native.update()  # it may have been drawn for the last time already
        times["sharp"].append(milliseconds_until(lambda n=drawn: draws.count > n and canvas_is_sharp(viewer), begin))
        settle(REST_SECONDS)
        lags += pendulum.end()
        longest.append(round(max(pendulum.end())))
    widget.shut_down()
    viewer.close()
    return {
        "slides": len(work.worklist.items),
        "milliseconds": {name: percentiles(values) for name, values in times.items()},
        "lag_ms": percentiles(lags),
        "longest_pause_of_each_step_ms": longest,
    }


def press(viewer: Any, key: str) -> None:  # noqa: ANN401 - napari has no stubs
    """Press a key over the slide."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.keyClick(viewer.window._qt_viewer.canvas.native, getattr(Qt.Key, f"Key_{key}"))  # no public way to it


def write_slides(folder: Path) -> Path:
    """Write slides of computed tissue."""
    from napari_gigaclf.slides.phantom import PhantomSlide

    for number in range(NUM_SLIDES):
        PhantomSlide(50 + number, SHAPE, 0.5).save(folder / f"slide-{number}.tif")
    return folder


def main() -> None:
    """Measure and print; what the program keeps of slides goes with a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folders = {"XDG_DATA_HOME": f"{own}/data", "XDG_CACHE_HOME": f"{own}/cache"}
        with mock.patch.dict(os.environ, folders):
            slides = Path(own, "slides")
            slides.mkdir()
            folder = arguments.folder or write_slides(slides)
            show("worklist", worklist(folder, arguments.steps))


if __name__ == "__main__":
    main()
