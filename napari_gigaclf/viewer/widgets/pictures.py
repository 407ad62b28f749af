"""Pixels of a slide as a picture in a list."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap


def pixmap(pixels: NDArray[np.uint8], side: int) -> QPixmap:
    """Return RGB pixels (h, w, 3) as a picture whose longer side is ``side`` pixels long."""
    rgb = np.ascontiguousarray(pixels)
    height, width = rgb.shape[:2]
    image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    return QPixmap.fromImage(image).scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio)
