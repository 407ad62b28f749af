"""The list of keys, in a small window that stays open while one works."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_gigaclf.viewer.key_list import all_keys

HEIGHT_ROOM = 40
WIDTH = 380
SCREEN_SHARE = 0.8
"""Most of the screen's height that the list takes; the rest is scrolled to."""


class ShortcutList(QWidget):
    """A table of what can be done by key, under the widgets that must be open for it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool)
        self.setWindowTitle("Keys of the canvas")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.table = QTableWidget(0, 2)
        self.table.setTabKeyNavigation(False)
        self.table.setHorizontalHeaderLabels(["What", "Key"])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for widget, actions in all_keys().items():
            self._add(f"While {widget} is open", None)
            for what, keys in actions:
                self._add(what, " or ".join(map(spelled, keys)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        whole = self.table.rowHeight(0) * (self.table.rowCount() + 1) + HEIGHT_ROOM
        self.resize(WIDTH, min(whole, int(SCREEN_SHARE * self.screen().availableGeometry().height())))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Close on Escape, as dialogs do."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
            return
        super().keyPressEvent(event)

    def _add(self, what: str, key: str | None) -> None:
        """Add a row; without a key a heading over both columns."""
        row = self.table.rowCount()
        self.table.insertRow(row)
        cell = QTableWidgetItem(what)
        self.table.setItem(row, 0, cell)
        if key is None:
            font = cell.font()
            font.setBold(True)
            cell.setFont(font)
            self.table.setSpan(row, 0, 1, 2)
        else:
            self.table.setItem(row, 1, QTableWidgetItem(key))


def spelled(key: str) -> str:
    """Return a key as a person reads it.

    Examples
    --------
    >>> spelled("Alt-S"), spelled("-"), spelled("PageDown")
    ('Alt+S', '-', 'PageDown')
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
