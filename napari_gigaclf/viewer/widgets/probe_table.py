"""The lower part of the widget: every place that was asked about is a row with a picture, its place and its numbers."""

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.viewer.controllers.probe import THUMBNAIL_PX, ProbeRow
from napari_gigaclf.viewer.texts import answer_text, area_text
from napari_gigaclf.viewer.widgets.controls import note
from napari_gigaclf.viewer.widgets.pictures import pixmap

COLUMNS = ("", "y", "x", "what the model says")
MIN_HEIGHT = 170
ICON_PX = 48


class ProbePanel(QWidget):
    """Click-to-classify, measuring of drawn shapes, and the table of answers."""

    tool_toggled = Signal(bool)
    measure_wanted = Signal()
    row_activated = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool_box = QCheckBox("Click to classify")
        self.tool_box.setToolTip("A click on the slide asks about the field around it; dragging still pans")
        self.measure_button = QPushButton("Measure shape")
        self.measure_button.setToolTip("Area, mean, highest and share above one half within the selected shape")
        self.clear_button = QPushButton("Clear")
        self.waiting_note = note()
        self.waiting_note.setVisible(False)
        self.table = QTableWidget(0, len(COLUMNS))
        self.rows: list[ProbeRow] = []
        self._set_up_table()
        buttons = QHBoxLayout()
        for control in (self.tool_box, self.measure_button, self.clear_button):
            buttons.addWidget(control)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.waiting_note)
        layout.addWidget(self.table, 1)
        self.tool_box.toggled.connect(self.tool_toggled)
        self.measure_button.clicked.connect(self.measure_wanted)
        self.table.cellDoubleClicked.connect(self._activated)

    def add(self, row: ProbeRow, shown_class: str) -> None:
        """Add an answer at the end of the table."""
        self.rows.append(row)
        index = self.table.rowCount()
        self.table.insertRow(index)
        picture = QTableWidgetItem(str(row.number))
        picture.setIcon(QIcon(pixmap(row.thumbnail, THUMBNAIL_PX)))
        place = row.position_um or row.position
        text = answer_text(row.answer) if row.kind == "field" else area_text(row.answer, shown_class)
        items = [picture, QTableWidgetItem(f"{place[0]:.0f}"), QTableWidgetItem(f"{place[1]:.0f}")]
        items.append(QTableWidgetItem(text))
        unit = "µm" if row.position_um else "px"
        self.table.setHorizontalHeaderLabels(["", f"y ({unit})", f"x ({unit})", COLUMNS[-1]])
        for column, item in enumerate(items):
            item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
            item.setToolTip(text)
            self.table.setItem(index, column, item)
        self.table.resizeRowToContents(index)
        self.table.scrollToBottom()

    def drop(self, slide_id: str | None = None) -> None:
        """Take the rows of one slide away, or all."""
        keep = [row for row in self.rows if slide_id is not None and row.slide_id != slide_id]
        for index in reversed(range(len(self.rows))):
            if self.rows[index] not in keep:
                self.table.removeRow(index)
        self.rows = keep

    def fields(self, slide_id: str) -> list[ProbeRow]:
        """Return the rows that are clicks on a slide."""
        return [row for row in self.rows if row.slide_id == slide_id and row.kind == "field"]

    def show_waiting(self, num_waiting: int) -> None:
        """Say that answers are on their way."""
        self.waiting_note.setVisible(num_waiting > 0)
        self.waiting_note.setText(f"asking the model ({num_waiting})...")

    def texts(self) -> Sequence[str]:
        """Return the last column of the table."""
        items = (self.table.item(index, len(COLUMNS) - 1) for index in range(self.table.rowCount()))
        return [item.text() for item in items if item is not None]

    def _activated(self, index: int, _column: int) -> None:
        self.row_activated.emit(self.rows[index])

    def _set_up_table(self) -> None:
        self.table.setHorizontalHeaderLabels(["", "y (µm)", "x (µm)", COLUMNS[-1]])
        self.table.setIconSize(QSize(ICON_PX, ICON_PX))
        self.table.setMinimumHeight(MIN_HEIGHT)
        self.table.setWordWrap(True)
        self.table.verticalHeader().setVisible(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
