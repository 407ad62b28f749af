"""What a slide says about itself; the images stored beside it only on request, since they can name a patient."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_gigaclf.viewer.controllers.thumbnails import as_rgb
from napari_gigaclf.viewer.properties import property_rows
from napari_gigaclf.viewer.widgets.pictures import pixmap

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

LARGEST_PICTURE = 700


class PropertiesPanel(QWidget):
    """A table of properties, and a button for each associated image."""

    image_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableWidget(0, 2)
        self.table.setAccessibleName("Properties")
        self.table.setTabKeyNavigation(False)
        self.table.horizontalHeader().hide()
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMinimumHeight(170)
        self.table.setWordWrap(True)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.buttons: dict[str, QPushButton] = {}
        self._row = QHBoxLayout()
        self._row.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(self._row)

    def show_slide(self, slide: "Slide | None") -> None:
        """List the properties of a slide."""
        rows = [] if slide is None else property_rows(slide)
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(number, column, item)
        self.table.resizeRowsToContents()
        for button in self.buttons.values():
            self._row.removeWidget(button)
            button.deleteLater()
        self.buttons = {}
        for name in () if slide is None else slide.associated:
            self.buttons[name] = self._button(name)
            self._row.addWidget(self.buttons[name])

    def _button(self, name: str) -> QPushButton:
        button = QPushButton(f"Show {name}")
        button.setToolTip(f"The {name} image can show who the patient is")
        button.clicked.connect(lambda: self.image_wanted.emit(name))
        return button


class AssociatedImage(QLabel):
    """One associated image in a small window of its own."""

    def __init__(self, name: str, pixels: NDArray[np.generic], parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"{name} - may show who the patient is")
        self.setPixmap(pixmap(as_rgb(pixels), min(LARGEST_PICTURE, max(pixels.shape[:2]))))
