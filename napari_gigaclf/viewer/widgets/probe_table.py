"""Ask anywhere: the tool, what can be asked, and a table with a picture, a place and numbers for every answer."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.ask_texts import row_details, row_text
from napari_gigaclf.viewer.controllers.probe import ProbeRow
from napari_gigaclf.viewer.controllers.thumbnails import THUMBNAIL_PX
from napari_gigaclf.viewer.widgets.controls import note
from napari_gigaclf.viewer.widgets.pictures import pixmap

COLUMNS = ("", "y", "x", "what the model says")
MIN_HEIGHT = 170
ICON_PX = 48
ROW_MARGIN_PX = 8
ASKING = "asking the model..."


class ProbePanel(QWidget):
    """The click tool, questions about drawn shapes and the view, and the table of answers."""

    tool_toggled = Signal(bool)
    measure_wanted = Signal()
    view_wanted = Signal()
    class_wanted = Signal(str)
    stop_wanted = Signal()
    row_activated = Signal(object)
    row_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.drawn_classes: Callable[[], Mapping[str, int]] = dict
        """Gives how many shapes of each class are drawn, when the menu opens."""
        self.tool_box = QCheckBox("Click to classify")
        self.tool_box.setToolTip(
            "A click on the slide asks about the field around it, Shift and a drag about a box; a drag still pans"
        )
        self.measure_button = QPushButton("Measure shape")
        self.more_button = QPushButton("More")
        self.more_menu = QMenu(self.more_button)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setToolTip("Take all answers, and what was shown for them, away")
        self.threshold_box = QDoubleSpinBox()
        self.waiting_note = note()
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Stop what the network looks at for questions")
        self.table = QTableWidget(0, len(COLUMNS))
        self.rows: list[ProbeRow] = []
        self._set_up_measure()
        self._set_up_threshold()
        self._set_up_table()
        self._lay_out()
        self.tool_box.toggled.connect(self.tool_toggled)
        self.stop_button.clicked.connect(self.stop_wanted)
        self.table.cellDoubleClicked.connect(self._activated)
        self.table.cellActivated.connect(self._activated)
        self.table.itemSelectionChanged.connect(self.row_chosen)
        self.show_looking(0, "")

    @property
    def threshold(self) -> float:
        """Probability from which tissue counts as the class, for the next questions."""
        return float(self.threshold_box.value())

    @property
    def chosen(self) -> ProbeRow | None:
        """The row that is selected; the last one if none is."""
        indices: list[int] = [index.row() for index in self.table.selectedIndexes() if index.row() < len(self.rows)]
        if indices:
            return self.rows[min(indices)]
        return self.rows[-1] if self.rows else None

    def add(self, row: ProbeRow, shown_class: str) -> None:
        """Add an answer at the end of the table, and select it."""
        self.rows.append(row)
        index = self.table.rowCount()
        self.table.insertRow(index)
        place = row.position_um or row.position
        items = [QTableWidgetItem(str(row.number)), QTableWidgetItem(f"{place[0]:.0f}")]
        items += [QTableWidgetItem(f"{place[1]:.0f}"), QTableWidgetItem(row_text(row, shown_class))]
        unit = "µm" if row.position_um else "px"
        self.table.setHorizontalHeaderLabels(["", f"y ({unit})", f"x ({unit})", COLUMNS[-1]])
        for column, item in enumerate(items):
            item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
            item.setToolTip(row_details(row, shown_class))
            self.table.setItem(index, column, item)
        self._fit_row(index)
        self.table.selectRow(index)
        self.table.scrollToBottom()

    def _fit_row(self, index: int) -> None:
        """Make a row as high as its text: Qt forgets the cell's own margin where a text has several lines."""
        self.table.resizeRowToContents(index)
        self.table.setRowHeight(index, self.table.rowHeight(index) + ROW_MARGIN_PX)

    def show_picture(self, number: int, picture: NDArray[np.uint8]) -> None:
        """Show what the place of a row looks like, (h, w, 3)."""
        for index, row in enumerate(self.rows):
            item = self.table.item(index, 0)
            if row.number == number and item is not None:
                item.setIcon(QIcon(pixmap(picture, THUMBNAIL_PX)))
                self._fit_row(index)

    def drop(self, slide_id: str | None = None) -> None:
        """Take the rows of one slide away, or all."""
        keep = [row for row in self.rows if slide_id is not None and row.slide_id != slide_id]
        for index in reversed(range(len(self.rows))):
            if self.rows[index] not in keep:
                del self.rows[index]
                self.table.removeRow(index)

    def fields(self, slide_id: str) -> list[ProbeRow]:
        """Return the rows that are clicks and boxes on a slide; drawn shapes have outlines of their own."""
        return [
            row
            for row in self.rows
            if row.slide_id == slide_id and (row.kind == "field" or isinstance(row.question.place, Box))
        ]

    def show_looking(self, num_questions: int, stage: str) -> None:
        """Say that the network looks at places, what is being done, and offer to stop it."""
        self.waiting_note.setVisible(num_questions > 0)
        self.waiting_note.setText(stage or ASKING)
        self.stop_button.setVisible(num_questions > 0)

    def texts(self) -> Sequence[str]:
        """Return the last column of the table."""
        items = (self.table.item(index, len(COLUMNS) - 1) for index in range(self.table.rowCount()))
        return [item.text() for item in items if item is not None]

    def _activated(self, index: int, _column: int) -> None:
        self.row_activated.emit(self.rows[index])

    def _set_up_measure(self) -> None:
        self.measure_button.setToolTip("Ask about the selected shape; holes in it are left out")
        self.measure_button.clicked.connect(self.measure_wanted)
        self.more_button.setToolTip("Ask about what is in view, or about all annotations of a class together")
        self.more_menu.aboutToShow.connect(self._fill_menu)
        self.more_button.setMenu(self.more_menu)

    def _fill_menu(self) -> None:
        """List what can be asked about now."""
        menu = self.more_menu
        menu.clear()
        menu.addAction("Selected shape", self.measure_wanted.emit)
        menu.addAction("What is in view", self.view_wanted.emit)
        menu.addSeparator()
        for name, count in sorted(self.drawn_classes().items()):
            title = f"All of class {name} ({count})" if name else f"All without a class ({count})"
            menu.addAction(title).triggered.connect(lambda _checked=False, name=name: self.class_wanted.emit(name))

    def _set_up_threshold(self) -> None:
        self.threshold_box.setRange(0.0, 1.0)
        self.threshold_box.setSingleStep(0.05)
        self.threshold_box.setValue(0.5)
        self.threshold_box.setToolTip("Tissue counts as a class from this probability on, in the next answers")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for control in (self.tool_box, self.measure_button, self.more_button, self.clear_button):
            buttons.addWidget(control)
        threshold = QHBoxLayout()
        threshold.addWidget(QLabel("Tissue counts from probability"))
        threshold.addWidget(self.threshold_box)
        waiting = QHBoxLayout()
        waiting.addWidget(self.waiting_note, 1)
        waiting.addWidget(self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for row in (buttons, threshold, waiting):
            layout.addLayout(row)
        layout.addWidget(self.table, 1)

    def _set_up_table(self) -> None:
        self.table.setHorizontalHeaderLabels(["", "y (µm)", "x (µm)", COLUMNS[-1]])
        self.table.setAccessibleName("Answers")
        self.table.setTabKeyNavigation(False)
        self.table.setIconSize(QSize(ICON_PX, ICON_PX))
        self.table.setMinimumHeight(MIN_HEIGHT)
        self.table.setWordWrap(True)
        self.table.verticalHeader().setVisible(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
