"""What the measurements in a real window share: the window, percentiles, and how a result is printed."""

import atexit
import json
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WIDTH, HEIGHT = 1600, 1000
PATIENCE_SECONDS = 300.0
LOOK_EVERY_MS = 2

_OWN_FOLDER = tempfile.TemporaryDirectory()
"""What a slide keeps lies in here: nothing returns from earlier, and nothing is left for later."""
atexit.register(_OWN_FOLDER.cleanup)
for _name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
    os.environ[_name] = os.path.join(_OWN_FOLDER.name, _name)


def make_viewer() -> Any:  # noqa: ANN401 - napari has no stubs
    """Return a napari window of the size of the design's measurements, with settings in memory."""
    import napari
    from napari.settings import get_settings
    from qtpy.QtWidgets import QApplication

    get_settings(None)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(WIDTH, HEIGHT)
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end:  # until the window stands and has painted itself
        QApplication.processEvents()
    return viewer


def add(viewer: Any, layers: list[Any]) -> Any:  # noqa: ANN401
    """Add a slide's layers to a viewer; return the slide."""
    for data, kwargs, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    return layers[0][1]["metadata"]["slide"]


class Draws:
    """Counts how often the canvas has been drawn."""

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self.count = 0
        canvas = viewer.window._qt_viewer.canvas  # napari has no public event for a draw
        canvas._scene_canvas.events.draw.connect(self._drawn, position="last")

    def _drawn(self, _event: object) -> None:
        self.count += 1


def milliseconds_until(condition: Callable[[], object], begin: float | None = None) -> float:
    """Let the window work until something is so; return milliseconds since ``begin``, or since now.

    Raises
    ------
    TimeoutError
        It was not so for minutes.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    begin = time.perf_counter() if begin is None else begin
    end = time.perf_counter() + PATIENCE_SECONDS
    loop, watch = QEventLoop(), QTimer()
    watch.timeout.connect(lambda: loop.quit() if condition() or time.perf_counter() > end else None)
    watch.start(LOOK_EVERY_MS)
    if not condition():
        loop.exec()  # not a busy loop: that would take Python from the workers
    watch.stop()
    if time.perf_counter() > end:
        raise TimeoutError("waited in vain")
    return 1000 * (time.perf_counter() - begin)


def percentiles(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile, the largest, and their number; a slide of one level is never sliced."""
    if not values:
        return {"n": 0}
    found = {"p50": np.percentile(values, 50), "p95": np.percentile(values, 95), "max": max(values)}
    return {name: round(float(value), 1) for name, value in found.items()} | {"n": len(values)}


def show(measurement: str, result: dict[str, object]) -> None:
    """Print a result with the load of the machine as one JSON object."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    print(json.dumps({"measurement": measurement, **result, "load": load, "cpus": os.cpu_count()}, indent=1))
