"""The table of lesions: section, foci, area, longest distance and, in a lymph node, the size class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_gigaclf.viewer.findings_texts import lesion_cells, lesion_headers, lesion_text, lesions_text
from napari_gigaclf.viewer.widgets.controls import filling, note

if TYPE_CHECKING:
    from napari_gigaclf.inference.findings.lesions import Lesion

SECTION, FOCI, SIZE = 1, 2, 5
"""Columns that are left out where they say the same in each row, or where there is no room for them."""
ROW_PX = 22
SEEN_ROWS = 3
"""The table is as high as so many lesions, or lower where there are fewer: the room is the places'."""
MOST_ROWS = 200
"""A person does not read more, and a speckled map at a low threshold has a hundred thousand."""


class LesionTable(QWidget):
    """The lesions at the threshold, the longest first."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = note()
        self.table = QTableWidget(0, len(lesion_headers(in_mm=True)))
        self.lesions: tuple[Lesion, ...] = ()
        self.table.setHorizontalHeaderLabels(lesion_headers(in_mm=True))
        self.table.setAccessibleName("Lesions")
        self.table.setToolTip(
            "Foci of one piece of tissue that lie close together; click one to go to its highest place"
        )
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # room for one is room for a row
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(SIZE, QHeaderView.ResizeMode.Stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.table)
        self._fit()
        self.table.cellClicked.connect(self._clicked)
        self.table.cellActivated.connect(self._clicked)

    def show_lesions(self, lesions: "Sequence[Lesion]") -> None:
        """Fill the table; what would be the same in each row has no column, and a row's tooltip says all."""
        self.lesions = tuple(lesions)
        self.text.setText(lesions_text(lesions))
        with filling(self.table):
            self.table.setRowCount(min(len(lesions), MOST_ROWS))
            in_mm = all(each.area_mm2 is not None for each in lesions)
            self.table.setHorizontalHeaderLabels(lesion_headers(in_mm=in_mm))
            for row, lesion in enumerate(lesions[:MOST_ROWS]):
                said = lesion_text(lesion)
                for column, text in enumerate(lesion_cells(lesion, row + 1)):
                    item = QTableWidgetItem(text)
                    item.setFlags(Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled)
                    item.setToolTip(said)
                    self.table.setItem(row, column, item)
        sections = len({each.section for each in lesions}) > 1
        sizes = any(each.size_class for each in lesions)
        for column, shown in ((SECTION, sections), (SIZE, sizes), (FOCI, not (sections and sizes))):
            self.table.setColumnHidden(column, not shown)
        self._fit()

    def _fit(self) -> None:
        """Take no more height than the lesions need; without one there is no table."""
        rows = min(self.table.rowCount(), SEEN_ROWS)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(rows * ROW_PX + header + 2 * self.table.frameWidth())
        self.table.setVisible(rows > 0)

    def _clicked(self, row: int, _column: int) -> None:
        if row < len(self.lesions):
            self.chosen.emit(self.lesions[row])
