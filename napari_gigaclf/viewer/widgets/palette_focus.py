"""Gives the focus back when napari's command palette closes: else the window's first button, far from it, has it."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

PALETTE = "QCommandPalette"
"""napari's class, which is private there."""


class PaletteFocus(QObject):
    """Watches the command palette of a window.

    Parameters
    ----------
    window
        napari's window, which owns this.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._before: QWidget | None = None
        self._palettes = [each for each in window.findChildren(QWidget) if type(each).__name__ == PALETTE]
        for palette in self._palettes:
            palette.installEventFilter(self)
            palette.hidden.connect(lambda palette=palette: self._closes(palette))

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Remember what has the focus: Qt tells of the palette before it takes it."""
        if event.type() == QEvent.Type.Show:
            focus = QApplication.focusWidget()
            self._before = focus
            if focus is not None:
                focus.destroyed.connect(self._forget)
        return False

    def _closes(self, palette: QWidget) -> None:
        """Give the focus back before the command runs, which may take it for a field of its own."""
        before, self._before = self._before, None
        if before is None:
            return
        before.destroyed.disconnect(self._forget)
        focus = QApplication.focusWidget()
        if before.isVisible() and (focus is None or palette.isAncestorOf(focus)):
            before.setFocus(Qt.FocusReason.OtherFocusReason)

    def _forget(self, gone: QObject | None = None) -> None:
        del gone
        self._before = None
