"""One magnification of a slide, made from a function that fetches pixels.

A backend gives, for each level, its shape, the chunks its file decodes together, and ``fetch(box) -> (h, w, c)`` for
boxes inside the level. Indexing, limits, the chunk cache and the translation of errors are here, once.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import RegionError, SlideError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.cache import ChunkCache
from napari_gigaclf.slides.limits import MAX_READ_BYTES

Fetch = Callable[[Box], NDArray[Any]]
"""Returns the pixels of a box that lies inside the level, (h, w, c); called from several threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSource:
    """One level as a backend knows it."""

    shape: tuple[int, int]
    """Height and width in pixels."""
    chunks: tuple[int, int]
    """Height and width of what is decoded together."""
    fetch: Fetch
    """Reads a box inside the level."""
    step: tuple[float, float] | None = None
    """Level-0 pixels per pixel, (y, x), where the file says so; otherwise it follows from the shapes."""
    cached: bool = True
    """Keep decoded chunks for the next read; False for pixels that are in memory anyway."""


def level_step(shape0: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """Return level-0 pixels per pixel of a level, (y, x), from the two shapes.

    Writers of pyramids halve (or quarter) and round the last row and column up or away, so the ratio of the shapes is a
    little off: 11685 / 5843 is 1.9998 for a level made by exactly 2. Where one whole number explains both axes to
    within a pixel of the coarser level, it is the step; otherwise the ratios are.
    """
    ratios = (shape0[0] / shape[0], shape0[1] / shape[1])
    # The longer axis tells the factor best; a power of two is likelier than another whole number.
    ratio = ratios[0] if shape[0] >= shape[1] else ratios[1]
    for whole in (2 ** round(math.log2(ratio)), round(ratio)) if ratio >= 1 else ():
        if all(abs(full / whole - part) < 1 for full, part in zip(shape0, shape, strict=True)):
            return (float(whole), float(whole))
    return ratios


def same_picture(fine: tuple[int, int], coarse: tuple[int, int]) -> bool:
    """Return whether two sizes (h, w) can be one picture: the coarser is smaller, and its aspect holds to a pixel.

    A label, a macro or a thumbnail of another crop does not pass; nor does a second image of the same size.
    """
    if min(coarse) < 1 or coarse[0] > fine[0] or coarse[1] > fine[1] or coarse == fine:
        return False
    return abs(fine[1] * coarse[0] / fine[0] - coarse[1]) <= 1 or abs(fine[0] * coarse[1] / fine[1] - coarse[0]) <= 1


class SlideLevel:
    """One magnification of a slide, read lazily; implements ``Level``.

    Parameters
    ----------
    source
        Shape, chunks and the function that fetches pixels.
    step
        Level-0 pixels per pixel, (y, x).
    dtype, num_channels
        Type and number of samples of a pixel.
    um_per_px
        Micrometres per pixel of **this** level, (y, x), or None.
    label
        Names the file in errors.
    cache, key
        Where decoded chunks are kept, and under which name.
    library_errors
        Further types the backend's library raises for damaged pixels.
    """

    def __init__(
        self,
        source: LevelSource,
        *,
        step: tuple[float, float],
        dtype: np.dtype[Any],
        num_channels: int,
        um_per_px: tuple[float, float] | None,
        label: str,
        cache: ChunkCache | None = None,
        key: int = 0,
        library_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self._source = source
        self._label = label
        self._cache = cache if source.cached else None
        self._key = key
        self._library_errors = library_errors
        self._closed = False
        self.step = step
        self.dtype = dtype
        self.num_channels = num_channels
        self.um_per_px = um_per_px

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self._source.shape[0]

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self._source.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels), or (height, width) with one channel."""
        return (*self._source.shape, self.num_channels) if self.num_channels > 1 else self._source.shape

    @property
    def ndim(self) -> int:
        """Length of ``shape``."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Samples in all."""
        return self.height * self.width * self.num_channels

    @property
    def chunks(self) -> tuple[int, ...]:
        """Samples along each axis which the file stores together."""
        return (*self._source.chunks, self.num_channels) if self.num_channels > 1 else self._source.chunks

    @property
    def in_memory(self) -> bool:
        """True for pixels which need not be fetched from anywhere."""
        return not self._source.cached

    @property
    def downsample(self) -> float:
        """Level-0 pixels per pixel of this level, mean of both axes."""
        return (self.step[0] + self.step[1]) / 2

    @property
    def grid(self) -> PixelGrid:
        """Where the pixels of this level lie on level 0."""
        return PixelGrid(origin=(0.0, 0.0), step=self.step, shape=self._source.shape)

    def read_inside(self, box: Box) -> NDArray[Any]:
        """Return the pixels of a box inside the level, (h, w, c).

        Raises
        ------
        RegionError
            If the box is too large to read at once.
        SlideError
            If the pixels cannot be decoded, or the slide is closed.
        """
        height, width = box.shape
        num_bytes = height * width * self.num_channels * self.dtype.itemsize
        if num_bytes > MAX_READ_BYTES:
            raise RegionError(
                f"{self._label}: a region of {height} x {width} pixels takes {num_bytes / 2**30:.1f} GiB at once; "
                f"read it in parts of at most {MAX_READ_BYTES / 2**30:.0f} GiB, or from a coarser level"
            )
        if self._closed:
            raise SlideError(self._label, "the slide has been closed")
        with slide_errors(self._label, f"pixels at y {box.y0}, x {box.x0} cannot be read", *self._library_errors):
            if self._cache is None:
                return self._source.fetch(box)
            return self._cache.read(
                self._key,
                box,
                shape=self._source.shape,
                chunks=self._source.chunks,
                pixel_bytes=self.num_channels * self.dtype.itemsize,
                fetch=self._source.fetch,
            )

    def close(self) -> None:
        """Refuse to read from now on."""
        self._closed = True

    def __deepcopy__(self, memo: dict[int, object]) -> "SlideLevel":
        """Return the level itself: it is read-only, and napari deep-copies the data of a layer it duplicates."""
        return self

    def __getitem__(self, index: Any) -> NDArray[Any]:  # noqa: ANN401 - numpy's own index
        """Read a part: slices, integers and Ellipsis, as numpy would index the array.

        Raises
        ------
        IndexError
            For other kinds of index, or integers outside the level.
        """
        parts = _expanded(index, self.ndim)
        rows, row_rest = _span(parts[0], self.height)
        columns, column_rest = _span(parts[1], self.width)
        box = Box(rows.start, rows.stop, columns.start, columns.stop)
        if box.empty:
            block: NDArray[Any] = np.zeros((*box.shape, self.num_channels), self.dtype)
        else:
            block = self.read_inside(box)
        if self.num_channels == 1:
            block = block[..., 0]
        result: NDArray[Any] = block[(row_rest, column_rest, *parts[2:])]
        return result

    def __len__(self) -> int:
        """Rows of pixels."""
        return self.height

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - numpy's
        """Read the whole level; refused with RegionError where it is larger than one read may be."""
        if copy is False:
            raise ValueError("a level is read from its file: it cannot be turned into an array without a copy")
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<level {self.shape} {self.dtype}, chunks {self.chunks}, 1:{self.downsample:g}>"


def _expanded(index: Any, ndim: int) -> tuple[Any, ...]:  # noqa: ANN401 - numpy's own index
    """Return one index per axis."""
    parts = index if isinstance(index, tuple) else (index,)
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(parts)
    before, after = parts[:at], parts[at + 1 :]
    if len(before) + len(after) > ndim:
        raise IndexError(f"too many indices: {len(before) + len(after)} for {ndim} axes")
    return (*before, *(slice(None),) * (ndim - len(before) - len(after)), *after)


def _span(part: Any, size: int) -> tuple[slice, Any]:  # noqa: ANN401 - numpy's own index
    """Return the pixels to read along an axis, and the index into what was read."""
    if isinstance(part, slice):
        steps = range(*part.indices(size))
        if not steps:
            return slice(0, 0), slice(None)
        first, last = min(steps[0], steps[-1]), max(steps[0], steps[-1])
        return slice(first, last + 1), slice(None, None, steps.step)
    try:
        position = operator.index(part)
    except TypeError:
        raise IndexError(f"a level is indexed with slices, integers and Ellipsis, not {type(part).__name__}") from None
    if not -size <= position < size:
        raise IndexError(f"index {position} is out of bounds for {size} pixels")
    position %= size
    return slice(position, position + 1), 0
