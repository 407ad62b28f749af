"""A frame around the widget that has the keyboard: napari's themes draw none, so nobody sees where a key will go."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QRegion
from qtpy.QtWidgets import QApplication, QMainWindow, QSplitter, QWidget

COLOUR = QColor("#3b8cff")
"""Seen on napari's dark theme and on its light one, on a button and on glass."""
WIDTH_PX = 2


class FocusFrame(QWidget):
    """Lies over a widget and lets the mouse through; goes with the widget, or by itself when the focus goes."""

    def __init__(self, around: QWidget) -> None:
        super().__init__(around)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._fit(around)
        around.installEventFilter(self)
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the widget's size."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self._fit(watched)
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Fill what the mask leaves."""
        QPainter(self).fillRect(self.rect(), COLOUR)

    def _fit(self, around: QWidget) -> None:
        """Be as large as the widget, and nothing but an edge: over a canvas the rest would be drawn at each frame."""
        self.setGeometry(around.rect())
        inner = self.rect().adjusted(WIDTH_PX, WIDTH_PX, -WIDTH_PX, -WIDTH_PX)
        self.setMask(QRegion(self.rect()).subtracted(QRegion(inner)))
        self.raise_()


BY_MOUSE = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick)
BY_KEY = (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride)
"""Qt asks what has the focus about every key, also about one that is a shortcut of the window."""


class FocusFrames(QObject):
    """Frames what gets the focus by keyboard in a window and in its dialogs; what the mouse pressed needs no frame.

    Nor does what gets the focus because the mouse pressed something: a button that greys out hands it on.

    Parameters
    ----------
    window
        napari's window, which owns this.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._frame: FocusFrame | None = None
        self._by_mouse = False
        """Whether the mouse, not a key, was used last where the focus is."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._moved)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Notice how a person works where the focus is."""
        if event.type() in BY_MOUSE:
            self._by_mouse = True
        elif event.type() in BY_KEY:
            self._by_mouse = False
        return False

    def _moved(self, before: QWidget | None, now: QWidget | None) -> None:
        if before is not None:
            before.removeEventFilter(self)
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._by_mouse = True
        frame, self._frame = self._frame, None
        if frame is not None:
            frame.destroyed.disconnect(self._forget)
            frame.deleteLater()
        if now is None:
            return
        now.installEventFilter(self)
        if self._by_mouse or not self._belongs(now):
            return
        self._frame = FocusFrame(_framed(now))
        self._frame.destroyed.connect(self._forget)

    def _forget(self, gone: QObject | None = None) -> None:
        """Hold no frame that went with its widget."""
        del gone
        self._frame = None

    def _belongs(self, widget: QWidget) -> bool:
        """Return whether a widget is in the window or in one of its dialogs, and not in a list that dropped down."""
        if widget is self._window or widget.window().windowType() == Qt.WindowType.Popup:
            return False
        parent: QWidget | None = widget
        while parent is not None and parent is not self._window:
            parent = parent.parentWidget()
        return parent is not None


def _framed(widget: QWidget) -> QWidget:
    """Return what the frame lies over: of a splitter, as napari's viewer is, its first part.

    A splitter would make the frame one of its parts.
    """
    part = widget.widget(0) if isinstance(widget, QSplitter) and widget.count() else None
    return widget if part is None else part
