"""The list of keys, in a small window that stays open while one works."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_gigaclf.viewer.commands import COMMANDS

HEIGHT_ROOM = 40
WIDTH = 360


class ShortcutList(QWidget):
    """A table of commands and their keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Keys of the canvas")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.table = QTableWidget(len(COMMANDS), 2)
        self.table.setHorizontalHeaderLabels(["What", "Key"])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for row, command in enumerate(COMMANDS):
            self.table.setItem(row, 0, QTableWidgetItem(command.title))
            self.table.setItem(row, 1, QTableWidgetItem(" or ".join(spelled(key) for key in command.keys)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        self.resize(WIDTH, self.table.rowHeight(0) * (len(COMMANDS) + 1) + HEIGHT_ROOM)


def spelled(key: str) -> str:
    """Return a key as a person reads it.

    Examples
    --------
    >>> spelled("Alt-S"), spelled("-")
    ('Alt+S', '-')
    """
    return key if len(key) == 1 else key.replace("-", "+")


def show_list(viewer: Any) -> ShortcutList:  # noqa: ANN401 - napari has no stubs
    """Show the list beside napari's window."""
    shown = ShortcutList(_main_window(viewer))
    shown.show()
    return shown


def _main_window(viewer: Any) -> QWidget | None:  # noqa: ANN401 - napari has no stubs
    """Return napari's window: the list belongs to it and closes with it."""
    from qtpy.QtWidgets import QApplication, QMainWindow

    windows = [each for each in QApplication.topLevelWidgets() if isinstance(each, QMainWindow) and each.isVisible()]
    titled = [each for each in windows if each.windowTitle() == viewer.title]
    return (titled or windows or [None])[0]
