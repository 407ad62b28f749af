"""The last part of the Teach widget: apply what was taught to every slide of the worklist, in the background."""

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.viewer.controllers.teach import TeachController
from napari_gigaclf.viewer.controllers.teach_list import TeachListController
from napari_gigaclf.viewer.controllers.teach_list_jobs import ListProgress
from napari_gigaclf.viewer.teach_texts import list_progress_text
from napari_gigaclf.viewer.texts import problem_text
from napari_gigaclf.viewer.widgets.controls import note
from napari_gigaclf.viewer.widgets.docked import Docked
from napari_gigaclf.viewer.widgets.worklist import WorklistWidget
from napari_gigaclf.viewer.worker import Post, Worker

STEPS = 1000
"""Of the bar, per slide."""


class TeachListPanel(QWidget):
    """A button, and how far the list is.

    Parameters
    ----------
    teaching
        What is taught.
    post
        Carries calls to the GUI thread.
    class_name
        Returns the class whose map is shown.
    """

    def __init__(
        self, teaching: TeachController, post: Post, class_name: Callable[[], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.apply_button = QPushButton("Apply to the worklist")
        self.apply_button.setToolTip(
            "Apply what is taught now to every slide of Worklist, in the background: features that are kept are used, "
            "other slides are read first. Each map is there when its slide is opened."
        )
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Stop applying to the worklist; slides that are done keep their maps")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.note = note()
        self._class_name = class_name
        self.worker = Worker("gigaclf-teach-list", post)
        self.controller = TeachListController(self, teaching, worker=self.worker, post=post)
        self._lay_out()
        self.apply_button.clicked.connect(self.apply)
        self.stop_button.clicked.connect(self.stop)
        self.show_list_note("", busy=False)

    def apply(self) -> None:
        """Apply what is taught now to every slide of the worklist."""
        found = self._worklist()
        worklist = None if found is None else found.controller.worklist
        returning = None if found is None or worklist is None else found.returning()
        self.controller.apply(worklist, returning, self._class_name())

    def stop(self) -> None:
        """Stop; what is done stays."""
        self.controller.cancel()

    def shut_down(self) -> None:
        """Stop and end the worker."""
        self.worker.close()

    # --- TeachListView ----------------------------------------------------------------------------------------------

    def show_list_progress(self, progress: ListProgress) -> None:
        """Show how far the list is."""
        reading = progress.reading
        share = 0.0 if reading is None else reading.done / max(1, reading.total)
        self.bar.setRange(0, STEPS * progress.total)
        self.bar.setValue(round(STEPS * (progress.done + share)))
        self.note.setText(list_progress_text(progress))

    def show_list_note(self, text: str, *, busy: bool) -> None:
        """Say what was done, or why it cannot be, and whether a list is under way."""
        self.note.setText(problem_text(text))
        self.note.setVisible(bool(text))
        self.bar.setVisible(busy)
        self.stop_button.setVisible(busy)
        self.apply_button.setEnabled(not busy)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _worklist(self) -> WorklistWidget | None:
        """Return the worklist of the same window: one with a list, if there are several."""
        docked = self.parentWidget()
        while docked is not None and not isinstance(docked, Docked):
            docked = docked.parentWidget()
        window = None if docked is None else docked.main_window()
        there = [] if window is None else [each for each in window.findChildren(WorklistWidget) if not each.is_closed]
        chosen = [each for each in there if each.controller.worklist is not None]
        return next(iter([*chosen, *there]), None)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.apply_button, 1)
        row.addWidget(self.stop_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.bar)
        column.addWidget(self.note)
