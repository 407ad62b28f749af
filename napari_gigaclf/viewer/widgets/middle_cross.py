"""A cross over the middle of a canvas, for what is measured without a mouse."""

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

SIDE = 31
GAP = 3
"""Pixels around the middle that stay free: what lies there is what one looks at."""
LIGHT, DARK = QColor(255, 255, 255), QColor(20, 20, 20)
"""One inside the other: seen on glass, on tissue and on fluorescence."""


def crossing(canvas: QWidget | None) -> Callable[[bool], None]:
    """Return what shows a cross over a canvas, or hides it; it does nothing without one, or once that is gone."""
    crosses = [] if canvas is None else [MiddleCross(canvas)]
    for each in crosses:
        each.destroyed.connect(lambda: crosses.clear())

    def show(visible: bool) -> None:
        for each in crosses:
            each.setVisible(visible)

    return show


class MiddleCross(QWidget):
    """Belongs to a canvas and goes with it; hidden at first, and never in the mouse's way.

    Parameters
    ----------
    canvas
        What is drawn on.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        self._place()
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the middle."""
        if event.type() == QEvent.Type.Resize and watched is self.parentWidget():
            self._place()
        return False

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw four strokes that leave the middle free."""
        painter = QPainter(self)
        middle, end = SIDE // 2, SIDE - 1
        for colour, width in ((DARK, 3), (LIGHT, 1)):
            painter.setPen(QPen(colour, width))
            for begin, stop in ((0, middle - GAP), (middle + GAP, end)):
                painter.drawLine(begin, middle, stop, middle)
                painter.drawLine(middle, begin, middle, stop)

    def _place(self) -> None:
        canvas = self.parentWidget()
        self.setGeometry(canvas.width() // 2 - SIDE // 2, canvas.height() // 2 - SIDE // 2, SIDE, SIDE)
