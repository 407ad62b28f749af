"""The middle of the widget: the estimate, Run and Cancel, progress, and what came out, warnings first."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.models.map_scale import PROBABILITY, MapScale
from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.texts import progress_text, result_lines, warning_line
from napari_gigaclf.viewer.widgets.controls import combo_box, note, refill

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.viewer.controllers.mapping import LiveMap


class RunPanel(QWidget):
    """Estimate, buttons, progress and result of a run."""

    run_wanted = Signal()
    cancel_wanted = Signal()
    export_wanted = Signal()
    look_changed = Signal(str, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plan: tuple[str, tuple[str, ...]] | None = None
        """What stands where the estimate does; None while something else stands there."""
        self._last_plan: tuple[str, tuple[str, ...]] | None = None
        self.estimate_note = note()
        self.run_button = QPushButton("Run")
        self.cancel_button = QPushButton("Cancel")
        self.export_button = QPushButton("Export...")
        self.export_button.setToolTip("GeoJSON for QuPath, CSV, and the map as OME-TIFF and OME-Zarr")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.progress_note = note()
        self.result_note = note()
        self.result_note.setTextFormat(Qt.TextFormat.PlainText)
        self.class_box: QComboBox = combo_box("Class that is shown over the slide")
        self.threshold_label = QLabel()
        self.threshold_box = QDoubleSpinBox()
        self._lay_out()
        self._set_scale(PROBABILITY)
        self.run_button.clicked.connect(self.run_wanted)
        self.cancel_button.clicked.connect(self.cancel_wanted)
        self.export_button.clicked.connect(self.export_wanted)
        self.class_box.currentIndexChanged.connect(self._look)
        self.threshold_box.valueChanged.connect(self._look)
        self.show_state(State.NO_SLIDE)

    def show_state(self, state: State) -> None:
        """Enable what fits the state."""
        running = state in (State.RUNNING, State.CANCELLING)
        had_keys = any(each.hasFocus() for each in (self, self.run_button, self.cancel_button))
        self.run_button.setEnabled(state in (State.READY, State.PREPARING, State.REFUSED))
        self.cancel_button.setEnabled(state is State.RUNNING)
        self.export_button.setEnabled(not running)
        if had_keys:
            self._keep_keys()
        self.bar.setVisible(running)
        self.progress_note.setVisible(running)
        if state is State.RUNNING:
            self.bar.setRange(0, 0)
            self.progress_note.setText("starting...")
            if self._plan is None and self._last_plan is not None:  # a problem stood there that is over
                self.show_plan(*self._last_plan)
        elif state is State.CANCELLING:
            self.progress_note.setText("cancelling...")
        elif state is State.PREPARING:
            self.show_note("planning...")
        elif state is State.NO_SLIDE:
            self.show_note("")

    def show_progress(self, progress: Progress) -> None:
        """Show how far the run is."""
        self.bar.setRange(0, max(1, progress.total))
        self.bar.setValue(progress.done)
        self.progress_note.setText(progress_text(progress))

    def show_note(self, text: str) -> None:
        """Show a line where the estimate stands otherwise."""
        self._plan = None
        self.estimate_note.setText(text)

    def show_plan(self, estimate: str, warnings: Sequence[str]) -> None:
        """Show what a run will take, after the warnings; those that stand at the result already are not repeated."""
        self._plan = self._last_plan = (estimate, tuple(warnings))
        shown = self.result_note.text().splitlines()
        lines = [line for line in map(warning_line, warnings) if line not in shown]
        self.estimate_note.setText("\n".join([*lines, estimate]))

    def show_lines(self, lines: Sequence[str]) -> None:
        """Show the result, or one line of a problem."""
        self.result_note.setText("\n".join(lines))
        if self._plan is not None:
            self.show_plan(*self._plan)

    def show_found(self, found: "tuple[Prediction, LiveMap] | None") -> None:
        """Show the result of the chosen slide and the classes of its map; None: there is none."""
        self.show_lines([] if found is None else result_lines(found[0]))
        if found is not None:
            live = found[1]
            self.offer_classes(live.classes, live.class_name, live.threshold, live.scale)

    def offer_classes(
        self, classes: Sequence[str], shown: str, threshold: float, scale: MapScale = PROBABILITY
    ) -> None:  # fmt: skip
        """List the classes of a map, with the one on show, and what its numbers are; emits nothing."""
        refill(self.class_box, [(name, name) for name in classes])
        self.class_box.blockSignals(True)
        self.threshold_box.blockSignals(True)
        self.class_box.setCurrentIndex(self.class_box.findData(shown))
        self._set_scale(scale)
        self.threshold_box.setValue(max(threshold, scale.low))
        self.class_box.blockSignals(False)
        self.threshold_box.blockSignals(False)

    @property
    def threshold(self) -> float:
        """Probability or score below which the map is transparent; the least there is, if all of it is shown."""
        value = float(self.threshold_box.value())
        return -math.inf if value <= self.threshold_box.minimum() else value

    def threshold_for(self, scale: MapScale) -> float:
        """Return the threshold for a map, which is that of the one before if its numbers are of the same kind."""
        return self.threshold if scale == self._scale else -math.inf

    def _set_scale(self, scale: MapScale) -> None:
        """Let the threshold run over a scale, and call its numbers by their name."""
        self._scale = scale
        width = scale.high - scale.low
        self.threshold_box.setDecimals(max(2, 2 - math.floor(math.log10(width))))
        self.threshold_box.setRange(scale.low, scale.high)
        self.threshold_box.setSingleStep(width / 20)
        self.threshold_label.setText(f"Show from {scale.word}")
        self.threshold_box.setToolTip(f"Cells below this {scale.word} are transparent; {scale.low:g} shows all")

    def _keep_keys(self) -> None:
        """Give the keys to the button that can be pressed: Qt would give them to whatever comes next."""
        usable = (each for each in (self.cancel_button, self.run_button) if each.isEnabled())
        next(usable, self).setFocus()

    def _look(self) -> None:
        if self.class_box.count():
            self.look_changed.emit(str(self.class_box.currentData()), self.threshold)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.run_button, self.cancel_button, self.export_button):
            buttons.addWidget(button)
        form = QFormLayout()
        form.addRow("Shown class", self.class_box)
        form.addRow(self.threshold_label, self.threshold_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.estimate_note)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.progress_note)
        layout.addWidget(self.result_note)
        layout.addLayout(form)
