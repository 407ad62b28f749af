"""The dock widget "Curtain": hangs it, and says which layer is drawn on which side."""

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
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

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.viewer.commands import NOTHING_CUT
from napari_gigaclf.viewer.controllers.curtain import Side
from napari_gigaclf.viewer.widgets.controls import choose, combo_box, note
from napari_gigaclf.viewer.widgets.curtain_line import make_curtain_line
from napari_gigaclf.viewer.widgets.docked import Docked

HINT = "Drag the line, or press Alt+Left and Alt+Right over the canvas."
SIDES = (("both sides", Side.BOTH), ("left", Side.LEFT), ("right", Side.RIGHT))
SHOWN_EVENTS = ("inserted", "removed", "reordered", "name", "visible")
"""Events of the list of layers and of its layers after which the table is filled anew."""


class CurtainWidget(Docked):
    """Chooses what a curtain uncovers.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:  # noqa: ANN401 - no stubs
        super().__init__(parent)
        line = make_curtain_line(napari_viewer)
        if line is None:
            raise GigaclfError("the curtain hangs over the canvas of a window, and this viewer has none")
        self._viewer = napari_viewer
        self._line = line
        self.curtain = line.curtain
        self.on_box = QCheckBox("Curtain over the slide")
        self.on_box.setToolTip("Draw each layer on its side of a line only (K over the canvas, with Navigate open)")
        self.table = QTableWidget(0, 2)
        self.swap_button = QPushButton("Swap sides")
        self.swap_button.setToolTip("What is left is drawn right, and the other way round")
        self.usual_button = QPushButton("Slide | overlays")
        self.usual_button.setToolTip("The slide alone on the left, with everything over it on the right")
        self.hint = note(HINT)
        self._lay_out()
        self._connect()
        self._closed = False
        self.refresh()

    def refresh(self) -> None:
        """Show the layers, the topmost first, and the side of each."""
        layers = self._line.layers[::-1]
        if [self._row_name(row) for row in range(self.table.rowCount())] != [str(layer.name) for layer in layers]:
            self._fill(layers)
        for row, layer in enumerate(layers):
            box = self.table.cellWidget(row, 1)
            with QSignalBlocker(box):
                choose(box, self.curtain.side(layer))
        with QSignalBlocker(self.on_box):
            self.on_box.setChecked(self.curtain.on)
        same = self.curtain.on and not self.curtain.cuts(layers)
        self.hint.setText(NOTHING_CUT if same else HINT)

    def shut_down(self) -> None:
        """Let go of the viewer; a curtain that hangs stays until it is switched off."""
        if self._closed:
            return
        self._closed = True
        self._let_go()
        for disconnect in self._disconnect:
            disconnect()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _row_name(self, row: int) -> str:
        return str(self.table.item(row, 0).text())

    def _fill(self, layers: list[Any]) -> None:
        self.table.setRowCount(len(layers))
        for row, layer in enumerate(layers):
            item = QTableWidgetItem(str(layer.name))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setToolTip(str(layer.name))
            self.table.setItem(row, 0, item)
            box = combo_box("Where this layer is drawn while the curtain hangs")
            for text, side in SIDES:
                box.addItem(text, side)
            box.setMinimumContentsLength(max(len(text) for text, _ in SIDES))
            box.currentIndexChanged.connect(lambda _index, at=row: self._chosen(at))
            self.table.setCellWidget(row, 1, box)

    def _chosen(self, row: int) -> None:
        layers = self._line.layers[::-1]
        if row < len(layers):
            self.curtain.put(layers[row], self.table.cellWidget(row, 1).currentData())

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(["Layer", "Drawn on"])
        self.table.verticalHeader().hide()
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.on_box)
        column.addWidget(self.table, 1)
        buttons = QHBoxLayout()
        for button in (self.usual_button, self.swap_button):
            buttons.addWidget(button, 1)
        column.addLayout(buttons)
        column.addWidget(self.hint)

    def _connect(self) -> None:
        self.on_box.toggled.connect(self.curtain.switch)
        self.swap_button.clicked.connect(lambda: self.curtain.swap(self._line.layers))
        self.usual_button.clicked.connect(lambda: self.curtain.as_usual())
        events = self._viewer.layers.events

        def changed(event: Any) -> None:  # noqa: ANN401
            if event.type in SHOWN_EVENTS:
                self.refresh()

        events.connect(changed)  # those of the layers, too
        self._disconnect = (lambda: events.disconnect(changed), self.curtain.watch(self.refresh))
