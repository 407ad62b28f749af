"""Turns what a file stores (palette, ink, negative, transparency) into the colours a person expects to see.

A conversion is chosen once, when the file is opened, from its tags; the result is 8-bit RGB where the file holds
colours, and the file's own samples where it holds measurements.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError

Convert = Callable[[NDArray[Any]], NDArray[Any]]

WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """How stored samples (h, w, stored) become pixels (h, w, num_channels)."""

    dtype: np.dtype[Any]
    num_channels: int
    convert: Convert | None = None
    """None where the stored samples are the pixels."""

    def apply(self, block: NDArray[Any]) -> NDArray[Any]:
        """Convert a block (h, w, stored) into (h, w, num_channels)."""
        return block if self.convert is None else self.convert(block)


UINT8 = np.dtype(np.uint8)
NUMBERS = "biuf"
"""Kinds of dtype an image may have: boolean, integers, floating point."""


def over_white(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay RGBA (h, w, 4), or grey with alpha (h, w, 2), over white; alpha is not premultiplied.

    Exact to the nearest integer: ``round((colour * alpha + 255 * (255 - alpha)) / 255)``.
    """
    colour, alpha = block[..., :-1].astype(np.uint32), block[..., -1:].astype(np.uint32)
    mixed: NDArray[np.uint8] = ((colour * alpha + WHITE * (WHITE - alpha) + WHITE // 2) // WHITE).astype(np.uint8)
    return mixed


def premultiplied_over_white(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay RGBA whose colours are already multiplied by alpha over white."""
    total = block[..., :-1].astype(np.uint16) + (WHITE - block[..., -1:].astype(np.uint16))
    pixels: NDArray[np.uint8] = np.minimum(total, WHITE).astype(np.uint8)
    return pixels


def inks_to_rgb(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn CMYK (h, w, 4), 0 meaning no ink, into RGB without a colour profile."""
    paper = WHITE - block.astype(np.uint32)
    rgb: NDArray[np.uint8] = ((paper[..., :3] * paper[..., 3:4] + WHITE // 2) // WHITE).astype(np.uint8)
    return rgb


def ycbcr_to_rgb(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn full-range YCbCr (ITU-R BT.601, as in JFIF) into RGB."""
    y, cb, cr = (block[..., i].astype(np.float32) for i in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    pixels: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, WHITE).astype(np.uint8)
    return pixels


def rgb_colours(dtype: np.dtype[Any], stored: int, *, alpha: str | None) -> Colours:
    """Return the conversion of RGB with further samples.

    Parameters
    ----------
    dtype
        Type of a stored sample.
    stored
        Stored samples per pixel, at least 3.
    alpha
        What the fourth sample is: ``"straight"`` or ``"premultiplied"`` transparency, or None for anything else.
    """
    if stored == 3:
        return Colours(dtype=dtype, num_channels=3)
    if dtype == UINT8 and stored == 4 and alpha is not None:
        convert = over_white if alpha == "straight" else premultiplied_over_white
        return Colours(dtype=dtype, num_channels=3, convert=convert)
    return Colours(dtype=dtype, num_channels=3, convert=lambda block: block[..., :3])


def palette_colours(table: NDArray[np.integer[Any]]) -> Colours:
    """Return the conversion of palette indices.

    Parameters
    ----------
    table
        Colours (num, 3), 16 bit as TIFF has it (8-bit values, which some writers put there, are recognised).
    """
    colours = table.astype(np.uint32)
    eight_bit = (colours >> 8 if colours.max(initial=0) > WHITE else colours).astype(np.uint8)

    def convert(block: NDArray[Any]) -> NDArray[Any]:
        # An index beyond the palette is a damaged pixel: numpy raises IndexError, which becomes a SlideError.
        pixels: NDArray[Any] = eight_bit[block[..., 0].astype(np.intp)]
        return pixels

    return Colours(dtype=UINT8, num_channels=3, convert=convert)


def grey_colours(dtype: np.dtype[Any], stored: int, *, bits: int, white_is_zero: bool) -> Colours:
    """Return the conversion of greyscale or of any measured channels.

    Parameters
    ----------
    dtype
        Type of a stored sample.
    stored
        Stored samples per pixel.
    bits
        Significant bits of a sample; fewer than 8 are spread over 0 to 255.
    white_is_zero
        The file stores a negative.
    """
    if dtype.kind == "b" or (dtype == UINT8 and bits < 8):
        brightest = 2**bits - 1
        levels = np.rint(np.arange(2**8) * (WHITE / brightest)).clip(0, WHITE).astype(np.uint8)
        table = WHITE - levels if white_is_zero else levels
        return Colours(dtype=UINT8, num_channels=stored, convert=lambda block: table[block.astype(np.uint8)])
    if white_is_zero and dtype.kind == "u":
        top = np.iinfo(dtype).max
        return Colours(dtype=dtype, num_channels=stored, convert=lambda block: top - block)
    return Colours(dtype=dtype, num_channels=stored)


def check_dtype(path: str, dtype: np.dtype[Any] | None) -> np.dtype[Any]:
    """Return the dtype in native byte order; SlideError if it is not a plain number."""
    if dtype is None or dtype.kind not in NUMBERS:
        raise SlideError(path, f"pixels of type {dtype} are not supported; real numbers are")
    return dtype.newbyteorder("=")
