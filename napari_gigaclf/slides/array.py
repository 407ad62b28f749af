"""A slide made from level sources: what every backend builds on.

A backend parses its file into facts and level sources; background outside the slide, micrometres per pixel of each
level, closing and everything else a slide promises is here, once.
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
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.boundary import slide_errors
from napari_gigaclf.slides.cache import ChunkCache
from napari_gigaclf.slides.level import LevelSource, SlideLevel, level_step
from napari_gigaclf.slides.limits import CHUNK_CACHE_BYTES, MAX_READ_BYTES
from napari_gigaclf.slides.slide import UNKNOWN_SCALE, Kind


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
    scene: int = 0
    num_z: int = 1
    z: int = 0


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
    library_errors
        Types of an optional library's errors, beyond those of ``boundary``.
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
        library_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self.facts = facts
        self.sources = tuple(sources)
        self._kind = kind
        self._fingerprint = fingerprint
        self._id: str | None = None
        self._read_associated = read_associated
        self._on_close = on_close
        self._library_errors = library_errors
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
            library_errors=self._library_errors,
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
    def scene(self) -> int:
        """Number of the open scene in ``scenes``."""
        return self.facts.scene

    @property
    def num_z(self) -> int:
        """Focal planes of the open scene."""
        return self.facts.num_z

    @property
    def z(self) -> int:
        """The open focal plane, counted from 0."""
        return self.facts.z

    @property
    def id(self) -> str:
        """Fingerprint of the content, hexadecimal."""
        with self._lock:
            if self._id is None:
                with slide_errors(self._label, "cannot be read for its fingerprint", *self._library_errors):
                    self._id = self._fingerprint()
            return self._id

    @property
    def kind(self) -> Kind:
        """How the image was made; the first call may read a few tiles."""
        with self._lock:
            if callable(self._kind):
                with slide_errors(self._label, "pixels cannot be read", *self._library_errors):
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
        with slide_errors(self._label, f"the associated image {name!r} cannot be read", *self._library_errors):
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
            library_errors=self._library_errors,
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
