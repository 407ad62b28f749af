"""Measures the time until the canvas is sharp after objectives, clicks on the overview, arrow keys and Home.

    xvfb-run -a python benchmarks/viewer/browse.py [SLIDE] [--rounds N]

Without a slide, the computed phantom of 100 000 x 100 000 pixels. Times include software rendering where there is
no graphics card, and depend on what else the machine does; compare within one run.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from window import Draws, make_viewer, percentiles, show

PATIENCE_SECONDS = 10.0
LOOK_EVERY_MS = 5
KEY_SECONDS = 0.15
"""A person's pause between two keys."""
BROWSE_ROUNDS = 8


class Slicing:
    """Times how long napari's slicing waits for the levels it was given."""

    def __init__(self) -> None:
        from napari_gigaclf.viewer.progressive.feed import Feed

        self.milliseconds: list[float] = []
        show = Feed.show

        def timed(feed: Feed, *what: Any) -> np.ndarray:  # noqa: ANN401 - level, box, canvas
            begin = time.perf_counter()
            shown = show(feed, *what)
            self.milliseconds.append(1000 * (time.perf_counter() - begin))
            return shown

        Feed.show = timed


class Browser:
    """Moves over a slide with the mouse and the keys, and waits each time until the canvas is sharp."""

    def __init__(self, viewer: Any, slide: Any) -> None:  # noqa: ANN401 - napari has no stubs
        from napari_gigaclf.viewer.demo import settle, wait_until
        from napari_gigaclf.viewer.viewpoint import Viewpoint
        from napari_gigaclf.viewer.widgets.navigate import NavigateWidget

        self.viewer = viewer
        self.slide = slide
        self.widget = NavigateWidget(viewer)
        viewer.window.add_dock_widget(self.widget, name="Navigate")
        self.point = Viewpoint(viewer)
        self.canvas = viewer.window._qt_viewer.canvas  # napari has no public event for a draw
        self.draws = Draws(viewer)
        self.milliseconds: dict[str, list[float]] = {}
        wait_until(lambda: not self.widget.map.picture_rect().isEmpty(), 60)
        settle(2)

    def timed(self, kind: str, act: Callable[[], object]) -> None:
        """Do something and note how long it took until what one sees is sharp and drawn."""
        from qtpy.QtCore import QEventLoop, QTimer
        from qtpy.QtWidgets import QApplication

        from napari_gigaclf.viewer.taking import canvas_is_sharp

        loop, watch = QEventLoop(), QTimer()
        before = self.draws.count
        begin = time.perf_counter()

        def look() -> None:
            sharp = self.draws.count > before and canvas_is_sharp(self.viewer)
            if sharp or time.perf_counter() - begin > PATIENCE_SECONDS:
                loop.quit()

        watch.timeout.connect(look)
        watch.start(LOOK_EVERY_MS)
        act()
        loop.exec()  # not a busy loop: that would take Python from the threads which fetch
        QApplication.processEvents()
        self.canvas._scene_canvas.context.finish()
        self.milliseconds.setdefault(kind, []).append(1000 * (time.perf_counter() - begin))

    def key(self, which: str) -> None:
        """Press a key over the canvas."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClick(self.canvas.native, getattr(Qt.Key, f"Key_{which}"))

    def click_overview(self, share: tuple[float, float]) -> None:
        """Click a place of the overview."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        whole = self.widget.map.picture_rect()
        at = QPoint(round(whole.x() + share[1] * whole.width()), round(whole.y() + share[0] * whole.height()))
        QTest.mouseClick(self.widget.map, Qt.MouseButton.LeftButton, pos=at)


def browse(path: Path | None, rounds: int) -> dict[str, object]:
    """Time to sharp after arrow keys at 40x and 20x, clicks on the overview and Fit; and how long slicing waited.

    Places are where the phantom has tumour; on a file, a grid over its middle.
    """
    from napari_gigaclf.viewer.demo import settle
    from napari_gigaclf.viewer.reader import off_the_gui_thread, open_layers
    from napari_gigaclf.viewer.sample import large_layers

    viewer = make_viewer()
    if path is None:
        ((levels, kwargs, _),) = off_the_gui_thread(large_layers)
    else:
        from napari_gigaclf.slides import open_slide

        ((levels, kwargs, _), *_) = open_layers(open_slide(path))
    slide = kwargs["metadata"]["slide"]
    viewer.add_image(levels, **kwargs)
    slicing = Slicing()
    browser = Browser(viewer, slide)
    size = np.array([slide.levels[0].height, slide.levels[0].width])
    truth = getattr(slide, "tumour_polygons", list)()
    places = [np.array([each.centroid.y, each.centroid.x]) / size for each in truth]
    places = places or [np.array([y, x]) for y in (0.3, 0.5, 0.7) for x in (0.3, 0.5, 0.7)]
    browser.key("Home")
    settle(3)
    slicing.milliseconds.clear()
    for number in range(rounds):
        place = tuple(places[number % len(places)])
        for objective, times in ((40.0, 6), (20.0, 4)):
            button = browser.widget.objectives[objective]
            if not button.isEnabled():  # nothing is known of its magnification: 20x is pixel for pixel
                browser.point.set_zoom(slide, objective / 20)
            browser.timed(
                f"overview, at {objective:g}x", lambda b=button, p=place: (b.click(), browser.click_overview(p))
            )
            for step in range(times):
                which = ("Right", "Right", "Down", "Right", "Left", "Up")[step]
                settle(KEY_SECONDS)
                browser.timed(f"arrow at {objective:g}x", lambda w=which: browser.key(w))
        settle(KEY_SECONDS)
        browser.timed("fit", lambda: browser.key("Home"))
    everything = [each for times in browser.milliseconds.values() for each in times]
    browser.widget.shut_down()
    viewer.close()
    return {
        "time_to_sharp_ms": {kind: percentiles(times) for kind, times in browser.milliseconds.items()},
        "all_time_to_sharp_ms": percentiles(everything),
        "slicing_ms": percentiles(slicing.milliseconds),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=BROWSE_ROUNDS)
    arguments = parser.parse_args()
    show("browse", browse(arguments.slide, arguments.rounds))


if __name__ == "__main__":
    main()
