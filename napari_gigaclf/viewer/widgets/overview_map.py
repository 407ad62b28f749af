"""The slide from afar with a box around what one sees; a click or a drag moves the view there."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_gigaclf.viewer.widgets.pictures import image_of

HEIGHT = 190
SMALLEST_BOX = 6.0
"""A view that is smaller than this on the overview is drawn as large, so that one finds it."""
BOX_COLOUR = QColor(220, 30, 60)


class OverviewMap(QWidget):
    """Draws the overview and reports where it is pressed."""

    pressed = Signal(float, float)
    """Share of the slide's height and width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._box = (0.0, 1.0, 0.0, 1.0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Click or drag to look at a place of the slide")
        self.setAccessibleName("Overview of the slide")

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the other controls at 1280 x 800."""
        return QSize(240, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the same height and less width."""
        return QSize(120, HEIGHT)

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show a picture, (h, w, 3), or nothing."""
        self._image = None if picture is None else image_of(picture)
        self.update()

    def show_box(self, box: tuple[float, float, float, float]) -> None:
        """Show the view, shares (y0, y1, x0, x1) of the slide."""
        if box != self._box:
            self._box = box
            self.update()

    def picture_rect(self) -> QRectF:
        """Return where the slide is drawn."""
        if self._image is None:
            return QRectF()
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRectF(
            (self.width() - size.width()) / 2, (self.height() - size.height()) / 2, size.width(), size.height()
        )

    def view_rect(self) -> QRectF:
        """Return where the view is drawn, cut at the slide's edge."""
        whole = self.picture_rect()
        y0, y1, x0, x1 = (min(max(share, 0.0), 1.0) for share in self._box)
        rect = QRectF(
            whole.x() + x0 * whole.width(),
            whole.y() + y0 * whole.height(),
            (x1 - x0) * whole.width(),
            (y1 - y0) * whole.height(),
        )
        if rect.width() < SMALLEST_BOX or rect.height() < SMALLEST_BOX:
            centre = rect.center()
            rect.setSize(rect.size().expandedTo(QRectF(0, 0, SMALLEST_BOX, SMALLEST_BOX).size()))
            rect.moveCenter(centre)
        return rect

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw picture and box."""
        if self._image is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self.picture_rect(), self._image)
        painter.setPen(QPen(BOX_COLOUR, 2))
        painter.drawRect(self.view_rect())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Look there."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._report(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow a drag."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._report(event.position())

    def changeEvent(self, event: QEvent) -> None:
        """Draw anew in another theme."""
        super().changeEvent(event)
        self.update()

    def _report(self, position: QPointF) -> None:
        whole = self.picture_rect()
        if whole.isEmpty():
            return
        y = (position.y() - whole.y()) / whole.height()
        x = (position.x() - whole.x()) / whole.width()
        self.pressed.emit(min(max(y, 0.0), 1.0), min(max(x, 0.0), 1.0))
