"""The list of taught classes: the key that chooses each, its colour, its name to be edited, and its examples."""

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.inference.teaching.lesson import MAX_NAME
from napari_gigaclf.viewer.controllers.teach_view import Shown

COLUMNS = ("key", "class", "examples")
SWATCH_PX = 14
HEIGHT = 118
COLOUR_ROLE = Qt.ItemDataRole.UserRole
"""Where an item keeps the colour of its swatch."""


class ClassList(QWidget):
    """Classes that can be chosen, added, renamed and removed."""

    chosen = Signal(int)
    added = Signal(str)
    renamed = Signal(int, str)
    removed = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(0, len(COLUMNS))
        self.name_box = QLineEdit()
        self.add_button = QPushButton("Add class")
        self.remove_button = QPushButton("Remove class")
        self._numbers: list[int] = []
        self._set_up()
        self._lay_out()
        self.table.currentCellChanged.connect(self._chosen)
        self.table.cellClicked.connect(self._chosen)
        self.table.itemChanged.connect(self._edited)
        self.add_button.clicked.connect(self._add)
        self.name_box.returnPressed.connect(self._add)
        self.remove_button.clicked.connect(self._remove)

    def show_lesson(self, shown: Shown | None) -> None:
        """Fill the list anew; what is as it was stays untouched, so that a name being typed is not lost."""
        classes = () if shown is None else shown.lesson.classes
        counts = {} if shown is None else shown.lesson.counts()
        self._numbers = [each.number for each in classes]
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(classes))
            for row, each in enumerate(classes):
                self._item(row, 0, str(row + 1), editable=False)
                self._colour(self._item(row, 1, each.name, editable=True), each.colour)
                self._item(row, 2, str(counts[each.number]), editable=False)
            if shown is not None and shown.current_class in self._numbers:
                row = self._numbers.index(shown.current_class)
                if row != self.table.currentRow():
                    self.table.setCurrentCell(row, 1)
        self.remove_button.setEnabled(bool(classes))
        self.add_button.setEnabled(shown is not None)

    def _item(self, row: int, column: int, text: str, *, editable: bool) -> Any:  # noqa: ANN401 - an item of Qt's
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
            item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if editable else flags)
            self.table.setItem(row, column, item)
        item.setText(text)
        return item

    def _colour(self, item: Any, colour: tuple[int, int, int]) -> None:  # noqa: ANN401 - an item of Qt's
        """Colour an item's swatch; a new icon, equal or not, would set the editor over it back to the old name."""
        name = QColor(*colour).name()  # a text comes back as it was put in, whatever the binding of Qt
        if item.data(COLOUR_ROLE) != name:
            item.setData(COLOUR_ROLE, name)
            item.setIcon(swatch(colour))

    def _chosen(self, row: int, *_more: int) -> None:
        if 0 <= row < len(self._numbers):
            self.chosen.emit(self._numbers[row])

    def _edited(self, item: Any) -> None:  # noqa: ANN401 - an item of Qt's
        if item.column() == 1 and item.row() < len(self._numbers):
            self.renamed.emit(self._numbers[item.row()], item.text())

    def _add(self) -> None:
        name = self.name_box.text().strip() or f"class {1 + max(self._numbers, default=-1) + 1}"
        self.name_box.clear()
        self.added.emit(name)

    def _remove(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._numbers):
            self.removed.emit(self._numbers[row])

    def _set_up(self) -> None:
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Classes")
        self.table.setToolTip("The class that a click gives; press its number, or F2 or double-click to rename it")
        self.table.setFixedHeight(HEIGHT)
        self.table.verticalHeader().setVisible(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        triggers = QAbstractItemView.EditTrigger
        self.table.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.name_box.setMaxLength(MAX_NAME)
        self.name_box.setPlaceholderText("name of a new class")
        self.name_box.setToolTip("Name of a new class; Enter adds it")
        self.add_button.setToolTip("Add a class; clicks then give it")
        self.remove_button.setToolTip("Remove the class and its examples; Undo brings them back")
        self.add_button.setAutoDefault(False)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.name_box, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(row)


def swatch(colour: tuple[int, int, int]) -> QIcon:
    """Return a small square of a colour."""
    picture = QPixmap(SWATCH_PX, SWATCH_PX)
    picture.fill(QColor(*colour))
    return QIcon(picture)
