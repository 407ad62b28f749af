"""Keeps a damaged tile from taking the machine's memory: what a tile says of its size is read before it is decoded.

A JPEG or JPEG 2000 tile carries its own height and width, and decoders believe them: ten kilobytes can ask for twelve
gigabytes. The other codecs of TIFF are given the size of their result and stop there.
"""

from collections.abc import Callable
from typing import Any

_JPEG_START, _JPEG_SCAN, _JPEG_END = 0xD8, 0xDA, 0xD9
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that start a frame and carry its size; C4, C8 and CC are tables and an extension."""
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_MIN_BYTES = 24
_MAX_MARKERS = 256
_TOLERATED = 4
"""A tile may be this many times larger than the file says (padding to whole tiles, doubled rows)."""


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) from a JPEG stream's frame header, or None if there is none before the first scan.

    Examples
    --------
    >>> jpeg_size(bytes.fromhex("ffd8 ffc0 0011 08 0010 0020 03 01 22 00 02 11 01 03 11 01"))
    (16, 32)
    """
    at = 0
    for _ in range(_MAX_MARKERS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 9 > len(data):
            return None
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        if marker in (_JPEG_SCAN, _JPEG_END):
            return None
        if marker in (_JPEG_START, 0xFF, 0x00) or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg2000_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) from a JPEG 2000 codestream, bare or in a box, or None if it has no header."""
    at = data.find(_J2K_START)
    if at < 0 or at + _J2K_MIN_BYTES > len(data):
        return None
    x1, y1, x0, y0 = (int.from_bytes(data[at + 8 + 4 * i : at + 12 + 4 * i], "big") for i in range(4))
    return max(0, y1 - y0), max(0, x1 - x0)


_SIZES: dict[int, Callable[[bytes], tuple[int, int] | None]] = {
    **dict.fromkeys((6, 7, 33007, 34892), jpeg_size),
    **dict.fromkeys((33003, 33004, 33005, 34712), jpeg2000_size),
}
"""By TIFF compression."""


def guard_decoding(page: Any) -> None:  # noqa: ANN401 - tifffile
    """Make a page's decoder refuse tiles that say they are far larger than the file says; harmless if repeated."""
    size_of = _SIZES.get(int(page.compression))
    if size_of is None or getattr(page.decode, "guarded", False):
        return
    decode = page.decode
    side_product = int(page.chunks[0]) * int(page.chunks[1]) if len(page.chunks) > 1 else int(page.chunks[0])
    limit = _TOLERATED * max(side_product, 2**16)

    def guarded(data: bytes | None, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - tifffile's own signature
        size = size_of(data) if data and not kwargs.get("jpegheader") else None
        if size is not None and size[0] * size[1] > limit:
            raise ValueError(f"a tile says it is {size[0]} x {size[1]} pixels")
        return decode(data, *args, **kwargs)

    guarded.guarded = True  # type: ignore[attr-defined]
    page.decode = guarded
