"""The lower part of the widget "Classify slide": ask about any place, and why it got its answer."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import Box
from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.ask_texts import WHY_KEY, unexplained_text, why_text
from napari_gigaclf.viewer.asked_places import AskedPlaces
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.click_tool import ClickTool
from napari_gigaclf.viewer.companions import NAME as SECOND_CANVAS
from napari_gigaclf.viewer.companions import result_shown, say_unseen, wish_for
from napari_gigaclf.viewer.controllers.probe import ProbeController, ProbeRow, Question, whole_slide_wishes
from napari_gigaclf.viewer.controllers.run import RunController
from napari_gigaclf.viewer.controllers.why import Why, WhyController
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.every_canvas import EveryCanvas, ToolOnCanvases
from napari_gigaclf.viewer.overlays import Overlays
from napari_gigaclf.viewer.proxied import key_of
from napari_gigaclf.viewer.slide_notes import notes_of
from napari_gigaclf.viewer.texts import count_text, problem_text
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.controls import line
from napari_gigaclf.viewer.widgets.probe_table import ProbePanel
from napari_gigaclf.viewer.widgets.why_panel import WhyPanel
from napari_gigaclf.viewer.worker import Post, Worker

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

NO_SLIDE = "open a slide first"
BLIND = "the model is not asked before you have recorded your own call (Hotspots, Reader first)"


class AskSection(QWidget):
    """Ties the panels, the tool and the controllers of questions together.

    Parameters
    ----------
    canvas
        Where the layers are.
    runs
        Plans and results; its shelf has the models.
    pictures
        Worker for thumbnails.
    post
        Carries calls to the GUI thread.
    chosen_slide, wishes, shown_class, problem
        Give the slide that is chosen, what is chosen for it, and the class on show; and show a problem.
    in_front
        Whether a person sees this; clicks ask nothing while they do not.
    """

    def __init__(
        self,
        canvas: SlideCanvas,
        runs: RunController,
        *,
        pictures: Worker,
        post: Post,
        chosen_slide: "Callable[[], Slide | None]",
        wishes: "Callable[[Slide], Wishes | None]",
        shown_class: Callable[[], str | None],
        problem: Callable[[str], None],
        in_front: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._canvas, self._runs = canvas, runs
        self._overlays = Overlays(canvas)
        self._chosen_slide, self._wishes = chosen_slide, wishes
        self._shown_class, self._problem = shown_class, problem
        self.probes, self.why = ProbePanel(), WhyPanel()
        self.stored, self.network = Worker("gigaclf-ask", post, gives_way=False), Worker("gigaclf-look", post)
        self.gradients = Worker("gigaclf-why", post)
        self.asks = ProbeController(
            self, stored=self.stored, network=self.network, pictures=pictures, post=post, shelf=runs.shelf
        )
        self.whys = WhyController(self, worker=self.gradients, post=post, shelf=runs.shelf, giving_way=runs.giving_way)
        self._in_front = in_front
        self.tool = ToolOnCanvases(canvas.viewer, self._make_tool)
        self._shown: tuple[Slide, Why] | None = None
        self._blind = False
        self.places = AskedPlaces(notes_of(canvas.viewer), self._ask_returned)
        self._num_unanswered = 0
        self._keys = EveryCanvas(canvas.viewer, lambda each: CanvasKeys(each, self._actions(each)))
        self._lay_out()
        self._connect()

    # --- questions --------------------------------------------------------------------------------------------------

    def ask(self, slide: "Slide", question: Question, shown: "Prediction | None" = None) -> None:
        """Ask about a place: of the result that fits what is chosen where it covers the place, else of the network.

        With another result that is ``shown`` where it was asked, of that alone.
        """
        if self._blind:
            self._problem(BLIND)
            return
        wishes, prediction = self._fitting(slide)
        if shown is not None and (prediction is None or prediction.record is not shown.record):
            prediction, wishes = shown, None
        elif prediction is None and (question.kind == "area" or wishes is None) and slide.id in self._runs.results:
            # The map on show is what a drawn area is measured in: by its model alone, whichever is chosen now.
            prediction, wishes = self._runs.results[slide.id][0], None
        prepared = None if wishes is None else self._prepared(slide, wishes)
        self.asks.ask(slide, wishes, question, prepared=prepared, prediction=prediction)

    def ask_again(self, slide: "Slide") -> None:
        """Ask the result of a slide about the places that returned with the slide."""
        if not self._blind:
            self._num_unanswered = 0
            self.places.ask_again(slide)

    def click(self, world: tuple[float, float], beside: Any = None) -> None:  # noqa: ANN401 - napari has no stubs
        """Ask about the field around a world position (y, x), on napari's canvas or on that of a companion."""
        slide = self._slide_on(beside)
        if slide is not None:
            y, x = self._canvas.to_corner(slide, np.array([world]))[0].tolist()
            at, threshold = (y, x), self.probes.threshold
            self._ask_on(beside, slide, Question(kind="field", place=at, position=at, threshold=threshold))

    def box(self, begin: tuple[float, float], end: tuple[float, float], beside: Any = None) -> None:  # noqa: ANN401
        """Ask about the box between two world positions (y, x), on napari's canvas or on that of a companion."""
        slide = self._slide_on(beside)
        if slide is None:
            return
        corners = self._canvas.to_corner(slide, np.array([begin, end]))
        (y0, x0), (y1, x1) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
        level0 = Box(0, slide.levels[0].height, 0, slide.levels[0].width)
        found = Box(int(y0), int(y1), int(x0), int(x1)).intersection(level0)
        if found.empty:
            self.show_problem("the box lies outside the slide")
            return
        self._ask_box(slide, found, "box", beside)

    def ask_middle(self) -> None:
        """Ask about the field in the middle of the view."""
        slide = self._chosen_slide()
        if slide is None:
            self.show_problem(NO_SLIDE)
            return
        at = Viewpoint(self._canvas.viewer).box(slide).centre
        self.ask(slide, Question(kind="field", place=at, position=at, threshold=self.probes.threshold))

    def ask_view(self) -> None:
        """Ask about all that is in view."""
        slide = self._chosen_slide()
        if slide is None:
            self.show_problem(NO_SLIDE)
            return
        try:
            self._ask_box(slide, self._canvas.view_box(slide), "view")
        except RegionError as error:
            self.show_problem(str(error))

    def ask_shape(self) -> None:
        """Ask about the selected shapes, together."""
        self._ask_area("", self._canvas.selected_area)

    def ask_class(self, class_name: str) -> None:
        """Ask about all drawn shapes of a class, together."""
        count = count_text(self._canvas.drawn_classes(self._chosen_slide()).get(class_name, 0), "annotation")
        label = f"{count} of {class_name}" if class_name else f"{count} without a class"
        self._ask_area(label, lambda slide: self._canvas.class_area(slide, class_name))

    def explain(self, beside: Any = None) -> None:  # noqa: ANN401 - napari has no stubs
        """Show why the chosen answer is as it is, on a companion as well if it was asked for there."""
        row = self.probes.chosen
        slide = self._chosen_slide() if beside is None else Viewpoint(beside).slide()
        if self._blind:
            self._problem(BLIND)
            return
        reason = unexplained_text(row, None if slide is None else slide.id)
        if reason or row is None or slide is None or row.wishes is None:
            self.show_problem(reason)
            return
        self.why.reason_gone()
        if beside is not None:
            wish_for(beside, "why")
        prepared = self._prepared(slide, row.wishes)
        self.whys.explain(slide, row.wishes, row.question.place, self.why.choices, prepared=prepared)

    # --- ProbeView --------------------------------------------------------------------------------------------------

    def add_row(self, slide: "Slide", row: ProbeRow) -> None:
        """Add an answer to the table and outline its place on the slide."""
        if not self.places.answered(slide.id, row.question):
            self._problem("this outline has too many corners to be asked about again when the slide is opened again")
        classes = list(row.answer.mean)
        shown = self._shown_class()
        shown = shown if shown in classes else next(iter(classes), "")
        self.probes.add(row, shown)
        self.why.reason_gone()
        if row in self.probes.fields(slide.id):
            self._overlays.fields(slide, self.probes.fields(slide.id))
        if classes:
            self.why.offer_classes(classes, shown)

    def show_picture(self, number: int, picture: NDArray[np.uint8]) -> None:
        """Show what the place of a row looks like."""
        self.probes.show_picture(number, picture)

    def show_problem(self, text: str) -> None:
        """Show one line that says why there is no answer, here and where the widget shows problems."""
        self.why.show_refusal(problem_text(text))
        self._problem(text)

    def show_unanswered(self, slide: "Slide", question: Question) -> None:
        """Show that the result does not cover a place that returned with the slide."""
        self.places.unanswered(slide.id, question)
        self._num_unanswered += 1
        count = count_text(self._num_unanswered, "place")
        self._problem(f"{count} asked about before: not covered by this result; ask there again if you wish")

    def show_looking(self, num_questions: int, stage: str) -> None:
        """Show that the network looks at places, and what is being done."""
        self.probes.show_looking(num_questions, stage)

    # --- WhyView ----------------------------------------------------------------------------------------------------

    def show_working(self, stage: str) -> None:
        """Show that a gradient is being made."""
        self.why.show_working(stage)

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self.why.show_progress(progress)

    def show_why(self, slide: "Slide", why: Why) -> None:
        """Show a gradient over its slide."""
        self._shown = (slide, why)
        self._overlays.why(slide, why.signed if self.why.signed else why.unsigned)
        self.why.show_why(why_text(why.found))

    def show_no_why(self, text: str) -> None:
        """Say why there is no gradient; what Classify says of the run stays."""
        self.why.show_refusal(problem_text(text))

    def hide_answers(self, hidden: bool) -> None:
        """Hide answers, and give none, until a reader has made a call of their own; or show them again."""
        before, self._blind = self._blind, hidden
        self.setVisible(not hidden)
        if before and not hidden:
            for slide_id in self._runs.results:
                layer = self._canvas.layer_of(slide_id)
                if layer is not None:
                    self.ask_again(layer.metadata["slide"])

    def drop(self, slide_id: str) -> None:
        """Forget what was found on a slide; where one asked stays noted, to be asked again."""
        self.probes.drop(slide_id)
        self.places.let_go(slide_id)
        self.whys.slide_gone(slide_id)
        if self._shown is not None and self._shown[0].id == slide_id:
            self._shown = None
            self.why.show_why("")

    def shut_down(self) -> bool:
        """Let go of the viewer and end the workers; True if they ended in time."""
        self.tool.stop()
        self._keys.stop()
        ended = [worker.close() for worker in (self.stored, self.network, self.gradients)]
        return all(ended)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _fitting(self, slide: "Slide") -> "tuple[Wishes | None, Prediction | None]":
        """Return what is chosen, wherever a run is to look, and the result that it made."""
        try:
            chosen = self._wishes(slide)
        except RegionError:
            chosen = self._runs.wishes
        wishes = None if chosen is None else whole_slide_wishes(chosen)
        return wishes, None if wishes is None else self._runs.fitting_result(slide, wishes)

    def _ask_returned(self, slide: "Slide", question: Question) -> None:
        """Ask the result on show; the network is never set to work because a slide was opened."""
        wishes, prediction = self._fitting(slide)
        if prediction is None:  # another model is chosen now
            prediction, wishes = self._runs.results[slide.id][0], None
        self.asks.ask(slide, wishes, question, prediction=prediction, stored_only=True)

    def _ask_box(self, slide: "Slide", box: Box, label: str, beside: Any = None) -> None:  # noqa: ANN401
        centre, threshold = ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2), self.probes.threshold
        question = Question(kind="area", place=box, position=centre, threshold=threshold, label=label)
        self._ask_on(beside, slide, question)

    def _beside(self, viewer: Any) -> Any:  # noqa: ANN401 - napari has no stubs
        """Return a companion as it is; None for the viewer itself."""
        return None if key_of(viewer) == key_of(self._canvas.viewer) else viewer

    def _actions(self, viewer: Any) -> dict[str, Callable[[], None]]:  # noqa: ANN401
        return {WHY_KEY: partial(self.explain, self._beside(viewer))}

    def _make_tool(self, viewer: Any) -> ClickTool:  # noqa: ANN401 - napari has no stubs
        beside = self._beside(viewer)
        idle = None if beside is None else partial(say_unseen, beside, "Classify slide")
        clicked, boxed = partial(self.click, beside=beside), partial(self.box, beside=beside)
        return ClickTool(viewer, clicked, boxed, acts=self._in_front, idle=idle)

    def _slide_on(self, beside: Any) -> "Slide | None":  # noqa: ANN401 - a companion of the viewer
        """Return the slide that one sees on top here, or on a companion."""
        if beside is None:  # what is chosen may lie under another slide
            return Viewpoint(self._canvas.viewer).slide() or self._chosen_slide()
        slide = Viewpoint(beside).slide()
        if slide is None:
            self.show_problem(f"the {SECOND_CANVAS} shows no slide")
        return slide

    def _ask_on(self, beside: Any, slide: "Slide", question: Question) -> None:  # noqa: ANN401
        """Ask; on a companion of the result that it shows, and with the outlines of what was asked shown there, too."""
        if beside is None:
            self.ask(slide, question)
            return
        wish_for(beside, "fields")
        shown = result_shown(beside, slide.id)
        self.ask(slide, dataclasses.replace(question, asked_on=SECOND_CANVAS), shown)

    def _ask_area(self, label: str, area_of: "Callable[[Slide], BaseGeometry]") -> None:
        slide = self._chosen_slide()
        if slide is None:
            self.show_problem(NO_SLIDE)
            return
        try:
            area = area_of(slide)
        except RegionError as error:
            self.show_problem(str(error))
            return
        position, threshold = (area.centroid.y, area.centroid.x), self.probes.threshold
        self.ask(slide, Question(kind="area", place=area, position=position, threshold=threshold, label=label))

    def _prepared(self, slide: "Slide", wishes: Wishes) -> Any:  # noqa: ANN401 - a PreparedRun or None
        """Return the plan of the run if it was made for the same slide, model, scale, tissue and device."""
        planned = self._runs.wishes
        if planned is None or self._runs.prepared is None or self._runs.slide is not slide:
            return None  # a slide that was just chosen is planned a moment later
        same = whole_slide_wishes(planned).question_key == wishes.question_key
        return self._runs.prepared if same else None

    def _look(self) -> None:
        """Show the gradient that is there with or without its sign."""
        if self._shown is not None:
            self.show_why(*self._shown)

    def _choose(self) -> None:
        """List the classes of the answer that is chosen."""
        self.why.reason_gone()
        row = self.probes.chosen
        if row is not None and row.answer.mean:
            self.why.offer_classes(list(row.answer.mean), self._shown_class() or "")

    def _go_to(self, row: ProbeRow) -> None:
        self._overlays.go_to(row.slide_id, row.position)

    def _clear(self) -> None:
        slides = {row.slide_id for row in self.probes.rows}
        if self._shown is not None:
            slides.add(self._shown[0].id)
        self.probes.drop()
        self._shown = None
        self.why.show_why("")
        for slide_id in slides:
            self.places.clear(slide_id)
            for kind in ("fields", "why"):
                self._canvas.remove(slide_id, kind)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.probes, 1)
        layout.addWidget(line())
        layout.addWidget(self.why)

    def _connect(self) -> None:
        self.probes.drawn_classes = lambda: self._canvas.drawn_classes(self._chosen_slide())
        self.probes.tool_toggled.connect(self.tool.switch)
        self.probes.measure_wanted.connect(self.ask_shape)
        self.probes.view_wanted.connect(self.ask_view)
        self.probes.class_wanted.connect(self.ask_class)
        self.probes.stop_wanted.connect(self.asks.cancel)
        self.probes.row_activated.connect(self._go_to)
        self.probes.row_chosen.connect(self._choose)
        self.probes.clear_button.clicked.connect(self._clear)
        self.why.why_wanted.connect(self.explain)
        self.why.cancel_wanted.connect(self.whys.cancel)
        self.why.look_changed.connect(self._look)
