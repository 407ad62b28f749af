"""Measures what a person waits for in napari: start-up, first pixels, and stutter while classifying and panning.

    xvfb-run -a python benchmarks/viewer.py start-up
    xvfb-run -a python benchmarks/viewer.py first-pixels SLIDE
    xvfb-run -a python benchmarks/viewer.py lag SLIDE [--model NAME]
    xvfb-run -a python benchmarks/viewer.py browse [SLIDE]

Each prints one JSON object. Times include software rendering where there is no graphics card, and depend on what else
the machine does; compare within one run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PANNING_TICK_MS = 20
PAN_EVERY = 5
ROUNDS = 5
START_UP_ROUNDS = 5
LAG_ROUNDS = 2
MIDDLE = 256
"""Side of the square in the middle of the canvas which is compared, in pixels of the screen."""
SAME_PICTURE = 1.0
"""Mean difference (of 255) up to which two draws show the same."""
SETTLE_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
LOOK_EVERY_MS = 5
KEY_SECONDS = 0.15
"""A person's pause between two keys."""
BROWSE_ROUNDS = 8
MODEL = "lymph-node-metastasis"

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


def make_viewer() -> object:
    """Return a napari window of the size of the design's measurements, with settings in memory."""
    import napari
    from napari.settings import get_settings
    from qtpy.QtWidgets import QApplication

    get_settings(None)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1600, 1000)
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end:  # until the window stands and has painted itself
        QApplication.processEvents()
    return viewer


class Draws:
    """Notes when each draw of the canvas ended and what it showed in the middle."""

    def __init__(self, viewer: object) -> None:
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
    draws = Draws(viewer)
    seconds = []
    for _ in range(ROUNDS):
        viewer.layers.clear()
        QApplication.processEvents()
        draws.drawn.clear()
        begin = time.perf_counter()
        (layer, *_) = viewer.open(str(path), plugin=plugin)
        settled = time.perf_counter() + SETTLE_SECONDS
        draws.canvas.update()
        while time.perf_counter() < settled or not layer.loaded:
            QApplication.processEvents()
        seconds.append(draws.first_like_the_last() - begin)
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
                command = [sys.executable, __file__, "first-pixels-once", *how]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout))
    result: dict[str, object] = {}
    for name, rounds in found.items():
        first = [each["first_time_seconds"] for each in rounds]
        again = statistics.median(each["again_seconds"] for each in rounds)
        result[name] = {"first_time_median": statistics.median(first), "first_time_best": min(first), "again": again}
    return result


class Pendulum:
    """Pans to and fro on a timer and measures by how much each tick comes late."""

    def __init__(self, viewer: object, extent: float) -> None:
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
        if self.count % PAN_EVERY == 0:
            camera = self.viewer.scene.camera
            phase = (self.count // PAN_EVERY) % 40
            step = self.extent / 40 * (1 if phase < 20 else -1)
            camera.center = (camera.center[-2] + step / 2, camera.center[-1] + step)

    def swing(self, seconds: float, until: object = None) -> dict[str, float]:
        """Pan for a while and return percentiles of the lag in milliseconds."""
        from qtpy.QtCore import QEventLoop, QTimer

        self.lags.clear()
        self.last = time.perf_counter()
        loop = QEventLoop()
        QTimer.singleShot(int(seconds * 1000), loop.quit)
        if until is not None:
            watch = QTimer()
            watch.setInterval(100)
            watch.timeout.connect(lambda: loop.quit() if until() else None)
            watch.start()
        self.timer.start()
        loop.exec()
        self.timer.stop()
        ranked = sorted(max(0.0, lag) for lag in self.lags[2:])
        at = {f"p{share}": ranked[min(len(ranked) - 1, int(len(ranked) * share / 100))] for share in (50, 90, 95, 99)}
        return {key: round(value, 1) for key, value in {**at, "max": ranked[-1]}.items()} | {"ticks": len(ranked)}


def lag(path: Path, model: str, level: int, seconds: float) -> dict[str, object]:
    """Lag of the event loop while panning: idle, while the widget classifies, and idle again under the map.

    While it classifies, runs that give way to the moving view and runs that do not take turns.
    """
    from napari_gigaclf.viewer.controllers.giving_way import GivingWay
    from napari_gigaclf.viewer.controllers.run_view import State
    from napari_gigaclf.viewer.demo import settle, wait_until
    from napari_gigaclf.viewer.viewpoint import Viewpoint
    from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
    from napari_gigaclf.viewer.widgets.controls import choose

    viewer = make_viewer()
    (layer, *_) = viewer.open(str(path), plugin="napari-gigaclf")
    slide = layer.metadata["slide"]
    widget = ClassifyWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Classify slide")
    wait_until(lambda: bool(widget.choices.models), 60)
    assert choose(widget.choices.model_box, model), f"no model {model}"
    choose(widget.choices.saliency_box, "none")
    choose(widget.choices.level_box, level)
    settle(1)
    wait_until(lambda: widget.runs.state in (State.READY, State.REFUSED), 120)
    assert widget.runs.state is State.READY, widget.run_panel.estimate_note.text()
    settle(2)
    Viewpoint(viewer).fit(slide)
    viewer.scene.camera.zoom = viewer.scene.camera.zoom * 4
    extent = 0.2 * slide.levels[0].width * (slide.um_per_px or (1.0, 1.0))[1]
    pendulum = Pendulum(viewer, extent)
    pendulum.swing(2)  # warm up: fill the caches of tiles
    idle = pendulum.swing(seconds)
    widget.run_panel.run_button.click()
    began = wait_until(lambda: widget.canvas.overlay(slide.id, "probability") is not None, 60)
    busy: dict[str, list[dict[str, float]]] = {"giving_way": [], "not_giving_way": []}
    follows, deaf = widget.runs.giving_way, GivingWay()
    for _ in range(LAG_ROUNDS):
        for name, giving_way in (("giving_way", follows), ("not_giving_way", deaf)):
            widget.runs.giving_way = giving_way
            done = widget.run_panel.bar.value()
            found = pendulum.swing(seconds, until=lambda: not widget.runs.running)
            tiles_per_second = (widget.run_panel.bar.value() - done) / seconds
            busy[name].append({**found, "tiles_per_second": tiles_per_second})
    still_running = widget.runs.running
    widget.runs.giving_way = follows
    begin = time.perf_counter()
    cancelled = None
    if still_running:
        widget.run_panel.cancel_button.click()
        wait_until(lambda: not widget.runs.running, 10)
        cancelled = time.perf_counter() - begin
    settle(1)
    with_map = pendulum.swing(seconds)
    widget.shut_down()
    viewer.close()
    return {
        "idle_lag_ms": idle,
        "classifying_lag_ms": busy,
        "idle_with_the_map_shown_lag_ms": with_map,
        "map_began": began,
        "ran_all_the_time": still_running,
        "cancel_seconds": cancelled,
    }


class Slicing:
    """Times how long napari's slicing waits for the levels it was given."""

    def __init__(self) -> None:
        from napari_gigaclf.viewer.progressive.feed import Feed

        self.milliseconds: list[float] = []
        show = Feed.show

        def timed(feed: Feed, index: int, box: object) -> np.ndarray:
            begin = time.perf_counter()
            shown = show(feed, index, box)
            self.milliseconds.append(1000 * (time.perf_counter() - begin))
            return shown

        Feed.show = timed


class Browser:
    """Moves over a slide with the mouse and the keys, and waits each time until the canvas is sharp."""

    def __init__(self, viewer: object, slide: object) -> None:
        from napari_gigaclf.viewer.demo import settle, wait_until
        from napari_gigaclf.viewer.viewpoint import Viewpoint
        from napari_gigaclf.viewer.widgets.navigate import NavigateWidget

        self.viewer = viewer
        self.slide = slide
        self.widget = NavigateWidget(viewer)
        viewer.window.add_dock_widget(self.widget, name="Navigate")
        self.point = Viewpoint(viewer)
        self.canvas = viewer.window._qt_viewer.canvas  # napari has no public event for a draw
        self.canvas._scene_canvas.events.draw.connect(self.drawn, position="last")
        self.draws = 0
        self.milliseconds: dict[str, list[float]] = {}
        wait_until(lambda: not self.widget.map.picture_rect().isEmpty(), 60)
        settle(2)

    def drawn(self, _event: object) -> None:
        """Count the draws."""
        self.draws += 1

    def timed(self, kind: str, act: object) -> None:
        """Do something and note how long it took until what one sees is sharp and drawn."""
        from qtpy.QtCore import QEventLoop, QTimer
        from qtpy.QtWidgets import QApplication

        from napari_gigaclf.viewer.taking import canvas_is_sharp

        loop, watch = QEventLoop(), QTimer()
        before = self.draws
        begin = time.perf_counter()

        def look() -> None:
            sharp = self.draws > before and canvas_is_sharp(self.viewer)
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
    from napari_gigaclf.viewer.reader import open_layers
    from napari_gigaclf.viewer.sample import large_phantom

    viewer = make_viewer()
    if path is None:
        ((levels, kwargs, _),) = large_phantom()
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


def percentiles(values: list[float]) -> dict[str, float]:
    """Return median, 95th percentile, the largest, and their number; a slide of one level is never sliced."""
    if not values:
        return {"n": 0}
    found = {"p50": np.percentile(values, 50), "p95": np.percentile(values, 95), "max": max(values)}
    return {name: round(float(value), 1) for name, value in found.items()} | {"n": len(values)}


def main() -> None:
    """Run one measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start-up")
    for name in ("first-pixels", "first-pixels-once", "lag"):
        command = commands.add_parser(name)
        command.add_argument("slide", type=Path)
        if name == "first-pixels-once":
            command.add_argument("--plugin", default="napari-gigaclf")
            command.add_argument("--with-widget", action="store_true")
        if name == "lag":
            command.add_argument("--model", default=MODEL)
            command.add_argument("--level", type=int, default=0, help="finer levels run longer")
            command.add_argument("--seconds", type=float, default=8.0)
    command = commands.add_parser("browse")
    command.add_argument("slide", type=Path, nargs="?")
    command.add_argument("--rounds", type=int, default=BROWSE_ROUNDS)
    arguments = parser.parse_args()
    if arguments.command == "start-up":
        result = start_up()
    elif arguments.command == "first-pixels":
        result = first_pixels_in_fresh_processes(arguments.slide)
    elif arguments.command == "first-pixels-once":
        result = first_pixels(arguments.slide, arguments.plugin, with_widget=arguments.with_widget)
    elif arguments.command == "browse":
        result = browse(arguments.slide, arguments.rounds)
    else:
        result = lag(arguments.slide, arguments.model, arguments.level, arguments.seconds)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    print(json.dumps({"measurement": arguments.command, **result, "load": load}, indent=1))


if __name__ == "__main__":
    main()
