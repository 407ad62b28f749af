"""The list of hotspots: a picture, rank, probability and verdict a row, and the buttons that say what a place is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.inference.findings.exports import COLOURS
from napari_gigaclf.inference.findings.reviews import MAX_NAME, MAX_TEXT
from napari_gigaclf.viewer.findings_texts import button_tip, position_text, verdict_text, who_text
from napari_gigaclf.viewer.widgets.controls import filling, note, refill
from napari_gigaclf.viewer.widgets.pictures import pixmap

if TYPE_CHECKING:
    from napari_gigaclf.inference.findings.ranking import Entry

COLUMNS = ("place", "probability", "verdict")
CLASS_LETTERS = 10
"""So much of the name of another class is seen where the list is narrow."""
ICON_PX = 40
MIN_HEIGHT = 190
SPACING = 4


class HotspotList(QWidget):
    """The list, its buttons, and the fields for another class and a note."""

    row_chosen = Signal(int)
    step_wanted = Signal(int)
    judged = Signal(str, str)
    note_given = Signal(str)
    undo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(0, len(COLUMNS))
        self.position_note = note()
        self.next_button = _button("Next", "N", "Next place")
        self.previous_button = _button("Previous", "P", "Previous place")
        self.accept_button = _button("Accept", "A", "It is what the model says")
        self.reject_button = _button("Reject", "X", "It is not; it stays in the list and in the export")
        self.relabel_button = _button("Relabel", "R", "It is the class given beside 'It is'")
        self.undo_button = _button("Undo", "U", "Take the last verdict or note back, as often as there is one")
        self.class_box = QComboBox()
        self.note_box = QLineEdit()
        self._back_to: QWidget | None = None
        self._set_up()
        self._lay_out()
        self._connect()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def show_list(self, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Fill the table anew."""
        with QSignalBlocker(self.table), filling(self.table):
            self.table.setRowCount(0)
            self.table.setRowCount(len(entries))
            for index, entry in enumerate(entries):
                for column in range(len(COLUMNS)):
                    item = QTableWidgetItem()
                    item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
                    self.table.setItem(index, column, item)
                self._fill(index, entry)
        self.show_shown(entries, shown, None)
        self.setEnabled(bool(entries))
        self.note_box.clear()

    def show_shown(self, entries: "Sequence[Entry]", shown: Sequence[int], current: int | None) -> None:
        """Hide the rows that do not reach the threshold."""
        there = set(shown)
        for index in range(len(entries)):
            if self.table.isRowHidden(index) == (index in there):
                self.table.setRowHidden(index, index not in there)
        self.position_note.setText(position_text(entries, shown, current))

    def show_entry(self, index: int, entry: "Entry") -> None:
        """Show what was said of an entry."""
        with QSignalBlocker(self.table):
            self._fill(index, entry)
        if index == self.table.currentRow():
            self.note_box.setText("" if entry.review is None else entry.review.note)

    def show_current(self, index: int, entry: "Entry") -> None:
        """Select an entry."""
        with QSignalBlocker(self.table):
            self.table.setCurrentCell(index, 0)
        self.table.scrollToItem(self.table.item(index, 0))
        self.note_box.setText("" if entry.review is None else entry.review.note)

    def show_thumbnail(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Show the picture of an entry."""
        item = self.table.item(index, 0)
        if item is not None:
            item.setIcon(QIcon(pixmap(pixels, ICON_PX)))

    def offer_classes(self, classes: Sequence[str]) -> None:
        """List the classes that a place may be instead; any other may be typed."""
        refill(self.class_box, [(name, name) for name in classes])
        self.class_box.lineEdit().setCursorPosition(0)  # of a long name the beginning is seen

    # --- keys -------------------------------------------------------------------------------------------------------

    def begin_relabel(self) -> None:
        """Let another class be chosen by keyboard; Enter takes it, Escape leaves it."""
        self._enter(self.class_box)
        self.class_box.lineEdit().selectAll()

    def begin_note(self) -> None:
        """Let a note be written; Enter takes it, Escape leaves it."""
        self._enter(self.note_box)
        self.note_box.selectAll()

    def keyPressEvent(self, event: "object") -> None:
        """Leave a field without taking it."""
        if event.key() == Qt.Key.Key_Escape and self._back_to is not None:  # type: ignore[attr-defined]
            self._go_back()
            return
        super().keyPressEvent(event)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _fill(self, index: int, entry: "Entry") -> None:
        said = verdict_text(entry)
        for column, text in enumerate((str(entry.rank), f"{entry.probability:.3f}", said)):
            item = self.table.item(index, column)
            item.setText(text)
            item.setToolTip(who_text(entry))
        mark = self.table.item(index, len(COLUMNS) - 1)
        icon = QIcon() if entry.review is None else QIcon(_swatch(entry.verdict))
        mark.setIcon(icon)

    def _enter(self, field: QWidget) -> None:
        if not self.isEnabled():
            return
        focus = QApplication.focusWidget()
        if focus not in (self.class_box, self.class_box.lineEdit(), self.note_box):
            self._back_to = focus
        field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _go_back(self) -> None:
        """Give the focus back to what had it before R or M was pressed."""
        back, self._back_to = self._back_to, None
        (self.table if back is None else back).setFocus()

    def _relabel(self) -> None:
        self.judged.emit("relabelled", self.class_box.currentText())
        self._go_back()

    def _note(self) -> None:
        self.note_given.emit(self.note_box.text())
        self._go_back()

    def _chosen(self, row: int, _column: int, *_before: int) -> None:
        if row >= 0:
            self.row_chosen.emit(row)

    def _set_up(self) -> None:
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Hotspots")
        self.table.setIconSize(QSize(ICON_PX, ICON_PX))
        self.table.setMinimumHeight(MIN_HEIGHT)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ICON_PX + 2)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self.class_box.setEditable(True)
        self.class_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.class_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.class_box.setMinimumContentsLength(CLASS_LETTERS)
        self.class_box.lineEdit().setMaxLength(MAX_NAME)
        self.class_box.setToolTip("Another class: press R, choose or type it, press Enter (Escape leaves it)")
        self.note_box.setMaxLength(MAX_TEXT)
        self.note_box.setPlaceholderText("note (M)")
        self.note_box.setToolTip("A note to the current place: press M, write, press Enter (Escape leaves it)")

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(SPACING)
        rows = (
            (self.previous_button, self.next_button, self.undo_button),
            (self.accept_button, self.reject_button, self.relabel_button),
        )
        for row, controls in enumerate(rows):
            for column, button in enumerate(controls):
                buttons.addWidget(button, row, column)
        fields = QHBoxLayout()
        fields.addWidget(QLabel("It is"))
        fields.addWidget(self.class_box, 1)
        fields.addWidget(self.note_box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.position_note)
        layout.addLayout(buttons)
        layout.addLayout(fields)

    def _connect(self) -> None:
        self.table.cellClicked.connect(self._chosen)
        self.table.currentCellChanged.connect(self._chosen)
        self.next_button.clicked.connect(lambda: self.step_wanted.emit(1))
        self.previous_button.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.accept_button.clicked.connect(lambda: self.judged.emit("accepted", ""))
        self.reject_button.clicked.connect(lambda: self.judged.emit("rejected", ""))
        self.relabel_button.clicked.connect(self._relabel)
        self.undo_button.clicked.connect(self.undo_wanted)
        self.class_box.lineEdit().returnPressed.connect(self._relabel)
        self.note_box.returnPressed.connect(self._note)


def _button(text: str, key: str, what: str) -> QPushButton:
    button = QPushButton(f"{text} ({key})")
    button.setToolTip(button_tip(what, key))
    button.setAutoDefault(False)
    return button


def _swatch(verdict: str) -> "object":
    """Return a small square of a verdict's colour."""
    from qtpy.QtGui import QPixmap

    picture = QPixmap(12, 12)
    picture.fill(QColor(*COLOURS[verdict]))
    return picture
