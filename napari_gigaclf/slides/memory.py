"""Opens an array in memory (numpy; also zarr and dask) as a slide."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.colour import UINT8, Colours, check_dtype, grey_colours, rgb_colours
from napari_gigaclf.slides.fingerprint import array_fingerprint
from napari_gigaclf.slides.kinds import kind_of_rgb
from napari_gigaclf.slides.level import Fetch, LevelSource
from napari_gigaclf.slides.limits import MAX_CHANNELS
from napari_gigaclf.slides.slide import Kind

ARRAY_NAME = "array"
DEFAULT_CHUNK = 512
"""Side of the chunks said of an array that has none of its own."""
_PROBE_SIDE = 1024


def open_array(data: Any) -> ArraySlide:  # noqa: ANN401 - parsed here: an array or a sequence of arrays
    """Open an array (y, x), (y, x, channel), or a sequence of such arrays from fine to coarse.

    ``uint8`` with 3 channels is RGB; with 4, RGB and alpha, which is laid over white.

    Raises
    ------
    SlideError
        If the shape or type fits no image.
    """
    arrays = list(data) if isinstance(data, Sequence) else [data]
    if not arrays:
        raise SlideError(ARRAY_NAME, "an empty sequence of arrays")
    colours = _colours(arrays[0])
    for array in arrays[1:]:
        if _colours(array).num_channels != colours.num_channels or array.dtype != arrays[0].dtype:
            raise SlideError(ARRAY_NAME, "all levels must have the same type and channels")
    finest = arrays[0]
    return ArraySlide(
        SlideFacts(name=ARRAY_NAME, path=None, format="array", dtype=colours.dtype, num_channels=colours.num_channels),
        [_source(array, colours) for array in arrays],
        kind=lambda: _kind(arrays[-1], colours),
        fingerprint=lambda: array_fingerprint(finest),
    )


def _colours(array: Any) -> Colours:  # noqa: ANN401 - parsed here
    """Return how an array's samples become pixels; SlideError where they cannot."""
    shape = tuple(getattr(array, "shape", ()))
    if len(shape) not in (2, 3) or 0 in shape or shape[2:] > (MAX_CHANNELS,):
        raise SlideError(
            ARRAY_NAME, f"an array of shape {shape} is no image: (y, x) or (y, x, channel) with at least one pixel is"
        )
    dtype = check_dtype(ARRAY_NAME, np.dtype(array.dtype))
    stored = shape[2] if len(shape) == 3 else 1
    if dtype == UINT8 and stored in (3, 4):
        return rgb_colours(dtype, stored, alpha="straight")
    return grey_colours(dtype, stored, bits=1 if dtype.kind == "b" else 8 * dtype.itemsize, white_is_zero=False)


def _source(array: Any, colours: Colours) -> LevelSource:  # noqa: ANN401 - anything indexed like numpy
    """Return a level over an array."""
    shape = (int(array.shape[0]), int(array.shape[1]))
    chunks = tuple(
        min(side, int(chunk[0] if isinstance(chunk, tuple) else chunk))
        for side, chunk in zip(shape, getattr(array, "chunks", None) or (DEFAULT_CHUNK,) * 2, strict=False)
    )
    return LevelSource(
        shape=shape,
        chunks=(chunks[0], chunks[1]),
        fetch=_fetch(array, colours),
        cached=not isinstance(array, np.ndarray),
    )


def _fetch(array: Any, colours: Colours) -> Fetch:  # noqa: ANN401 - anything indexed like numpy
    """Return a function that copies a box out of an array."""

    def fetch(box: Box) -> NDArray[Any]:
        block = np.array(array[box.slices])
        block = block[..., np.newaxis] if block.ndim == 2 else block
        converted: NDArray[Any] = colours.apply(block).astype(colours.dtype, copy=False)
        return converted

    return fetch


def _kind(array: Any, colours: Colours) -> Kind:  # noqa: ANN401 - anything indexed like numpy
    """Decide how an array was made, from up to a million of its pixels."""
    if colours.dtype != UINT8 or colours.num_channels != 3:
        return "other"
    thin = tuple(slice(None, None, max(1, side // _PROBE_SIDE)) for side in array.shape[:2])
    return kind_of_rgb([colours.apply(np.asarray(array[thin]))])
