"""Recognises DICOM slides whose header says RGB while their JPEG tiles hold YCbCr, which would look green and pink.

Some converters write ordinary JPEG files as tiles and ``RGB`` in the header. By the letter of the header the colour
transform is then to be left out, as OpenSlide and wsidicom do; the tiles themselves say otherwise.
"""

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.colour import WHITE, ycbcr_to_rgb

_START, _START_OF_SCAN, _FILLER = 0xD8, 0xDA, 0xFF
_APP0, _APP14 = 0xE0, 0xEE
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)
_COMPONENTS_AT = 6
"""Place of the first component in a frame header, after precision, two sides and the number of components."""


def tile_holds_ycbcr(tile: bytes) -> bool:
    """Return whether a JPEG stream of three components says beyond doubt that it is YCbCr.

    It does if it carries the JFIF marker, which allows no other colours, or stores its second and third component at
    a lower resolution than the first, as is done with chroma only; an Adobe marker or component names R, G, B outweigh
    both.

    Parameters
    ----------
    tile
        A tile as it lies in the file. Anything that is no JPEG stream gives False.
    """
    jfif = subsampled = False
    for marker, content in _segments(tile):
        if marker == _APP14 and content.startswith(b"Adobe"):
            return False
        if marker == _APP0 and content.startswith(b"JFIF\0"):
            jfif = True
        if marker in _FRAME_HEADERS:
            components = [content[_COMPONENTS_AT + 3 * i : _COMPONENTS_AT + 3 * i + 2] for i in range(3)]
            if content[_COMPONENTS_AT - 1] != 3 or b"".join(each[:1] for each in components) == b"RGB":
                return False
            first, second, third = (each[1] for each in components)
            subsampled = second == third != first
    return jfif or subsampled


def ycbcr_tiles_to_rgb(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn pixels (h, w, 3) that are YCbCr into RGB; all-white ones are tiles that the file lacks, and stay white.

    YCbCr (255, 255, 255) is no colour that RGB has, so no stored pixel is mistaken for a missing one.
    """
    missing = (block == WHITE).all(axis=-1, keepdims=True)
    pixels: NDArray[np.uint8] = np.where(missing, np.uint8(WHITE), ycbcr_to_rgb(block))
    return pixels


def _segments(tile: bytes) -> list[tuple[int, bytes]]:
    """Return marker and content of each segment before the pixels of a JPEG stream; none if it is damaged."""
    found: list[tuple[int, bytes]] = []
    if tile[:2] != bytes((_FILLER, _START)):
        return found
    at = 2
    while at + 4 <= len(tile) and tile[at] == _FILLER and tile[at + 1] != _START_OF_SCAN:
        length = int.from_bytes(tile[at + 2 : at + 4], "big")
        content = tile[at + 4 : at + 2 + length]
        if length < 2 or len(content) != length - 2:
            return []
        found.append((tile[at + 1], content))
        at += 2 + length
    return [(marker, content) for marker, content in found if marker not in _FRAME_HEADERS or _long_enough(content)]


def _long_enough(header: bytes) -> bool:
    """Return whether a frame header holds as many components as it says."""
    return len(header) >= _COMPONENTS_AT and len(header) >= _COMPONENTS_AT + 3 * header[_COMPONENTS_AT - 1]
