"""Where a second canvas lies while widgets lie beside the first one: under that, between what is left and right."""

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

SIDES = {
    Qt.Corner.TopLeftCorner: Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.Corner.BottomLeftCorner: Qt.DockWidgetArea.LeftDockWidgetArea,
    Qt.Corner.TopRightCorner: Qt.DockWidgetArea.RightDockWidgetArea,
    Qt.Corner.BottomRightCorner: Qt.DockWidgetArea.RightDockWidgetArea,
}
"""Whose the corners are: what lies left and right keeps its height."""


def lay_under(window: QMainWindow, dock: QDockWidget) -> None:
    """Lay a dock under napari's canvas, with half of the height that both have."""
    height = window.centralWidget().height()
    if window.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea and dock.isVisible():
        height += dock.height()
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    dock.show()
    window.resizeDocks([dock], [height // 2], Qt.Orientation.Vertical)


def give_corners_to_sides(window: QMainWindow) -> Callable[[], None]:
    """Let what lies above and under the canvas be no wider than it; returns what gives the corners back."""
    before = {corner: window.corner(corner) for corner in SIDES}

    def give(owners: dict[Qt.Corner, Qt.DockWidgetArea]) -> None:
        for corner, area in owners.items():
            window.setCorner(corner, area)

    give(SIDES)
    return lambda: give(before)
