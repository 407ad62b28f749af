"""How the samples of a TIFF become pixels, decided from its tags."""

from typing import Any

import numpy as np

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides.colour import (
    UINT8,
    Colours,
    check_dtype,
    grey_colours,
    inks_to_rgb,
    over_white,
    palette_colours,
    premultiplied_over_white,
    rgb_colours,
    ycbcr_to_rgb,
)
from napari_gigaclf.slides.limits import MAX_CHANNELS

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _MASK, _INKS, _YCBCR = 0, 1, 2, 3, 4, 5, 6
_ALPHA = {1: "premultiplied", 2: "straight"}
_OWN_COLOURS = (6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34933, 34934, 50001, 50002, 52546)
"""Compressions whose decoders give RGB whatever the photometric tag says: the JPEG family, WebP, PNG, JPEG XL."""
_COLOR_MAP = 320


def tiff_colours(path: str, page: Any, stored: int) -> Colours:  # noqa: ANN401 - tifffile has no stable types
    """Return the conversion for a page.

    Parameters
    ----------
    path
        Names the file in errors.
    page
        tifffile's key frame.
    stored
        Samples per pixel as stored, over all channel axes.

    Raises
    ------
    SlideError
        For pixels whose colours are not understood.
    """
    dtype = check_dtype(path, page.dtype)
    if not 1 <= stored <= MAX_CHANNELS:
        raise SlideError(path, f"{stored} channels; at most {MAX_CHANNELS} are supported")
    photometric = int(page.photometric)
    alpha = _ALPHA.get(int(page.extrasamples[0])) if page.extrasamples else None
    if photometric == _BLACK_IS_ZERO and stored == 2 and dtype == UINT8 and alpha is not None:
        flatten = over_white if alpha == "straight" else premultiplied_over_white
        return Colours(dtype=UINT8, num_channels=1, convert=flatten)
    if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _MASK):
        return grey_colours(dtype, stored, bits=int(page.bitspersample), white_is_zero=photometric == _WHITE_IS_ZERO)
    if photometric == _PALETTE:
        return palette_colours(_palette(path, page, dtype))
    if photometric in (_RGB, _YCBCR) and stored >= 3:
        if photometric == _YCBCR and int(page.compression) not in _OWN_COLOURS:
            return _plain_ycbcr(path, page, dtype, stored)
        return rgb_colours(dtype, stored, alpha=alpha)
    if photometric in (_RGB, _YCBCR):
        # Channels of a fluorescence file are often written page by page with a careless RGB tag.
        return grey_colours(dtype, stored, bits=int(page.bitspersample), white_is_zero=False)
    if photometric == _INKS and stored >= 4 and dtype == UINT8:
        return Colours(dtype=UINT8, num_channels=3, convert=lambda block: inks_to_rgb(block[..., :4]))
    name = getattr(page.photometric, "name", str(photometric))
    raise SlideError(path, f"colours stored as {name} with {stored} samples of {dtype} are not supported")


def _palette(path: str, page: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[np.uint16]]:  # noqa: ANN401
    """Return the colour table (num, 3)."""
    tag = page.tags.get(_COLOR_MAP)
    table = np.asarray(() if tag is None else tag.value)
    if table.size == 0 or table.size % 3 or table.dtype.kind not in "ui" or dtype.kind not in "ub":
        raise SlideError(path, "it has a palette image whose palette is missing or damaged")
    return table.reshape(3, -1).T.astype(np.uint16)


def _plain_ycbcr(path: str, page: Any, dtype: np.dtype[Any], stored: int) -> Colours:  # noqa: ANN401 - tifffile
    """Return the conversion of YCbCr that no JPEG decoder has converted."""
    if page.is_subsampled or dtype != UINT8 or stored != 3:
        raise SlideError(path, "YCbCr with subsampled colour outside JPEG is not supported; convert it to RGB")
    return Colours(dtype=UINT8, num_channels=3, convert=ycbcr_to_rgb)
