"""The dock widget "Train": a table of slides becomes a model, which Classify has at once.

The widget ties panels (fields, findings) and the controller (decisions) together, without logic of its own. It imports
no torch: the recipes are read in the background, and training runs there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QMimeData
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.bridge import GuiPost
from napari_gigaclf.viewer.controllers.jobs import find_devices
from napari_gigaclf.viewer.controllers.train import Offer, TrainController, TrainState
from napari_gigaclf.viewer.controllers.train_jobs import Choices, RunLook, read_choices
from napari_gigaclf.viewer.controllers.train_wishes import TrainWishes
from napari_gigaclf.viewer.open_widget import open_widget
from napari_gigaclf.viewer.preferences import Preferences
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget, classifiers_in
from napari_gigaclf.viewer.widgets.controls import line, scrolling
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.own_models import OwnModels
from napari_gigaclf.viewer.widgets.train_choices import TABLES, TrainChoices
from napari_gigaclf.viewer.widgets.train_panel import TrainPanel
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.training.cohort import CohortReport
    from napari_gigaclf.training.slides import Epoch

CLASSIFY = "Classify slide"
"""What the manifest calls the widget that classifies."""


class TrainWidget(Docked):
    """Train a network on a table of slides, with what it learns shown while it runs.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        self.viewer = napari_viewer
        self.preferences = Preferences()
        self.model: Path | None = None
        """Folder of the best model so far."""
        self.choices = TrainChoices()
        self.panel = TrainPanel()
        self._lay_out()
        self._post = GuiPost(self)
        self.quick = Worker("gigaclf-train-quick", self._post)
        self.long = Worker("gigaclf-train", self._post)
        self.own_models = OwnModels(self, self.choices, self.quick, self.show_outcome)
        self.runs = TrainController(self, quick=self.quick, long=self.long, post=self._post)
        self.setAcceptDrops(True)
        for field in self.findChildren(QLineEdit):
            field.setAcceptDrops(False)  # a table is dropped on the widget, wherever that is
        self._closed = False
        self._connect()
        self.quick.submit(lambda _job: read_choices(), self._choices_read, self.show_outcome)
        self.own_models.list_remembered()
        self.runs.choose(TrainWishes())

    # --- TrainView --------------------------------------------------------------------------------------------------

    def show_offer(self, offer: Offer) -> None:
        """Enable and disable what fits the state."""
        self.choices.setEnabled(offer.state not in (TrainState.TRAINING, TrainState.STOPPING))
        self.panel.show_offer(offer)

    def show_report(self, report: "CohortReport | None") -> None:
        """Show what a check found."""
        self.panel.show_report(report)

    def show_run(self, look: RunLook) -> None:
        """Show with which recipe the run in the chosen folder was made, and offer its model."""
        self.choices.show_run(look)
        self._offer_model(look.folder / "model" if look.epochs else None)

    def show_progress(self, progress: Progress) -> None:
        """Show how far the check or the run is."""
        self.panel.show_progress(progress)

    def show_epochs(self, epochs: "Sequence[Epoch]") -> None:
        """Show what was learnt so far."""
        self.panel.show_epochs(epochs)

    def show_outcome(self, text: str) -> None:
        """Show how the last thing ended."""
        self.panel.show_outcome(text)

    def show_model(self, folder: Path, *, finished: bool) -> None:
        """List a model in Classify, if that is open; choose it there when it is the run's last."""
        self._offer_model(folder)
        self.own_models.remember(folder)
        classify = self._classify()
        if classify is not None:
            classify.use_model(folder, select=finished)

    # --- wishes -----------------------------------------------------------------------------------------------------

    def wishes(self) -> TrainWishes:
        """Return what is chosen now."""
        settings = dict(self.choices.settings)
        if self.preferences.memory and not self.choices.memory_box.text().strip():
            settings["memory"] = self.preferences.memory
        return TrainWishes(
            table=self.choices.table_row.path,
            output=self.choices.output_row.path,
            base=self.choices.recipe,
            settings=tuple(settings.items()),
            device=str(self.choices.device_box.currentData()),
            threads=self.preferences.threads,
        )

    def use_in_classify(self) -> None:
        """Choose the run's model in Classify, which is opened if it is not."""
        if self.model is None:
            return
        classify = open_widget(self.viewer, CLASSIFY)
        classify.use_model(self.model, select=True)
        classify.come_forward()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take tables that are dragged here."""
        if _dropped_table(event.mimeData()) is not None and self.choices.isEnabled():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Choose the table that is dropped."""
        table = _dropped_table(event.mimeData())
        if table is not None and self.choices.isEnabled():
            event.acceptProposedAction()
            self.choices.table_row.set_path(table)

    def shut_down(self) -> None:
        """Stop what runs (its state is kept), and wait for the workers; the widget cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        self._let_go()
        self._post.close()
        self.runs.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _choices_read(self, found: Choices) -> None:
        self.preferences = found.preferences
        self.choices.offer_models(found.models)
        self.choices.offer_recipes(found.presets)

    def _changed(self) -> None:
        wishes = self.wishes()
        if wishes.table is not None and self.choices.device_box.count() <= 1:
            self.quick.submit(lambda _job: find_devices(wishes.threads), self._offer_devices, self.show_outcome)
        self.runs.choose(wishes)

    def _offer_devices(self, devices: Any) -> None:  # noqa: ANN401
        self.choices.offer_devices(devices, self.preferences.device)

    def _start(self, *, resume: bool) -> None:
        self.runs.choose(self.wishes())
        self.runs.train(resume=resume)

    def _check(self) -> None:
        self.show_outcome("")
        before = self.runs.wishes.table
        self.runs.choose(self.wishes())
        if self.runs.wishes.table == before:
            self.runs.check()

    def _offer_model(self, folder: Path | None) -> None:
        self.model = folder
        self.panel.use_button.setEnabled(folder is not None)

    def _classify(self) -> ClassifyWidget | None:
        """Return the widget that classifies in the same window, if it is open."""
        return next(iter(classifiers_in(self.main_window())), None)

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        for panel in (self.choices, line(), self.panel):
            column.addWidget(panel)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inner))

    def _connect(self) -> None:
        self.choices.changed.connect(self._changed)
        self.choices.folder_wanted.connect(self.own_models.ask)
        self.panel.check_wanted.connect(self._check)
        self.panel.train_wanted.connect(lambda: self._start(resume=False))
        self.panel.resume_wanted.connect(lambda: self._start(resume=True))
        self.panel.stop_wanted.connect(self.runs.stop)
        self.panel.use_wanted.connect(self.use_in_classify)
        quick, long = self.quick, self.long
        self.destroyed.connect(lambda: (quick.close(), long.close()))


def _dropped_table(data: QMimeData) -> Path | None:
    """Return the table among what is dragged."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return next((path for path in paths if path.suffix.lower() in TABLES), None)
