"""The dock widget "Teach": click examples of classes, see the map of the slide follow, save what was learnt as a model.

The widget ties panels, controller and canvas together, without logic of its own. It imports no torch: the network is
needed only to read a slide whose features are not there yet, and to save a model.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.errors import RegionError
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.lesson import MAX_CLASSES
from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.jobs import first_look
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.teach import TeachController
from napari_gigaclf.viewer.controllers.teach_view import Shown
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, Wishes
from napari_gigaclf.viewer.model_folders import remember_soon
from napari_gigaclf.viewer.preferences import Preferences
from napari_gigaclf.viewer.result_watch import ResultWatch
from napari_gigaclf.viewer.teach_commands import TEACHERS
from napari_gigaclf.viewer.teach_marks import TeachMarks
from napari_gigaclf.viewer.teach_texts import EXAMPLE_KEY, MAP_HIDDEN, SUGGESTION_KEY, UNDO_KEY, check_text, keys_text
from napari_gigaclf.viewer.teach_tools import TeachTools
from napari_gigaclf.viewer.texts import problem_text
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.by_keyboard import bind_within
from napari_gigaclf.viewer.widgets.classify import classifiers_in
from napari_gigaclf.viewer.widgets.controls import choose, combo_box, line, note, refill, scrolling
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.forget_button import ForgetButton
from napari_gigaclf.viewer.widgets.own_models import OwnModels
from napari_gigaclf.viewer.widgets.teach_choices import TeachChoices
from napari_gigaclf.viewer.widgets.teach_classes import ClassList
from napari_gigaclf.viewer.widgets.teach_examples import ExampleList
from napari_gigaclf.viewer.widgets.teach_list import TeachListPanel
from napari_gigaclf.viewer.worker import Worker
from napari_gigaclf.viewer.worklist_texts import READING_LOST

if TYPE_CHECKING:
    from napari_gigaclf.geometry import Box
    from napari_gigaclf.inference.teaching.checking import Check
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.progress import Progress
    from napari_gigaclf.slides import Slide


class TeachWidget(Docked):
    """Teach a head by clicks on the features of a model.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    lessons, features
        Where lessons and features are kept; None takes the user's own folders.
    """

    def __init__(
        self,
        napari_viewer: Any,  # noqa: ANN401 - no stubs
        parent: QWidget | None = None,
        *,
        lessons: Path | None = None,
        features: Path | None = None,
    ) -> None:
        super().__init__(parent)
        self.canvas = SlideCanvas(napari_viewer)
        self.marks = TeachMarks(self.canvas)
        self.choices = TeachChoices()
        self.classes = ClassList()
        self.examples = ExampleList()
        self.tool_box = QCheckBox("A click gives the chosen class")
        self.class_box = combo_box("Class whose probability is shown over the slide")
        self.check_note, self.hidden_note = note(), note()
        self.save_button = QPushButton("Save as model...")
        self.apply_button = QPushButton("Apply to open slides")
        self.note = note()
        self.saved_note = note()
        self._shown: Shown | None = None
        self._open_slides: set[tuple[str, object]] = set()
        """Id and scale of each open slide."""
        self._post = GuiPost(self)
        self.quick = Worker("gigaclf-teach", self._post)
        self.saver = Worker("gigaclf-lessons", self._post)
        self.long = Worker("gigaclf-teach-read", self._post)
        self.own_models = OwnModels(self, self.choices, self.quick, self.show_note)
        self.teaching = TeachController(
            self, quick=self.quick, saver=self.saver, long=self.long, post=self._post, shelf=Shelf(), folder=lessons,
            kept=KeptFeatures(features),
        )  # fmt: skip
        self.list_panel = TeachListPanel(self.teaching, self._post, lambda: str(self.class_box.currentData() or ""))
        self.tools = TeachTools(napari_viewer, self.teaching, self._keys(), in_front=self.in_front, say=self.show_note)
        self._set_up()
        self._lay_out()
        self._forget = TEACHERS.register(napari_viewer, self)
        self._closed = False
        self._connect()
        self.watch = ResultWatch(napari_viewer, self.results_changed)
        self.quick.submit(lambda _job: first_look(), self._looked, self.show_note)
        self.own_models.list_remembered()
        self.results_changed()
        self.slides_changed()

    # --- TeachView --------------------------------------------------------------------------------------------------

    def show_lessons(self, lessons: Sequence[tuple[str, Path | None]], chosen: Path | None) -> None:
        """List the lessons of the chosen model."""
        self.choices.show_lessons(lessons, chosen)
        self.saved_note.setText("")

    def show_lesson(self, shown: Shown | None) -> None:
        """Show classes and examples anew."""
        self._shown = shown
        self.classes.show_lesson(shown)
        self.examples.show_lesson(shown)
        self.choices.rename_button.setEnabled(shown is not None)
        self.marks.show_examples(self._slides(), shown)

    def show_features(self, text: str, *, ready: bool, readable: bool, reading: bool) -> None:
        """Say whether the slide's features are there."""
        self.choices.show_features(text, ready=ready, readable=readable, reading=reading)

    def show_progress(self, progress: "Progress") -> None:
        """Show how far the reading of a slide is."""
        self.choices.show_progress(progress)

    def show_map(self, slide: "Slide", live: LiveMap) -> None:
        """Show a map over its slide."""
        refill(self.class_box, [(name, name) for name in live.classes])
        self.class_box.blockSignals(True)
        self.class_box.setCurrentIndex(self.class_box.findData(live.class_name))
        self.class_box.blockSignals(False)
        self.marks.show_map(slide, live)

    def refresh_map(self, slide: "Slide") -> None:
        """Redraw a map, whose array has changed; one that a person has taken away is shown again."""
        live = self.teaching.painter.maps.get(slide.id)
        if not self.marks.refresh_map(slide) and live is not None:
            self.show_map(slide, live)

    def hide_map(self, slide_id: str) -> None:
        """Take a map away."""
        self.marks.hide_map(slide_id)

    def show_check(self, check: "Check | None") -> None:
        """Show how the examples agree."""
        teaching, slide = self.teaching, self.teaching.slide
        number = 0 if teaching.lesson is None else len(teaching.lesson.examples)
        left_out = 0 if teaching.lesson is None else number - len(teaching.lesson.used)
        painted, readable = slide is not None and slide.id in teaching.painter.maps, teaching.opened is not None
        said = check_text(check, number, num_left_out=left_out, readable=readable, painted=painted)
        self.check_note.setText(said)
        self._say_if_hidden()

    def show_suggestions(
        self, slide: "Slide | None", places: Sequence[tuple[float, float]], current: tuple[float, float] | None = None
    ) -> None:
        """Show where to click next."""
        if slide is not None:
            self.marks.show_suggestions(slide, places, current)

    def seen_box(self, slide: "Slide") -> "Box | None":
        """Return what is visible of a slide, level-0 pixels."""
        try:
            return self.canvas.view_box(slide)
        except RegionError:
            return None

    def go_to(self, slide_id: str, place: tuple[float, float]) -> bool:
        """Look at a place; False if that slide is not open."""
        layer = self.canvas.layer_of(slide_id)
        if layer is None:
            return False
        slide = layer.metadata["slide"]
        top = Viewpoint(self.canvas.viewer).slide()
        if top is None or top.id != slide_id:
            self.canvas.bring_forward(slide)
        self.marks.go_to(slide, place)
        return True

    def show_model(self, folder: Path) -> None:
        """Say that a model was saved, and list it in Classify, now if that is open."""
        remember_soon(self.saver, folder, self.show_note)  # what it has to do is done before the window has gone
        self.show_note(f"Saved {folder.name} in {folder.parent}; it loads like any other model.")
        for classify in classifiers_in(self.main_window()):
            classify.use_model(folder, select=False)

    def show_note(self, text: str) -> None:
        """Show one line."""
        self.note.setText(problem_text(text))
        self.note.setVisible(bool(text))

    def show_saved(self) -> None:
        """Say that what was taught is on the disk."""
        self.saved_note.setText("saved")

    def lost_with(self, slide_id: str) -> list[str]:
        """Return what would be lost if a slide were closed now: what has been read of it."""
        return [READING_LOST] if self.teaching.reader.reads(slide_id) else []

    # --- Teacher ----------------------------------------------------------------------------------------------------

    def toggle_clicks(self) -> None:
        """Let clicks give the chosen class, or not; in sight, since they do nothing while this is hidden."""
        self.tool_box.toggle()
        self.come_forward()

    def ask_lesson_name(self) -> None:
        """Ask for another name of the lesson."""
        self.choices.ask_lesson_name()

    def apply_to_open(self) -> None:
        """Paint the map of every open slide."""
        self.teaching.apply(self._slides())

    def ask_where_to_save(self) -> None:
        """Ask for a place and write the taught model there; where there is none yet, it is said at once."""
        if self.teaching.lesson is None or not self.teaching.lesson.can_learn:
            self.show_note(texts.TOO_FEW)
            return
        path, _ = QFileDialog.getSaveFileName(self, "Name and place of the taught model")
        if path:
            self.save_to(Path(path))

    # --- what is open -----------------------------------------------------------------------------------------------

    def results_changed(self) -> None:
        """Take the results that are open: their features need not be made again."""
        self.teaching.offer_results({result.slide_id: result.prediction for result in self.watch.results()})

    def slides_changed(self, _event: object = None) -> None:
        """List the open slides anew; the one on top is taught on."""
        slides = self._slides()
        top = Viewpoint(self.canvas.viewer).slide()
        names = [(layer.name, layer.metadata["slide"].id) for layer in self._slide_layers()]
        self.choices.offer_slides(names, "" if top is None else top.id)
        self.teaching.choose_slide(top)
        self.teaching.note_scales(slides)
        before, self._open_slides = self._open_slides, {(slide.id, slide.um_per_px) for slide in slides}
        if before != self._open_slides:  # else a person may have taken the examples away
            self.marks.show_examples(slides, self._shown)

    def save_to(self, folder: Path) -> None:
        """Write the taught model, named as the folder is."""
        self.show_note("saving...")
        self.teaching.save_model(folder)

    def shut_down(self) -> None:
        """Write what is not yet written, give the keys back and let go of the viewer."""
        if self._closed:
            return
        self._closed = True
        self.tools.stop()
        self._let_go()
        self.watch.stop()
        for stop in self._stops:
            stop()
        self.canvas.viewer.layers.events.disconnect(self._layers_event)
        self._forget()
        self._post.close()
        self.list_panel.shut_down()
        self.teaching.close()
        self.marks.remove()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _looked(self, found: "tuple[dict[str, ModelConfig], Preferences]") -> None:
        models, preferences = found
        self.teaching.wishes = Wishes(
            model="", saliency=NO_SALIENCY, device=preferences.device, memory=preferences.memory,
            threads=preferences.threads,
        )  # fmt: skip
        self.choices.offer_models(models)
        made_by = [result.prediction.record.model.name for result in self.watch.results()]
        if made_by:
            choose(self.choices.model_box, made_by[-1])
        self.teaching.choose_model(str(self.choices.model_box.currentData()))

    def _slide_layers(self) -> list[Any]:
        return [layer for layer in self.canvas.slide_layers() if layer.metadata.get("slide") is not None]

    def _slides(self) -> "list[Slide]":
        return [layer.metadata["slide"] for layer in self._slide_layers()]

    def _slide_wanted(self, slide_id: str) -> None:
        layer = self.canvas.layer_of(slide_id)
        if layer is not None:
            self.canvas.bring_forward(layer.metadata["slide"])
            self.slides_changed()

    def _class_shown(self) -> None:
        if self.class_box.count():
            self.teaching.look(str(self.class_box.currentData()), 0.0)

    def _layer_gone(self, layer: Any) -> None:  # noqa: ANN401 - a napari layer
        slide = layer.metadata.get("slide")
        if slide is None:  # what lies over one changes nothing in what is taught
            return
        if self.canvas.layer_of(slide.id) is None:
            self.teaching.slide_gone(slide.id)
            self.marks.remove_from(slide.id)
        self.slides_changed()

    def _layers_event(self, event: Any) -> None:  # noqa: ANN401
        if event.type in ("reordered", "visible", "scale"):
            self.slides_changed()
            self._say_if_hidden()

    def _say_if_hidden(self) -> None:
        slide = self.teaching.slide
        hidden = slide is not None and self.marks.map_waits_for_call(slide.id)
        self.hidden_note.setText(MAP_HIDDEN if hidden else "")
        self.hidden_note.setVisible(hidden)

    def _keys(self) -> dict[str, Callable[[], None]]:
        """Return what the keys do over the slide; they do it in the widget as well."""
        teaching = self.teaching
        actions: dict[str, Callable[[], None]] = {SUGGESTION_KEY: teaching.next_suggestion, UNDO_KEY: teaching.undo}
        for number in range(MAX_CLASSES):
            actions[str(number + 1)] = partial(teaching.choose_class_at, number)
        bind_within(self, {**actions, EXAMPLE_KEY: lambda: self.tools.middle()})
        return actions

    def _set_up(self) -> None:
        self.tool_box.setToolTip("Click the slide to give the place the class chosen above; dragging still pans")
        self.tool_box.setChecked(True)
        self.tools.switch(True)
        self.setToolTip(keys_text())
        self.save_button.setToolTip("A model folder: the model's own trunk with the taught head; loads like any other")
        self.apply_button.setToolTip("Paint the map of every open slide; those not read yet are read first")
        self.forget_button = ForgetButton(self.teaching.forget_features, self.teaching.reader.forget_all)
        self.show_note("")

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Shown class", self.class_box)
        last = QHBoxLayout()
        for button in (self.save_button, self.apply_button, self.forget_button):
            last.addWidget(button)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        for part in (self.choices, line(), self.classes, self.tool_box):
            column.addWidget(part)
        column.addLayout(form)
        column.addWidget(self.check_note)
        column.addWidget(self.hidden_note)
        column.addWidget(self.examples, 1)
        column.addWidget(self.note)
        column.addLayout(last)
        column.addWidget(self.list_panel)
        column.addWidget(self.saved_note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inner))

    def _connect(self) -> None:
        teaching = self.teaching
        self.choices.slide_chosen.connect(self._slide_wanted)
        self.choices.model_chosen.connect(teaching.choose_model)
        self.choices.folder_button.clicked.connect(self.own_models.ask)
        self.choices.lesson_chosen.connect(teaching.choose_lesson)
        self.choices.lesson_renamed.connect(teaching.rename_lesson)
        self.choices.read_wanted.connect(teaching.read)
        self.choices.stop_wanted.connect(teaching.reader.cancel)
        self.classes.chosen.connect(teaching.choose_class)
        self.classes.added.connect(teaching.add_class)
        self.classes.renamed.connect(self._renamed)
        self.classes.removed.connect(teaching.remove_class)
        self.examples.wanted.connect(teaching.go_to)
        self.examples.removed.connect(teaching.remove)
        self.examples.suggestion_wanted.connect(teaching.next_suggestion)
        self.examples.undo_wanted.connect(teaching.undo)
        self.tool_box.toggled.connect(self.tools.switch)
        self.class_box.currentIndexChanged.connect(self._class_shown)
        self.save_button.clicked.connect(self.ask_where_to_save)
        self.apply_button.clicked.connect(self.apply_to_open)
        self._stops = (
            self.canvas.watch(self.slides_changed, self._layer_gone),
            self.canvas.watch_view(self.marks.follow_zoom),
        )
        self.canvas.viewer.layers.events.connect(self._layers_event)
        workers = (self.saver, self.quick, self.long, self.list_panel.worker)
        self.destroyed.connect(lambda: [worker.close() for worker in workers])

    def _renamed(self, number: int, name: str) -> None:
        self.teaching.rename_class(number, name)
        self.classes.show_lesson(self._shown)  # a name that was not taken goes back
