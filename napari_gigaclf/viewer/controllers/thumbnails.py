"""What a place of a slide looks like, small: the pictures in the table of answers."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.slides import Slide

THUMBNAIL_PX = 64


def thumbnail(slide: "Slide", outline: "BaseGeometry", side: int = THUMBNAIL_PX) -> NDArray[np.uint8]:
    """Return what the slide looks like within an outline, about ``side`` pixels wide, (h, w, 3) uint8."""
    x0, y0, x1, y1 = outline.bounds
    extent = max(x1 - x0, y1 - y0, 1.0)
    wanted = extent / side
    fitting = [index for index, level in enumerate(slide.levels) if level.downsample <= max(1.0, wanted)]
    index = fitting[-1] if fitting else 0
    step = slide.levels[index].step
    centre = ((y0 + y1) / 2 / step[0], (x0 + x1) / 2 / step[1])
    half = max(1, round(min(extent / min(step), 4 * side) / 2))
    y, x = round(centre[0]), round(centre[1])
    pixels = slide.read(index, y - half, y + half, x - half, x + half)
    stride = max(1, (2 * half) // side)
    return np.ascontiguousarray(as_rgb(pixels)[::stride, ::stride])


def as_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels of any kind, (h, w, c) or (h, w), for the eye; of other kinds than colour the first channel."""
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    if planes.dtype == np.uint8 and planes.shape[-1] == 3:
        return planes
    first = planes[..., 0].astype(np.float64)
    top = float(first.max()) or 1.0
    return np.repeat((first / top * 255).astype(np.uint8)[..., None], 3, axis=2)
