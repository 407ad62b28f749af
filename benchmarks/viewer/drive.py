"""Drives what a reader does over a gigapixel slide with a stored result: the longest gap of the event loop per step.

    xvfb-run -a python benchmarks/viewer/drive.py [--only STEP ...] [--stacks]

The slide is the phantom of 100 000 x 100 000 pixels, the result made up (smooth noise and random features over half of
it), saved, and opened through napari. Each group of steps can be left out. Milliseconds: ``done``
until the step has done what it is for, ``longest`` the longest gap of a timer of 10 ms until half a second after that,
``longest_cpu`` how much the window's thread itself worked within one gap, which other programs lengthen less. Compiled
shaders are kept in MESA_SHADER_CACHE_DIR, if it is set; the first run on a machine compiles them. Without a file of
its own the phantom has no worklist: see ``worklist.py``.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gaps import Gaps
from hotspots import MODEL, made_up_result
from window import add, make_viewer, milliseconds_until, show

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

GROUPS = ("objectives", "ruler", "snapshot", "ask", "why", "teach", "compare", "hotspots", "return")
CELLS_APART = 4.0
NUM_DRAWN = 60


def save_result(slide: "Slide", path: Path) -> Path:
    """Write a made-up result with whole features, as a run leaves it."""
    from napari_gigaclf.inference.features import FeatureStore
    from napari_gigaclf.inference.teaching.base import describe_base

    prediction = made_up_result(slide, CELLS_APART)
    kept = np.isfinite(prediction.probability_map[1])
    num_features = describe_base(MODEL).num_features
    rng = np.random.default_rng(0)
    features = np.maximum(rng.standard_normal((int(kept.sum()), num_features), dtype=np.float32), 0)
    features[:, 0] += 4 * prediction.probability_map[1][kept]
    store = FeatureStore(kept=kept, features=features, scores=prediction.probability_map[1][kept])
    return dataclasses.replace(prediction, store=store).save(path, whole_features=True)


class Drive:
    """A window with a slide, its result and the widgets that a step needs."""

    def __init__(self, folder: Path, *, stacks: bool) -> None:
        from napari_gigaclf.slides.phantom import PhantomSlide

        self.folder = folder
        self.slide = PhantomSlide(seed=1, shape=(100_000, 100_000))
        self.result = save_result(self.slide, folder / "slide.gigaclf")
        self.viewer = make_viewer()
        self.gaps = Gaps(stacks=stacks)
        self.widgets: dict[str, Any] = {}

    # --- what everything begins with --------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the slide, let it return later, open its result."""
        from napari_gigaclf.viewer.reader import set_aside_in
        from napari_gigaclf.viewer.returning.host import let_slides_return

        self.gaps.during("open the slide", self.add_slide, self.sharp)
        import pandas  # noqa: F401 - as the reader does once a slide from a file is drawn

        let_slides_return(self.viewer)
        set_aside_in(self.viewer)
        self.gaps.during(
            "open its result", lambda: self.viewer.open(str(self.result), plugin="napari-gigaclf"), self.sharp
        )

    def add_slide(self) -> None:
        """Add the slide as napari's readers do: made on another thread."""
        from napari_gigaclf.viewer.reader import off_the_gui_thread, open_layers

        add(self.viewer, off_the_gui_thread(lambda: open_layers(self.slide)))

    def sharp(self) -> bool:
        """Return whether the canvas is drawn with the slide's own pixels."""
        from napari_gigaclf.viewer.taking import canvas_is_sharp

        return canvas_is_sharp(self.viewer)

    def dock(self, step: str, make: Callable[[], Any], until: Callable[[Any], object]) -> Any:  # noqa: ANN401
        """Open a widget, once, and wait until it is ready."""
        if step not in self.widgets:

            def opened() -> None:
                self.widgets[step] = make()
                self.viewer.window.add_dock_widget(self.widgets[step], name=step)

            self.gaps.during(f"open {step}", opened, lambda: until(self.widgets[step]))
        self.widgets[step].come_forward()
        return self.widgets[step]

    def navigate(self) -> Any:  # noqa: ANN401 - a widget
        """Return the widget Navigate."""
        from napari_gigaclf.viewer.widgets.navigate import NavigateWidget

        return self.dock("Navigate", lambda: NavigateWidget(self.viewer), lambda each: each.controller.slide)

    def classify(self) -> Any:  # noqa: ANN401 - a widget
        """Return the widget Classify slide, the result taken over."""
        from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
        from napari_gigaclf.viewer.widgets.controls import choose

        def ready(widget: Any) -> bool:  # noqa: ANN401
            return bool(widget.choices.models) and self.slide.id in widget.runs.results

        widget = self.dock("Classify slide", lambda: ClassifyWidget(self.viewer), ready)
        if widget.choices.region_box.currentText() != "whole slide":
            choose(widget.choices.model_box, MODEL)
            choose(widget.choices.saliency_box, "none")
            self.gaps.during(
                "plan a run over the whole slide",
                lambda: choose(widget.choices.region_box, "whole slide"),
                lambda: widget.runs.prepared is not None and not widget.quick.busy,
            )
        return widget

    def middle(self) -> tuple[float, float]:
        """Return the slide's middle, (y, x)."""
        return self.slide.levels[0].height / 2, self.slide.levels[0].width / 2

    def canvas(self) -> Any:  # noqa: ANN401 - a widget of Qt's
        """Return what the mouse is pressed on; napari has no public way to it."""
        return self.viewer.window._qt_viewer.canvas.native

    def press(self, key: str) -> None:
        """Press a key over the slide."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.canvas().setFocus()
        QTest.keyClick(self.canvas(), getattr(Qt.Key, f"Key_{key}"))

    def click(self, x: float, y: float) -> None:
        """Click a place of the canvas, shares of its width and height."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        at = QPoint(round(x * self.canvas().width()), round(y * self.canvas().height()))
        QTest.mouseClick(self.canvas(), Qt.MouseButton.LeftButton, pos=at)

    def look(self, zoom_out: float = 1.0) -> None:
        """Look at the middle of the slide at 20x, or further out."""
        from napari_gigaclf.viewer.viewpoint import Viewpoint

        point = Viewpoint(self.viewer)
        point.set_zoom(self.slide, 1.0 / zoom_out)
        point.look_at(self.slide, self.middle())

    # --- groups of steps --------------------------------------------------------------------------------------------

    def objectives(self) -> None:
        """Jump from 1.25x to 40x and back, by the buttons."""
        widget = self.navigate()
        for _ in range(2):
            for each in (1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 1.25, 40.0, 5.0):
                if widget.objectives[each].isEnabled():
                    self.gaps.during(f"objective {each:g}x", widget.objectives[each].click, self.sharp)
        self.gaps.during("fit", widget.buttons["fit"].click, self.sharp)

    def ruler(self) -> None:
        """Measure a length with the mouse, twice."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        widget = self.navigate()
        widget.buttons["ruler"].click()
        canvas, left = self.canvas(), Qt.MouseButton.LeftButton

        def drag() -> None:
            QTest.mousePress(canvas, left, pos=QPoint(100, 100))
            for number in range(1, 21):
                QTest.mouseMove(canvas, QPoint(100 + 20 * number, 100 + 10 * number))
                QTest.qWait(15)
            QTest.mouseRelease(canvas, left, pos=QPoint(500, 300))

        for _ in range(2):
            self.gaps.during("ruler", drag)
        widget.buttons["ruler"].click()

    def snapshot(self) -> None:
        """Save the view at 20x and of the whole slide, as PNG and as SVG."""
        from napari_gigaclf.viewer.widgets.snapshot_dialog import save_when_sharp

        for zoom_out in (1.0, 64.0):
            for suffix in ("png", "svg"):
                path = self.folder / f"{zoom_out}.{suffix}"
                self.look(zoom_out)
                milliseconds_until(self.sharp)
                self.gaps.during(f"snapshot {suffix}", lambda to=path: save_when_sharp(self.viewer, to), path.exists)

    def ask(self) -> None:
        """Ask about a click, the view and all annotations of a class; all from the stored result."""
        widget = self.classify()
        asking = widget.asking
        milliseconds_until(lambda: self.slide.id in widget.runs.results)
        self.look()
        milliseconds_until(self.sharp)

        def answered(step: str, act: Callable[[], object]) -> None:
            before = len(widget.probes.rows)
            self.gaps.during(step, act, lambda: len(widget.probes.rows) > before)

        widget.probes.tool_box.setChecked(True)
        answered("ask a click", lambda: self.click(0.4, 0.4))
        widget.probes.tool_box.setChecked(False)
        answered("ask the view at 20x", asking.ask_view)
        self.look(64)
        answered("ask the view: the whole slide", asking.ask_view)
        self.gaps.during("draw annotations", self.draw)
        answered("ask all annotations of a class", lambda: asking.ask_class("tumour"))
        self.look()

    def draw(self) -> None:
        """Add a layer of many large annotations of one class, 400 corners each."""
        angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        rng = np.random.default_rng(3)
        outlines = []
        for _ in range(NUM_DRAWN):
            radius = 1500 * (1 + 0.1 * np.sin(7 * angles + rng.uniform(0, 6)))
            centre = rng.uniform(30_000, 70_000, 2)
            outlines.append(centre + radius[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1))
        self.viewer.add_shapes(
            outlines, shape_type="polygon", features={"class": ["tumour"] * NUM_DRAWN}, name="mine",
            scale=self.slide.um_per_px, units=("um", "um"),
        )  # fmt: skip

    def why(self) -> None:
        """Explain a click."""
        widget = self.classify()
        self.look()
        before = len(widget.probes.rows)
        widget.asking.ask_middle()
        milliseconds_until(lambda: len(widget.probes.rows) > before)
        widget.probes.table.selectRow(widget.probes.table.rowCount() - 1)
        why = widget.asking.why
        self.gaps.during("why here", widget.asking.explain, lambda: why.why_note.text() and not why.bar.isVisible())
        print(why.why_note.text())

    def teach(self) -> None:
        """Give examples with key and mouse, undo, go through suggestions, save, open again."""
        from napari_gigaclf.viewer.widgets.controls import choose
        from napari_gigaclf.viewer.widgets.teach import TeachWidget

        folders = {"lessons": self.folder / "lessons", "features": self.folder / "features"}

        def ready(widget: Any) -> bool:  # noqa: ANN401
            return widget.teaching.lesson is not None and widget.teaching.opened is not None

        widget = self.dock("Teach", lambda: TeachWidget(self.viewer, **folders), ready)
        teaching = widget.teaching
        assert teaching.base.name == MODEL or choose(widget.choices.model_box, MODEL)
        self.viewer.layers.selection.active = self.viewer.layers[0]  # keys are those of shapes while they are selected
        self.look(8)
        milliseconds_until(self.sharp)

        def judged() -> bool:
            return teaching.painter.check is not None and not widget.quick.busy

        for key, column in (("1", 0.25), ("2", 0.65), ("1", 0.3), ("2", 0.7)):
            self.press(key)
            for row in range(3):
                at = (column, 0.2 + 0.2 * row)
                self.gaps.during("teach: an example", lambda at=at: self.click(*at), judged)
        for _ in range(2):
            self.gaps.during("teach: undo", lambda: self.press("Z"), judged)
        for _ in range(4):
            self.gaps.during("teach: suggestion", lambda: self.press("S"), self.sharp)
        model = self.folder / "taught"
        self.gaps.during("teach: save as a model", lambda: widget.save_to(model), lambda: "Saved" in widget.note.text())
        lesson = len(teaching.lesson.examples)
        self.viewer.window.remove_dock_widget(self.widgets.pop("Teach"))
        widget = self.dock("Teach", lambda: TeachWidget(self.viewer, **folders), ready)
        milliseconds_until(lambda: widget.teaching.painter.check is not None)
        assert len(widget.teaching.lesson.examples) == lesson > 0
        self.viewer.window.remove_dock_widget(self.widgets.pop("Teach"))

    def compare(self) -> None:
        """Open the second canvas, lay the map over it, close it."""
        from napari_gigaclf.viewer.taking import canvas_is_sharp
        from napari_gigaclf.viewer.widgets.compare import CompareWidget

        self.look()
        milliseconds_until(self.sharp)
        widget = self.dock(
            "Compare",
            lambda: CompareWidget(self.viewer),
            lambda each: each.second.layers and canvas_is_sharp(each.second),
        )
        for choice in widget.controller.overlays():
            self.gaps.during(
                f"compare: lay {choice.name.split()[-1]} over it",
                lambda key=choice.key: widget.controller.show_overlay(key, True),
                lambda: canvas_is_sharp(widget.second),
            )
        self.gaps.during("close Compare", lambda: self.viewer.window.remove_dock_widget(self.widgets.pop("Compare")))

    def hotspots(self) -> None:
        """Open the list, go through it, drag the threshold."""
        from qtpy.QtTest import QTest

        from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget

        reviews = self.folder / "reviews"
        widget = self.dock(
            "Hotspots",
            lambda: HotspotsWidget(self.viewer, reviews=reviews),
            lambda each: each.list.table.rowCount() and each.findings.lesions,
        )
        for _ in range(3):
            self.gaps.during("hotspots: next", lambda: self.press("N"), self.sharp)
            self.gaps.during("hotspots: accept", lambda: self.press("A"))

        def drag() -> None:
            for value in range(90, 29, -1):
                widget.choices.slider.setValue(value)
                QTest.qWait(30)

        self.gaps.during("hotspots: drag the threshold", drag, lambda: not widget.quick.busy)

    # --- returning --------------------------------------------------------------------------------------------------

    def returning(self) -> dict[str, object]:
        """Close the slide and open it again; return what was there before and what is there then."""
        from napari_gigaclf.viewer.returning.host import let_slides_return

        host = let_slides_return(self.viewer)
        self.look(4)
        self.viewer.add_points(
            np.array([self.middle()]), border_color="red", face_color="yellow", name="points",
            scale=self.slide.um_per_px, units=("um", "um"),
        )  # fmt: skip
        milliseconds_until(self.sharp)
        before = self.described()
        from napari_gigaclf.viewer.canvas import SlideCanvas

        self.gaps.during("close the slide", lambda: SlideCanvas(self.viewer).close_slide(self.slide.id))
        milliseconds_until(lambda: not host.worker.busy and not host.keeper.busy)

        def back() -> bool:
            entry = host.controller._open.get(self.slide.id)
            return entry is not None and entry.ready and not host.worker.busy and not host.keeper.busy

        from napari_gigaclf.slides.phantom import PhantomSlide

        self.slide = PhantomSlide(seed=1, shape=(100_000, 100_000))
        self.gaps.during("open the slide again", self.add_slide, back)
        return {"before": before, "after": self.described()}

    def described(self) -> dict[str, object]:
        """Return what the window shows, in words."""
        camera = self.viewer.scene.camera
        layers = {
            str(
                layer.name
            ): f"{type(layer).__name__}, {'' if layer.visible else 'not '}shown, opacity {layer.opacity:g}"
            for layer in self.viewer.layers
        }
        points = [each for each in self.viewer.layers if type(each).__name__ == "Points" and each.name == "points"]
        return {
            "layers": layers,
            "camera": [round(float(value), 3) for value in (*camera.center[-2:], camera.zoom)],
            "border of points": [np.round(each.border_color, 2).tolist() for each in points],
        }

    def close(self) -> None:
        """Shut down what was opened."""
        for widget in self.widgets.values():
            widget.shut_down()
        self.viewer.close()


def main() -> None:
    """Drive and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=GROUPS)
    parser.add_argument("--stacks", action="store_true", help="say where the window's thread is when it is held")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drive = Drive(Path(folder), stacks=arguments.stacks)
        drive.open()
        returned: dict[str, object] = {}
        for group in arguments.only:
            if group == "return":
                returned = drive.returning()
            else:
                getattr(drive, group)()
        drive.close()
        show("drive", {"milliseconds": drive.gaps.found, "returned": returned})


if __name__ == "__main__":
    main()
