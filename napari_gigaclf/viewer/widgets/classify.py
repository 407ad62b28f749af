"""The dock widget "Classify slide": choose, run, look, click, measure, export.

The widget ties panels (controls), controllers (decisions) and canvas (layers) together, without logic of its own. It
imports no torch: models are listed from their JSON in the background, and the network is loaded there too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QMainWindow, QVBoxLayout, QWidget

from napari_gigaclf.errors import GigaclfError, RegionError
from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.brush import Brush
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.jobs import (
    Export,
    export_all,
    file_stem,
    find_devices,
    first_look,
)
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.run import RunController
from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.slide_book import SlideBook
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.layers import DEFAULT_THRESHOLD, painted_tissue
from napari_gigaclf.viewer.overlays import Overlays
from napari_gigaclf.viewer.preferences import Preferences
from napari_gigaclf.viewer.run_commands import CLASSIFIERS
from napari_gigaclf.viewer.set_aside import set_aside
from napari_gigaclf.viewer.texts import estimate_text, problem_text
from napari_gigaclf.viewer.warm_up import build_units, import_readers, take_units
from napari_gigaclf.viewer.widgets.asking import AskSection
from napari_gigaclf.viewer.widgets.choices import NEW_SLIDE_MS, ChoicesPanel
from napari_gigaclf.viewer.widgets.controls import choose, line, scrolling
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.own_models import OwnModels
from napari_gigaclf.viewer.widgets.run_panel import RunPanel
from napari_gigaclf.viewer.widgets.wishing import wishes_of
from napari_gigaclf.viewer.worker import Worker
from napari_gigaclf.viewer.worklist_texts import RUN_LOST

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, PreparedRun
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData

WARM_UP_AFTER_MS = 300
"""So long the widget is left to draw itself first."""


class ClassifyWidget(Docked):
    """Classify a slide by streaming, with what was found shown while it runs.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        self.preferences = Preferences()
        self.canvas = SlideCanvas(napari_viewer)
        self.overlays = Overlays(self.canvas)
        self.choices = ChoicesPanel()
        self.run_panel = RunPanel()
        self._post = GuiPost(self)
        self.quick = Worker("gigaclf-quick", self._post)
        self.long = Worker("gigaclf-run", self._post)
        self.own_models = OwnModels(self, self.choices, self.quick, self.show_problem)
        self.runs = RunController(self, quick=self.quick, long=self.long, post=self._post, shelf=Shelf())
        self.asking = AskSection(
            self.canvas,
            self.runs,
            pictures=self.quick,
            post=self._post,
            chosen_slide=self.chosen_slide,
            wishes=self.wishes,
            shown_class=self._class_to_look_for,
            problem=self.show_problem,
            in_front=self.in_front,
        )
        self.probes, self.asks, self.tool = self.asking.probes, self.asking.asks, self.asking.tool
        self.book = SlideBook(self, self.canvas, worker=self.quick, post=self._post, runs=self.runs, asks=self.asks)
        self.brush = Brush(self, self._painted)
        self._lay_out()
        self._closed = False
        self._connect()
        self.quick.submit(lambda _job: first_look(), self._looked, self.show_problem)
        self.own_models.list_remembered()
        self.show_slides()
        QTimer.singleShot(WARM_UP_AFTER_MS, self._warm_up)

    # --- for scripts ------------------------------------------------------------------------------------------------

    def show_prediction(
        self, slide: "Slide", prediction: "Prediction", class_name: str, threshold: float = DEFAULT_THRESHOLD
    ) -> None:
        """Show a result that was made elsewhere as if it had been run here; what lies below a threshold is hidden."""
        self.choices.prefer_model(prediction.record.model.name)
        self.runs.adopt(slide, prediction, class_name, threshold)

    def use_model(self, folder: Path, *, select: bool) -> None:
        """List a model folder that was written (anew) and, if wished, choose it."""

        def forget() -> None:
            self.runs.shelf.forget_model(str(folder))

        self.own_models.add(folder, select=select, before=forget, then=self.runs.model_changed)

    def hide_findings(self, hidden: bool) -> None:
        """Hide numbers and answers until a reader has made a call of their own, or show them again."""
        self.run_panel.result_note.setVisible(not hidden)
        self.asking.hide_answers(hidden)

    def lost_with(self, slide_id: str) -> list[str]:
        """Return what would be lost if a slide were closed now: a run; painted masks are counted with what is drawn."""
        return [RUN_LOST] * (self.runs.running_on == slide_id)

    # --- wishes -----------------------------------------------------------------------------------------------------

    def wishes(self, slide: "Slide") -> Wishes | None:
        """Return what is chosen now; see ``wishes_of``."""
        return wishes_of(self.choices, self.canvas, self.preferences, slide)

    def chosen_slide(self) -> "Slide | None":
        """Return the slide that is chosen in the list; None while a plain layer is still being adopted."""
        return self.book.slide(self.choices.slide_box.currentData())

    # --- RunView ----------------------------------------------------------------------------------------------------

    def show_state(self, state: State) -> None:
        """Enable and disable what fits the state."""
        self.run_panel.show_state(state)

    def show_plan(self, prepared: "PreparedRun") -> None:
        """Show the estimate and the warnings of a plan."""
        wishes = self.runs.wishes
        text = estimate_text(prepared.estimate, saliency=wishes is not None and wishes.wanted_saliency is not None)
        self.run_panel.show_plan(text, prepared.warnings)
        set_aside(self.canvas.viewer)  # PyTorch is there now

    def show_problem(self, text: str) -> None:
        """Show one line that says why something cannot be done."""
        if text:
            self.run_panel.show_note(problem_text(text))

    def show_progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        self.run_panel.show_progress(progress)

    def show_map(self, slide: "Slide", live: LiveMap, layers: "Sequence[LayerData]") -> None:
        """Show the (still empty) map of a run over its slide."""
        live.look(self._shown_class(live), self.run_panel.threshold_for(live.scale))
        self.run_panel.offer_classes(live.classes, live.class_name, live.threshold, live.scale)
        self.run_panel.show_lines([])
        self.overlays.begin(slide, live, layers)

    def refresh_map(self, slide: "Slide") -> None:
        """Redraw the map, whose array has changed."""
        self.overlays.refresh(slide)

    def show_look(self, slide: "Slide", live: LiveMap) -> None:
        """Redraw the map, of which another class or threshold is on show."""
        self.overlays.look(slide, live)

    def show_result(
        self, slide: "Slide", prediction: "Prediction", live: LiveMap, layers: "Sequence[LayerData]"
    ) -> None:
        """Show what a run found, complete or partial."""
        self.overlays.finish(slide, prediction, live, layers)
        self.run_panel.show_found(self.runs.found_on(self.chosen_slide()))
        self.asking.ask_again(slide)

    def show_tissue(self, slide: "Slide", layers: "Sequence[LayerData]") -> None:
        """Show the tissue mask over the slide, to be painted, with its outline."""
        self.overlays.tissue(slide, layers, self.brush.drawn)
        self.book.mask_shown(slide.id)

    # --- SlideBookView ----------------------------------------------------------------------------------------------

    def show_slides(self) -> None:
        """List the open slides anew."""
        before = self.choices.slide_box.currentData()
        self.choices.offer_slides(self.book.entries())
        if self.choices.slide_box.currentData() == before:
            return
        self.show_chosen()
        if self.chosen_slide() is None:
            self.plan_again()
        else:
            self.choices.change_soon()
            QTimer.singleShot(NEW_SLIDE_MS, self._show_scale_bar)

    def plan_again(self) -> None:
        """Plan what is chosen now, if it is not planned already."""
        self.brush.look_now()
        slide = self.chosen_slide()
        self.show_chosen()
        try:
            wishes = None if slide is None else self.wishes(slide)
        except RegionError as error:
            self.show_problem(str(error))
            return
        if wishes is not None and self.choices.device_box.count() <= 1:
            self.quick.submit(lambda _job: find_devices(wishes.threads), self._offer_devices, self.show_problem)
        self.runs.choose(slide, wishes)

    def choose_slide(self, slide_id: str) -> None:
        """Choose one of the open slides, and plan with it once it is drawn."""
        choose(self.choices.slide_box, slide_id)
        self.show_chosen()
        self.choices.change_soon()

    def show_chosen(self) -> None:
        """Show what the chosen slide is and what was found on it, in place of what was wished for."""
        slide = self.chosen_slide()
        found = self.runs.found_on(slide)
        self.choices.show_slide(slide)
        self.asking.why.reason_gone()
        self.run_panel.show_found(found)
        if found is None and (outdated := self.book.outdated(slide)):
            self.run_panel.show_lines([outdated])

    def take_mask(self, slide: "Slide", layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Use a mask that was painted before, and let it be painted on."""
        self.overlays.watch_mask(layer, self.brush.drawn)
        self.quick.submit(
            lambda _job: painted_tissue(layer, slide), lambda mask: self.runs.paint(slide, mask), self.show_problem
        )

    def drop_rows(self, slide_id: str) -> None:
        """Forget the answers for a slide."""
        self.asking.drop(slide_id)

    # --- inside: wishes ---------------------------------------------------------------------------------------------

    def _show_scale_bar(self) -> None:
        if not self._closed:
            self.canvas.show_scale_bar()

    def _looked(self, found: "tuple[dict[str, ModelConfig], Preferences]") -> None:
        """List the models that were found, and begin to plan."""
        models, self.preferences = found
        self.choices.offer_models(models)
        self.plan_again()

    def _run(self) -> None:
        self.brush.look_now()
        slide = self.chosen_slide()
        if slide is None:
            self.show_problem("open a slide first")
            return
        try:
            self.runs.choose(slide, self.wishes(slide))
        except RegionError as error:
            self.show_problem(str(error))
            return
        self.runs.run()

    def _offer_devices(self, devices: Any) -> None:  # noqa: ANN401
        self.choices.offer_devices(devices, self.preferences.device)

    def _give_scale(self, um_per_px: float) -> None:
        slide = self.chosen_slide()
        if slide is not None:
            self.book.give_scale(slide, um_per_px)

    def _open_place(self, scene: int, z: int | None) -> None:
        slide = self.chosen_slide()
        if slide is not None:
            self.book.open_place(slide, scene, z)

    # --- inside: tissue, look, export -------------------------------------------------------------------------------

    def _painted(self) -> None:
        slide = self.runs.slide
        layer = None if slide is None else self.canvas.overlay(slide.id, "mask")
        if slide is None or layer is None:
            return
        mask, known = painted_tissue(layer, slide), self.runs.shelf.known_tissue(slide.id)
        if known is not None and np.array_equal(known.mask, mask.mask):
            return
        layer.metadata["painted"] = True
        self.canvas.remove(slide.id, "tissue")  # the outline of what was found; the painted mask is another
        self.runs.paint(slide, mask)

    def _shown_class(self, live: LiveMap) -> str:
        chosen = self.run_panel.class_box.currentData()
        return chosen if chosen in live.classes else live.class_name

    def _class_to_look_for(self) -> str | None:
        """Return the class on show; before a run the one that the chosen model looks for."""
        shown = self.run_panel.class_box.currentData()
        model = self.choices.model
        return shown or (None if model is None else model.card.positive_class or model.classes[-1])

    def _export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if folder:
            self.export_to(Path(folder))

    def export_to(self, folder: Path) -> None:
        """Write the result of the chosen slide, what was drawn and the rows of the table into a folder."""
        slide = self.chosen_slide()
        if slide is None:
            self.show_problem("open a slide first")
            return
        from napari_gigaclf.annotations.origin import qupath_origin

        result = self.runs.results.get(slide.id)
        try:
            drawn = self.canvas.drawn(slide, selected_only=False)
            export = Export(
                folder=folder,
                stem=file_stem(slide),
                prediction=result[0] if result else None,
                drawn=tuple(drawn),
                rows=tuple(row for row in self.probes.rows if row.slide_id == slide.id),
                origin=qupath_origin(slide.properties),
            )
        except GigaclfError as error:
            self.show_problem(str(error))
            return
        self.quick.submit(lambda _job: export_all(export), self._exported, self.show_problem)

    def _exported(self, paths: list[Path]) -> None:
        names = ", ".join(path.name for path in paths) or "nothing: no result and nothing drawn"
        self.run_panel.show_note(f"Exported {names}" + (f" to {paths[0].parent}" if paths else ""))

    # --- inside: set-up and closing -----------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        for panel in (self.choices, line(), self.run_panel, line()):
            column.addWidget(panel)
        column.addWidget(self.asking, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inner))

    def _connect(self) -> None:
        self.choices.changed.connect(self.plan_again)
        self.choices.slide_wanted.connect(self.overlays.show_on_top)
        self.choices.scale_given.connect(self._give_scale)
        self.choices.place_row.wanted.connect(self._open_place)
        self.choices.preview_wanted.connect(self.runs.preview_tissue)
        self.choices.model_button.clicked.connect(self.own_models.ask)
        self.run_panel.run_wanted.connect(self._run)
        self.run_panel.cancel_wanted.connect(self.runs.cancel)
        self.run_panel.export_wanted.connect(self._export)
        self.run_panel.look_changed.connect(self.runs.look)
        self._disconnect = (
            self.canvas.watch(self.show_slides, self.book.layer_removed),
            self.canvas.watch_view(self.runs.giving_way.moved),
            CLASSIFIERS.register(self.canvas.viewer, self),
        )
        workers = (self.quick, self.long, self.asking.stored, self.asking.network, self.asking.gradients)
        self.destroyed.connect(lambda: [worker.close() for worker in workers])

    def _warm_up(self) -> None:
        """Load ahead what the first slide needs."""
        if not self._closed:
            self.quick.submit(lambda _job: build_units(), take_units, self.show_problem)
            self.quick.submit(lambda _job: import_readers(), lambda _done: None, self.show_problem)

    def shut_down(self) -> None:
        """Cancel what runs, wait for the workers and let go of the viewer; the widget cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        self.brush.stop()
        self.asking.shut_down()
        self._let_go()
        for disconnect in self._disconnect:
            disconnect()
        self._post.close()
        self.runs.close()


def classifiers_in(window: QMainWindow | None) -> list[ClassifyWidget]:
    """Return the widgets of a window that classify, and show numbers of results."""
    return [] if window is None else [each for each in window.findChildren(ClassifyWidget) if not each.is_closed]
