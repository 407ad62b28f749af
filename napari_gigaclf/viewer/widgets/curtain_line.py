"""The line of a curtain over napari's canvas: it is dragged, or moved by the arrow keys while it has the focus.

It is a widget of its own above the canvas, so that dragging it neither pans nor draws nor asks, whatever the selected
layer does with the mouse. It belongs to the canvas, holds the curtain's state, and goes with it.
"""

from typing import Any

from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_gigaclf.viewer.controllers.curtain import Curtain
from napari_gigaclf.viewer.half_clips import HalfClips
from napari_gigaclf.viewer.widgets.canvases import qt_viewer_of

WIDTH = 23
"""Pixels that answer to the mouse; the line itself is three wide."""
GRIP = 9.0
"""Radius of the handle in the middle."""
STRIDE = 5
"""Steps of an arrow key while Shift is held."""
TIP = "Curtain: drag, or click and press the arrow keys (Shift: further, Home: the middle, Esc: away)"
LIGHT, DARK = QColor(255, 255, 255), QColor(20, 20, 20)
MARKED = QColor(255, 190, 40)


class CurtainLine(QWidget):
    """The curtain of one canvas.

    Parameters
    ----------
    canvas
        What napari draws on, a ``VispyCanvas``.
    model
        The viewer itself.
    """

    def __init__(self, canvas: Any, model: Any) -> None:  # noqa: ANN401 - napari has no stubs
        super().__init__(canvas.native)
        self.curtain = Curtain()
        self._model = model
        self._clips = HalfClips(canvas, self.curtain)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(TIP)
        self.setAccessibleName("curtain")
        self.setAccessibleDescription(TIP)
        self.hide()
        canvas.native.installEventFilter(self)
        self.curtain.watch(self._changed)

    @property
    def layers(self) -> list[Any]:
        """The layers of the canvas, bottom to top."""
        return list(self._model.layers)

    def _changed(self) -> None:
        if self.curtain.on:
            self._place()
            self.show()
            self.raise_()
            self._clips.start()
        elif self.isVisibleTo(self.parentWidget()):
            if self.hasFocus():
                self.parentWidget().setFocus()
            self.hide()
            self._clips.stop()

    def _place(self) -> None:
        canvas = self.parentWidget()
        edge = round(self.curtain.at * canvas.width())
        self.setGeometry(edge - WIDTH // 2 - 1, 0, WIDTH, canvas.height())

    # --- mouse and keys ---------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the line."""
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Take the line along."""
        canvas = self.parentWidget()
        self.curtain.move_to(canvas.mapFromGlobal(event.globalPosition()).x() / max(1, canvas.width()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Leave the line where it is."""
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Ask about nothing."""
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move by the arrow keys; other keys are the canvas's."""
        stride = STRIDE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        alone = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier & ~Qt.KeyboardModifier.KeypadModifier
        steps = {Qt.Key.Key_Left: -stride, Qt.Key.Key_Right: stride}.get(event.key())
        if alone and steps is not None:
            self.curtain.step(steps)
        elif alone and event.key() == Qt.Key.Key_Home:
            self.curtain.move_to(0.5)
        elif alone and event.key() == Qt.Key.Key_Escape:
            self.curtain.switch(False)
        else:
            event.ignore()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the place on a canvas of another size."""
        if watched is self.parentWidget() and event.type() == QEvent.Type.Resize and self.curtain.on:
            self._place()
        return False

    def focusInEvent(self, event: QEvent) -> None:
        """Show that the arrow keys move the line."""
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QEvent) -> None:
        """Show that they do not any more."""
        self.update()
        super().focusOutEvent(event)

    # --- drawing ----------------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw a white line with dark edges, seen on glass and on tissue, and the handle."""
        painter = QPainter(self)
        middle, height = WIDTH // 2, self.height()
        painter.fillRect(middle - 1, 0, 3, height, DARK)
        painter.fillRect(middle, 0, 1, height, MARKED if self.hasFocus() else LIGHT)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        centre = QPointF(middle + 0.5, height / 2)
        painter.setPen(QPen(DARK, 1.5))
        painter.setBrush(MARKED if self.hasFocus() else LIGHT)
        painter.drawEllipse(QRectF(centre.x() - GRIP, centre.y() - GRIP, 2 * GRIP, 2 * GRIP))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(DARK)
        for way in (-1, 1):
            tip = QPointF(centre.x() + way * 6.5, centre.y())
            base = centre.x() + way * 2
            painter.drawPolygon(QPolygonF([tip, QPointF(base, centre.y() - 4), QPointF(base, centre.y() + 4)]))


def curtain_line(viewer: Any) -> CurtainLine | None:  # noqa: ANN401 - napari has no stubs
    """Return the curtain of a viewer, on or off; None for a viewer without a window or one that never had a curtain."""
    drawn = qt_viewer_of(viewer)
    return None if drawn is None else drawn.canvas.native.findChild(CurtainLine)


def make_curtain_line(viewer: Any) -> CurtainLine | None:  # noqa: ANN401 - napari has no stubs
    """Return the curtain of a viewer, made if there was none; None for a viewer without a window."""
    found = curtain_line(viewer)
    drawn = qt_viewer_of(viewer)
    if found is not None or drawn is None:
        return found
    return CurtainLine(drawn.canvas, drawn.viewer)
