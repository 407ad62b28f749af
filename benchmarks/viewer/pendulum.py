"""Pans to and fro on a timer and measures by how much each tick comes late: the lag of the event loop."""

import time
from collections.abc import Callable
from typing import Any

PANNING_TICK_MS = 20
PAN_EVERY = 5


class Pendulum:
    """Pans to and fro on a timer and measures by how much each tick comes late; with an extent of 0 it does not pan."""

    def __init__(self, viewer: Any, extent: float) -> None:  # noqa: ANN401 - napari has no stubs
        from qtpy.QtCore import QTimer

        self.viewer = viewer
        self.extent = extent
        self.lags: list[float] = []
        self.count = 0
        self.last = time.perf_counter()
        self.timer = QTimer()
        self.timer.setInterval(PANNING_TICK_MS)
        self.timer.timeout.connect(self.tick)

    def tick(self) -> None:
        """Note the lag; move the camera on every fifth tick."""
        now = time.perf_counter()
        self.lags.append(1000 * (now - self.last) - PANNING_TICK_MS)
        self.last = now
        self.count += 1
        if self.extent and self.count % PAN_EVERY == 0:
            camera = self.viewer.scene.camera
            phase = (self.count // PAN_EVERY) % 40
            step = self.extent / 40 * (1 if phase < 20 else -1)
            camera.center = (camera.center[-2] + step / 2, camera.center[-1] + step)

    def begin(self) -> None:
        """Begin to tick."""
        self.lags.clear()
        self.last = time.perf_counter()
        self.timer.start()

    def end(self) -> list[float]:
        """Stop; return by how many milliseconds each tick came late, the first two left out."""
        self.timer.stop()
        return [max(0.0, lag) for lag in self.lags[2:]]

    def swing(self, seconds: float, until: Callable[[], bool] | None = None) -> dict[str, float]:
        """Pan for a while and return percentiles of the lag in milliseconds."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(int(seconds * 1000), loop.quit)
        if until is not None:
            watch = QTimer()
            watch.setInterval(100)
            watch.timeout.connect(lambda: loop.quit() if until() else None)
            watch.start()
        self.begin()
        loop.exec()
        ranked = sorted(self.end())
        at = {f"p{share}": ranked[min(len(ranked) - 1, int(len(ranked) * share / 100))] for share in (50, 90, 95, 99)}
        return {key: round(value, 1) for key, value in {**at, "max": ranked[-1]}.items()} | {"ticks": len(ranked)}


def magnify(viewer: Any, slide: Any) -> float:  # noqa: ANN401 - napari has no stubs
    """Show the slide four times as large as it fits; return how far the view is to swing, in units of the world."""
    from napari_gigaclf.viewer.viewpoint import Viewpoint

    Viewpoint(viewer).fit(slide)
    viewer.scene.camera.zoom = viewer.scene.camera.zoom * 4
    return float(0.2 * slide.levels[0].width * (slide.um_per_px or (1.0, 1.0))[1])


def at_20x(viewer: Any, phantom: Any) -> float:  # noqa: ANN401 - napari has no stubs
    """Show a phantom's first tumour at 20x; return how far the view is to swing, two screens, in units of the world."""
    from napari_gigaclf.viewer.viewpoint import Viewpoint

    point = Viewpoint(viewer)
    point.set_zoom(phantom, phantom.um_per_px[1] / 0.5)
    tumour = phantom.tumour_polygons()[0].centroid
    point.look_at(phantom, (tumour.y, tumour.x))
    return float(2 * viewer.canvas.size[1] / viewer.scene.camera.zoom)
