"""Levels and slides made from a function that fetches pixels: what every backend builds on.

A backend gives, for each level, its shape, the chunks its file decodes together, and ``fetch(box) -> (h, w, c)`` for
boxes inside the level. Everything else - indexing, background outside, the chunk cache, limits, micrometres per pixel
- is here, once.
"""

import operator
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import RegionError, SlideError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.cache import ChunkCache
from napari_gigaclf.slides.limits import CHUNK_CACHE_BYTES, MAX_READ_BYTES
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Kind

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """What a slide says about itself."""

    name: str
    path: Path | None
    format: str
    dtype: np.dtype[Any]
    num_channels: int
    um_per_px: tuple[float, float] | None = None
    um_per_px_source: str = UNKNOWN_SCALE
    properties: dict[str, str] = field(default_factory=dict)
    associated: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ("0",)
    num_z: int = 1


def level_step(shape0: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """Return level-0 pixels per pixel of a level, (y, x), from the two shapes.

    Writers of pyramids halve (or quarter) and round the last row and column up or away, so the ratio of the shapes is a
    little off: 11685 / 5843 is 1.9998 for a level made by exactly 2. Where one whole number explains both axes to
    within a pixel of the coarser level, it is the step; otherwise the ratios are.
    """
    ratios = (shape0[0] / shape[0], shape0[1] / shape[1])
    # The longer axis tells the factor best.
    whole = round(ratios[0] if shape[0] >= shape[1] else ratios[1])
    if whole >= 1 and all(abs(full / whole - part) < 1 for full, part in zip(shape0, shape, strict=True)):
        return (float(whole), float(whole))
    return ratios


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
    ) -> None:
        self._source = source
        self._label = label
        self._cache = cache if source.cached else None
        self._key = key
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
        with slide_errors(self._label, f"pixels at y {box.y0}, x {box.x0} cannot be read"):
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


class ArraySlide:
    """A slide over level sources; implements ``Slide``.

    Parameters
    ----------
    facts
        What the slide says about itself.
    sources
        Levels, fine to coarse.
    kind
        How the image was made, or a function that finds out when first asked.
    fingerprint
        Returns the content's fingerprint; called once, when first asked.
    read_associated
        Reads an associated image by name.
    on_close
        Called once on ``close``.
    """

    def __init__(
        self,
        facts: SlideFacts,
        sources: Sequence[LevelSource],
        *,
        kind: Kind | Callable[[], Kind],
        fingerprint: Callable[[], str],
        read_associated: Callable[[str], NDArray[Any]] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.facts = facts
        self.sources = tuple(sources)
        self._kind = kind
        self._fingerprint = fingerprint
        self._id: str | None = None
        self._read_associated = read_associated
        self._on_close = on_close
        self._lock = threading.RLock()
        self._cache = ChunkCache(CHUNK_CACHE_BYTES)
        self._label = str(facts.path) if facts.path is not None else facts.name
        self.levels = tuple(self._level(index, source) for index, source in enumerate(self.sources))

    def _level(self, index: int, source: LevelSource) -> SlideLevel:
        """Return a level with its own micrometres per pixel."""
        step = source.step or level_step(self.sources[0].shape, source.shape)
        unit = self.facts.um_per_px
        return SlideLevel(
            source,
            step=step,
            dtype=self.facts.dtype,
            num_channels=self.facts.num_channels,
            um_per_px=None if unit is None else (unit[0] * step[0], unit[1] * step[1]),
            label=self._label,
            cache=self._cache,
            key=index,
        )

    @property
    def name(self) -> str:
        """The file's name without folder."""
        return self.facts.name

    @property
    def path(self) -> Path | None:
        """Where it lies; None for arrays."""
        return self.facts.path

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.facts.format

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        """Micrometres per pixel of level 0, (y, x); None where unknown."""
        return self.facts.um_per_px

    @property
    def um_per_px_source(self) -> str:
        """Where ``um_per_px`` comes from."""
        return self.facts.um_per_px_source

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one sample."""
        return self.facts.dtype

    @property
    def num_channels(self) -> int:
        """Samples per pixel."""
        return self.facts.num_channels

    @property
    def properties(self) -> dict[str, str]:
        """Technical properties."""
        return dict(self.facts.properties)

    @property
    def associated(self) -> tuple[str, ...]:
        """Names of the images stored beside the levels."""
        return self.facts.associated

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the file's scenes."""
        return self.facts.scenes

    @property
    def num_z(self) -> int:
        """Focal planes of the open scene."""
        return self.facts.num_z

    @property
    def id(self) -> str:
        """Fingerprint of the content, hexadecimal."""
        with self._lock:
            if self._id is None:
                with slide_errors(self._label, "cannot be read for its fingerprint"):
                    self._id = self._fingerprint()
            return self._id

    @property
    def kind(self) -> Kind:
        """How the image was made; the first call may read a few tiles."""
        with self._lock:
            if callable(self._kind):
                with slide_errors(self._label, "pixels cannot be read"):
                    self._kind = self._kind()
            return self._kind

    @property
    def is_brightfield(self) -> bool:
        """True for 8-bit RGB brightfield."""
        return self.kind == "brightfield"

    @property
    def background(self) -> tuple[int, ...]:
        """White for brightfield, otherwise 0, per channel."""
        return (255 if self.is_brightfield else 0,) * self.num_channels

    def read(self, level: int, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Read a half-open region in pixels of its level, (h, w, c); outside the slide it is background.

        Raises
        ------
        RegionError
            If the region is empty or too large to read at once, or there is no such level.
        SlideError
            If the pixels cannot be decoded.
        """
        if not 0 <= level < len(self.levels):
            raise RegionError(f"{self._label}: there is no level {level}; it has levels 0 to {len(self.levels) - 1}")
        box = Box(operator.index(y0), operator.index(y1), operator.index(x0), operator.index(x1))
        if box.empty:
            raise RegionError(f"{self._label}: the region y {y0} to {y1}, x {x0} to {x1} holds no pixel")
        source = self.levels[level]
        inside = box.intersection(Box(0, source.height, 0, source.width))
        if inside == box:
            return source.read_inside(box)
        num_bytes = box.shape[0] * box.shape[1] * self.num_channels * self.dtype.itemsize
        if num_bytes > MAX_READ_BYTES:
            raise RegionError(f"{self._label}: the region takes {num_bytes / 2**30:.1f} GiB at once; read it in parts")
        result: NDArray[Any] = np.empty((*box.shape, self.num_channels), self.dtype)
        result[...] = np.asarray(self.background).astype(self.dtype)
        if not inside.empty:
            result[inside.shifted(-box.y0, -box.x0).slices] = source.read_inside(inside)
        return result

    def read_associated(self, name: str) -> NDArray[Any]:
        """Read an associated image, (h, w, 3) or (h, w); it can show data about the patient.

        Raises
        ------
        SlideError
            If there is none of this name, or it cannot be decoded.
        """
        if self._read_associated is None or name not in self.associated:
            known = ", ".join(self.associated) or "none"
            raise SlideError(self._label, f"there is no associated image {name!r}; it has {known}")
        with slide_errors(self._label, f"the associated image {name!r} cannot be read"):
            return self._read_associated(name)

    def replaced(self, facts: SlideFacts, extra: Sequence[LevelSource] = ()) -> "ArraySlide":
        """Return this slide with other facts or further, coarser levels; closing either closes the file."""
        return ArraySlide(
            facts,
            (*self.sources, *extra),
            kind=lambda: self.kind,
            fingerprint=lambda: self.id,
            read_associated=self._read_associated,
            on_close=self.close,
        )

    def close(self) -> None:
        """Close the file; reading afterwards raises SlideError."""
        with self._lock:
            for level in self.levels:
                level.close()
            self._cache.clear()
            closer, self._on_close = self._on_close, None
        if closer is not None:
            closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.sources[0].shape
        return f"<slide {self.name!r}: {self.format}, {height} x {width}, {len(self.levels)} levels>"
