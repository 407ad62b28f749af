"""Reader first: a person says what they see before they see what the model found, and then both side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_gigaclf.viewer.findings_texts import comparison_rows
from napari_gigaclf.viewer.widgets.controls import combo_box, refill

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.inference.findings.comparison import Comparison, Place
    from napari_gigaclf.inference.findings.reviews import ReaderCall


class ReaderPanel(QWidget):
    """The switch, the fields for the reader's own call, and the comparison.

    Parameters
    ----------
    name_box
        Where the reader's name stands.
    """

    switched = Signal(bool)
    mark_wanted = Signal()
    call_given = Signal(str)
    place_wanted = Signal(object)

    def __init__(self, name_box: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.switch = QCheckBox("Reader first")
        self.switch.setToolTip("Hide maps, numbers and places until your own call on the slide is recorded")
        self.class_box = combo_box("What you say the slide is")
        self.mark_button = QPushButton("Mark places")
        self.mark_button.setToolTip("Click where you see it; drag with the space bar held to move the slide meanwhile")
        self.record_button = QPushButton("Record my call")
        self.record_button.setToolTip(
            "Keep your call, which cannot be changed afterwards, and show what the model found"
        )
        self.fields = QWidget()
        self.compared = QWidget()
        self.missed_by_reader = QPushButton()
        self.missed_by_reader.setToolTip("Go to the next lesion that you did not mark")
        self.missed_by_model = QPushButton()
        self.missed_by_model.setToolTip("Go to your next place where the model has no lesion")
        self.labels: dict[tuple[int, int], QLabel] = {}
        self._missed: dict[str, list[Place]] = {"reader": [], "model": []}
        self._lay_out(name_box)
        self.switch.toggled.connect(self.switched)
        self.mark_button.clicked.connect(self.mark_wanted)
        self.record_button.clicked.connect(lambda: self.call_given.emit(str(self.class_box.currentData())))
        self.missed_by_reader.clicked.connect(lambda: self._next("reader"))
        self.missed_by_model.clicked.connect(lambda: self._next("model"))
        self.show_blind(False)
        self.compared.setVisible(False)

    def show_blind(self, blind: bool) -> None:
        """Show the fields for the reader's own call, or hide them."""
        self.fields.setVisible(blind)
        if blind:
            self.compared.setVisible(False)

    def offer_classes(self, classes: Sequence[str]) -> None:
        """List what the slide may be."""
        refill(self.class_box, [(name, name) for name in classes])

    def show_comparison(
        self, call: "ReaderCall", found: "Comparison", prediction: "Prediction", class_name: str
    ) -> None:
        """Show the reader's call beside the model's."""
        rows = comparison_rows(call, found, prediction, class_name)
        for row, texts in enumerate(rows[:-1]):
            for column, text in enumerate(texts):
                self.labels[row, column].setText(text)
        self.missed_by_reader.setText(rows[-1][1])
        self.missed_by_model.setText(rows[-1][2])
        self._missed = {
            "reader": [lesion.place for lesion in found.only_model],
            "model": list(found.only_reader),
        }
        self.missed_by_reader.setEnabled(bool(found.only_model))
        self.missed_by_model.setEnabled(bool(found.only_reader))
        self.compared.setVisible(True)

    def forget(self) -> None:
        """Show no comparison."""
        self.compared.setVisible(False)

    def _next(self, who: str) -> None:
        """Go to the first of what one missed, which then becomes the last."""
        places = self._missed[who]
        if places:
            places.append(places.pop(0))
            self.place_wanted.emit(places[-1])

    def _first_row(self, name_box: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(self.switch)
        row.addStretch(1)
        row.addWidget(QLabel("Reader"))
        row.addWidget(name_box, 2)
        return row

    def _lay_out(self, name_box: QWidget) -> None:
        row = QHBoxLayout(self.fields)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.class_box, 1)
        row.addWidget(self.mark_button)
        row.addWidget(self.record_button)
        grid = QGridLayout(self.compared)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, text in enumerate(("", "you", "model")):
            grid.addWidget(QLabel(text), 0, column)
            grid.setColumnStretch(column, min(column, 1))
        for number in range(2):
            for column in range(3):
                label = QLabel()
                self.labels[number, column] = label
                grid.addWidget(label, number + 1, column)
        grid.addWidget(QLabel("missed"), 3, 0)
        grid.addWidget(self.missed_by_reader, 3, 1)
        grid.addWidget(self.missed_by_model, 3, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._first_row(name_box))
        layout.addWidget(self.fields)
        layout.addWidget(self.compared)
