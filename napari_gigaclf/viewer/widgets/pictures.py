"""Pixels of a slide as Qt's pictures."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap


def image_of(pixels: NDArray[np.uint8]) -> QImage:
    """Return RGB pixels (h, w, 3) as an image of Qt's, which owns its memory."""
    rgb = np.ascontiguousarray(pixels)
    height, width = rgb.shape[:2]
    return QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def pixmap(pixels: NDArray[np.uint8], side: int) -> QPixmap:
    """Return RGB pixels (h, w, 3) as a picture whose longer side is ``side`` pixels long."""
    return QPixmap.fromImage(image_of(pixels)).scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio)
