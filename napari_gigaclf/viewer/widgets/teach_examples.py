"""The list of examples, those first that the others speak against; and the buttons for going on, undoing, removing."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.viewer.controllers.teach_view import Shown
from napari_gigaclf.viewer.teach_texts import OTHER_SCALE, SUGGESTION_KEY, UNDO_KEY, contested_text
from napari_gigaclf.viewer.widgets.teach_classes import swatch

if TYPE_CHECKING:
    from napari_gigaclf.inference.teaching.lesson import Example

COLUMNS = ("class", "slide", "the others say")
MIN_HEIGHT = 110
ROW_PX = 24


class ExampleList(QWidget):
    """What was clicked."""

    wanted = Signal(object)
    removed = Signal(object)
    suggestion_wanted = Signal()
    undo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(0, len(COLUMNS))
        self.next_button = _button(
            f"Suggestion ({SUGGESTION_KEY})",
            f"Go to the next place where a click teaches much (press {SUGGESTION_KEY})",
        )
        self.undo_button = _button(
            f"Undo ({UNDO_KEY})", f"Take the last click or change back, as often as there is one (press {UNDO_KEY})"
        )
        self.remove_button = _button("Remove", "Remove the example that is chosen in the list (Delete)")
        self.examples: list[Example] = []
        self._set_up()
        self._lay_out()
        self.table.cellClicked.connect(self._go)
        self.table.cellActivated.connect(self._go)
        self.next_button.clicked.connect(self.suggestion_wanted)
        self.undo_button.clicked.connect(self.undo_wanted)
        self.remove_button.clicked.connect(self._remove)
        delete = QShortcut(QKeySequence(Qt.Key.Key_Delete), self.table)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._remove)

    def show_lesson(self, shown: Shown | None) -> None:
        """Fill the list anew: contested examples first, then the latest."""
        examples = [] if shown is None else list(shown.lesson.examples)[::-1]
        contested = {} if shown is None else shown.contested
        examples.sort(key=lambda each: -contested[each.key].probability if each.key in contested else 0.0)
        before = self.chosen
        self.examples = examples
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(examples))
            if shown is not None:
                classes = {each.number: each for each in shown.lesson.classes}
                used = {each.key for each in shown.lesson.used}
                slides = {each.slide_id: each.name for each in shown.lesson.slides}
                for row, example in enumerate(examples):
                    said = contested_text(contested.get(example.key)) if example.key in used else OTHER_SCALE
                    taught = classes[example.class_number]
                    for column, text in enumerate((taught.name, slides.get(example.slide_id, ""), said)):
                        self._fill(row, column, text)
                    self.table.item(row, 0).setIcon(swatch(taught.colour))
            rows = [row for row, each in enumerate(examples) if before is not None and each.key == before.key]
            self.table.setCurrentCell(rows[0] if rows else -1, 0)
        self.undo_button.setEnabled(shown is not None and shown.lesson.can_undo)
        self.remove_button.setEnabled(bool(examples))

    @property
    def chosen(self) -> "Example | None":
        """The example that is chosen in the list."""
        row = self.table.currentRow()
        return self.examples[row] if 0 <= row < len(self.examples) else None

    def _fill(self, row: int, column: int, text: str) -> None:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, column, item)
        item.setText(text)
        item.setToolTip(text)

    def _go(self, row: int, _column: int) -> None:
        if row < len(self.examples):
            self.wanted.emit(self.examples[row])

    def _remove(self) -> None:
        self.removed.emit(self.chosen)

    def _set_up(self) -> None:
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Examples")
        self.table.setToolTip("Click or press Enter to go there; the others, without it, would say another class")
        self.table.setMinimumHeight(MIN_HEIGHT)
        self.table.verticalHeader().setVisible(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for button in (self.next_button, self.undo_button, self.remove_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.table, 1)


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setAutoDefault(False)
    return button
