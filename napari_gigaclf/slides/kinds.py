"""Tells brightfield from fluorescence, from what the file says and otherwise from its pixels.

What the file says counts first (Hamamatsu's filter name, Leica's illumination source, OME's contrast method). Where an
8-bit RGB file says nothing, a few tiles decide. In brightfield all the light passes through the slide and stain only
takes some of it away, so glass is bright in all three channels and even dark tissue keeps most of its red. In
fluorescence light is added to darkness: nearly everywhere at least one channel is close to 0, and most of the image is
dark. Both must hold for fluorescence, so that brightfield with pen marks, blood or a black frame stays brightfield.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.boundary import LIBRARY_ERRORS
from napari_gigaclf.slides.slide import Kind

DARK_CHANNEL = 40
"""A channel below this is as good as unlit (of 255)."""
DARK_PIXEL = 100
"""A pixel with all channels below this is dark."""
PROBE_SIDE = 1024
"""Side of the middle part that is looked at where a file does not tell its tiles."""
MIN_SHARE_UNLIT = 0.9
MIN_SHARE_DARK = 0.5


def kind_of_rgb(blocks: Iterable[NDArray[np.uint8]]) -> Kind:
    """Decide from sample blocks (h, w, 3) of an 8-bit RGB image whether light was added or taken away.

    Pixels of exactly 0 in all channels are frame or missing tiles (a sensor has noise) and do not count; an image with
    no other pixels is taken for brightfield. Weakness: a fluorescence image shown in inverted colours passes as
    brightfield.
    """
    counted = unlit = dark = 0
    for block in blocks:
        lowest, highest = block.min(axis=-1), block.max(axis=-1)
        seen = highest > 0
        counted += int(seen.sum())
        unlit += int((seen & (lowest < DARK_CHANNEL)).sum())
        dark += int((seen & (highest < DARK_PIXEL)).sum())
    if counted and unlit >= MIN_SHARE_UNLIT * counted and dark >= MIN_SHARE_DARK * counted:
        return "fluorescence"
    return "brightfield"


def kind_from_samples(
    fetch: Callable[[Box], NDArray[Any]], boxes: Sequence[Box], library_errors: tuple[type[Exception], ...] = ()
) -> Kind:
    """Decide from a few boxes of an 8-bit RGB level; boxes that cannot be read do not count.

    One damaged tile must not make the rest of a slide unreadable, whose background depends on its kind.
    """
    blocks = []
    for box in boxes:
        try:
            blocks.append(fetch(box))
        except (*LIBRARY_ERRORS, *library_errors):
            continue
    return kind_of_rgb(blocks)


def middle(shape: tuple[int, int]) -> Box:
    """Return the middle of a level, at most ``PROBE_SIDE`` pixels each way."""
    y, x = max(0, (shape[0] - PROBE_SIDE) // 2), max(0, (shape[1] - PROBE_SIDE) // 2)
    return Box(y, min(shape[0], y + PROBE_SIDE), x, min(shape[1], x + PROBE_SIDE))
