"""The upper part of the Hotspots widget: which result, which class, and from which probability on; and who reads."""

import getpass

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QHBoxLayout, QLineEdit, QSlider, QWidget

from napari_gigaclf.inference.findings.reviews import MAX_NAME
from napari_gigaclf.viewer.controllers.findings import THRESHOLD
from napari_gigaclf.viewer.widgets.controls import combo_box

STEPS = 100
"""Steps of the threshold's slider."""


class HotspotChoices(QWidget):
    """Lists of results and classes, the reader's name, and the threshold."""

    result_chosen = Signal()
    class_chosen = Signal()
    threshold_given = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result_box = combo_box("Results that are open")
        self.class_box = combo_box("Class whose highest places are listed")
        self.reader_box = QLineEdit()
        """Laid out by the widget, beside "Reader first"."""
        self.reader_box.setMaxLength(MAX_NAME)
        self.reader_box.setText(_login())
        self.reader_box.setToolTip("Your name: it stays with every verdict, and goes into the export")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(1, STEPS)
        self.slider.setValue(round(THRESHOLD * STEPS))
        self.slider.setToolTip("Places, foci and lesions from this probability on; what has a verdict stays listed")
        self.slider.setAccessibleName("Threshold")
        self.threshold_box = QDoubleSpinBox()
        self.threshold_box.setRange(1 / STEPS, 1.0)
        self.threshold_box.setSingleStep(1 / STEPS)
        self.threshold_box.setValue(THRESHOLD)
        self.threshold_box.setToolTip(self.slider.toolTip())
        self._form = QFormLayout(self)
        self._lay_out()
        self.result_box.currentIndexChanged.connect(self.result_chosen)
        self.class_box.currentIndexChanged.connect(self.class_chosen)
        self.slider.valueChanged.connect(lambda value: self.threshold_box.setValue(value / STEPS))
        self.threshold_box.valueChanged.connect(self._threshold_given)

    def show_threshold(self, shown: bool) -> None:
        """Show the threshold or hide it."""
        self._form.setRowVisible(self._form.rowCount() - 1, shown)

    def take_threshold(self, value: float) -> float:
        """Show a threshold and return it as it is shown; emits nothing."""
        with QSignalBlocker(self.slider), QSignalBlocker(self.threshold_box):
            self.threshold_box.setValue(value)
            self.slider.setValue(round(value * STEPS))
        return float(self.threshold_box.value())

    def _threshold_given(self, value: float) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(value * STEPS))
        self.threshold_given.emit(value)

    def _lay_out(self) -> None:
        form = self._form
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Result", self.result_box)
        form.addRow("Class", self.class_box)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.threshold_box)
        form.addRow("Threshold", row)


def _login() -> str:
    """Return the name under which this person is logged in; empty where the system does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
