"""The lower half of the Train widget: what the check found, the buttons, progress, curves, epochs, and the outcome."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPlainTextEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.train import Offer, TrainState
from napari_gigaclf.viewer.controllers.train_jobs import divides_nothing
from napari_gigaclf.viewer.texts import progress_text
from napari_gigaclf.viewer.train_texts import (
    DIVIDED,
    counts_text,
    epoch_lines,
    learns_no_more,
    problem_lines,
    training_problem_text,
)
from napari_gigaclf.viewer.widgets.controls import note
from napari_gigaclf.viewer.widgets.curves import Curves

if TYPE_CHECKING:
    from napari_gigaclf.training.cohort import CohortReport
    from napari_gigaclf.training.slides import Epoch

LEAST_LINES, MOST_LINES = 2, 8
"""Height of the lists; longer ones scroll."""
MOST_PROBLEMS = 2000
"""A person does not read more, and a list of a million lines would hold the window up."""


class TrainPanel(QWidget):
    """Findings, buttons, progress and result of training."""

    check_wanted = Signal()
    train_wanted = Signal()
    resume_wanted = Signal()
    stop_wanted = Signal()
    use_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts_note = note()
        self.problem_list = _lines("Problems of the table, errors first")
        self.offer_note = note()
        self.check_button = QPushButton("Check")
        self.check_button.setToolTip("Look at the table and at every slide in it")
        self.train_button = QPushButton("Train")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Go on with the run in the output folder")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Stop the check or the run; what was learnt so far stays")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.progress_note = note()
        self.outcome_note = note()
        self.outcome_note.setTextFormat(Qt.TextFormat.PlainText)
        self.curves = Curves()
        self.epoch_list = _lines("Epochs of the run")
        self.use_button = QPushButton("Use in Classify")
        self.use_button.setToolTip("Choose the model of this run in the widget that classifies slides")
        self._lay_out()
        self.check_button.clicked.connect(self.check_wanted)
        self.train_button.clicked.connect(self.train_wanted)
        self.resume_button.clicked.connect(self.resume_wanted)
        self.stop_button.clicked.connect(self.stop_wanted)
        self.use_button.clicked.connect(self.use_wanted)
        self.show_offer(Offer(state=TrainState.NO_TABLE))
        self.show_report(None)
        self.show_epochs([])
        self.show_outcome("")
        self.use_button.setEnabled(False)

    def show_offer(self, offer: Offer) -> None:
        """Enable what fits the state."""
        state = offer.state
        is_busy = offer.busy or state is TrainState.STOPPING
        self.check_button.setEnabled(state in (TrainState.REFUSED, TrainState.READY))
        self.train_button.setEnabled(offer.can_train)
        self.resume_button.setEnabled(offer.can_resume)
        self.stop_button.setEnabled(offer.busy)
        if is_busy and not self.bar.isVisibleTo(self):
            self.bar.setRange(0, 0)
            self.progress_note.setText("checking..." if state is TrainState.CHECKING else "starting...")
        if state is TrainState.STOPPING:
            self.progress_note.setText("stopping at the next tile...")
        self.bar.setVisible(is_busy)
        self.progress_note.setVisible(is_busy)
        _say(self.offer_note, offer.note)

    def show_progress(self, progress: Progress) -> None:
        """Show how far the check or the run is."""
        if learns_no_more(progress):
            self.bar.setRange(0, 0)
            self.progress_note.setText("all epochs are learnt; looking at the tuning slides...")
            return
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.progress_note.setText(progress_text(progress))

    def show_report(self, report: "CohortReport | None") -> None:
        """Show what a check found."""
        if report is None:
            _say(self.counts_note, "")
            self.problem_list.setVisible(False)
            return
        text = counts_text(report)
        _say(self.counts_note, f"{DIVIDED}\n{text}" if divides_nothing(report) else text)
        lines = [training_problem_text(line) for line in problem_lines(report)]
        more = [f"... and {len(lines) - MOST_PROBLEMS} more"] if len(lines) > MOST_PROBLEMS else []
        _fill(self.problem_list, [*lines[:MOST_PROBLEMS], *more])

    def show_epochs(self, epochs: "Sequence[Epoch]") -> None:
        """Show the curves and the epochs, the latest in view."""
        self.curves.show_epochs(epochs)
        _fill(self.epoch_list, epoch_lines(epochs))
        bar = self.epoch_list.verticalScrollBar()
        bar.setValue(bar.maximum())

    def show_outcome(self, text: str) -> None:
        """Show how the last thing ended."""
        _say(self.outcome_note, training_problem_text(text))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.check_button, self.train_button, self.resume_button, self.stop_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.counts_note, self.problem_list, self.offer_note):
            layout.addWidget(part)
        layout.addLayout(buttons)
        for part in (self.bar, self.progress_note, self.outcome_note, self.curves, self.epoch_list, self.use_button):
            layout.addWidget(part)


def _lines(name: str) -> QPlainTextEdit:
    """Return a list of lines that can be scrolled, searched by eye and copied, and not changed."""
    box = QPlainTextEdit()
    box.setReadOnly(True)
    box.setTabChangesFocus(True)
    box.setAccessibleName(name)
    box.setToolTip(name)
    return box


def _fill(box: QPlainTextEdit, lines: Sequence[str]) -> None:
    """Show lines in a box as high as they need, up to a limit; without any it takes no room."""
    box.setPlainText("\n".join(lines))
    box.setVisible(bool(lines))
    rows = min(max(len(lines), LEAST_LINES), MOST_LINES)
    box.setFixedHeight(box.fontMetrics().lineSpacing() * rows + 2 * int(box.document().documentMargin()) + 4)


def _say(label: QWidget, text: str) -> None:
    """Show a text; without one the label takes no room."""
    label.setText(text)
    label.setVisible(bool(text))
