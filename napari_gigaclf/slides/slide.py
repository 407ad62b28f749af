"""What a slide is to the rest of the program: pixels at several magnifications, read a region at a time.

``Slide`` and ``Level`` are protocols: a phantom, a file or an array in memory fit in alike. The contract test suite
``napari_gigaclf.testing.SlideContract`` proves that an implementation keeps what is promised here.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid

Kind = Literal["brightfield", "fluorescence", "other"]
"""How the image was made: ``"brightfield"`` is 8-bit RGB on white; ``"other"`` is anything not known to be either."""

UNKNOWN_SCALE = "unknown"
"""``um_per_px_source`` of a slide that does not say how large its pixels are."""
GIVEN_BY_USER = "given by the user"
"""``um_per_px_source`` of a slide whose micrometres per pixel the caller gave."""
PHANTOM_FORMAT = "phantom"
"""``format`` of a slide that is computed as it is read."""


@runtime_checkable
class Level(Protocol):
    """One magnification of a slide: an array (y, x, channel), or (y, x) with one channel, read where it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels), or (height, width) with one channel."""
        ...

    @property
    def height(self) -> int:
        """Rows of pixels."""
        ...

    @property
    def width(self) -> int:
        """Columns of pixels."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one sample."""
        ...

    @property
    def ndim(self) -> int:
        """Length of ``shape``."""
        ...

    @property
    def size(self) -> int:
        """Samples in all."""
        ...

    @property
    def chunks(self) -> tuple[int, ...]:
        """Samples along each axis which the file stores (and decodes) together."""
        ...

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        """Micrometres per pixel of this level, (y, x); None where unknown."""
        ...

    @property
    def downsample(self) -> float:
        """Level-0 pixels per pixel of this level, mean of both axes."""
        ...

    @property
    def step(self) -> tuple[float, float]:
        """Level-0 pixels per pixel of this level, (y, x)."""
        ...

    @property
    def grid(self) -> PixelGrid:
        """Where the pixels of this level lie on level 0."""
        ...

    def __getitem__(self, index: Any) -> NDArray[Any]:  # noqa: ANN401 - numpy's own index: slices, integers, Ellipsis
        """Read a part, as numpy would index it."""
        ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - numpy's
        """Read the whole level."""
        ...


@runtime_checkable
class Slide(Protocol):
    """A slide: levels from fine to coarse, the size of a pixel, and what kind of image it is."""

    @property
    def name(self) -> str:
        """A short name for a person: the file's name without folder."""
        ...

    @property
    def path(self) -> Path | None:
        """Where it lies; None for arrays."""
        ...

    @property
    def id(self) -> str:
        """Fingerprint of the content, hexadecimal; the same after renaming or moving."""
        ...

    @property
    def format(self) -> str:
        """Name of the format, for a person: ``"Aperio SVS"``."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """Magnifications, fine to coarse; never a label, macro or thumbnail."""
        ...

    @property
    def um_per_px(self) -> tuple[float, float] | None:
        """Micrometres per pixel of level 0, (y, x); None where unknown."""
        ...

    @property
    def um_per_px_source(self) -> str:
        """Where ``um_per_px`` comes from, for a person."""
        ...

    @property
    def kind(self) -> Kind:
        """How the image was made."""
        ...

    @property
    def is_brightfield(self) -> bool:
        """True for 8-bit RGB brightfield."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one sample."""
        ...

    @property
    def num_channels(self) -> int:
        """Samples per pixel."""
        ...

    @property
    def background(self) -> tuple[int, ...]:
        """Per channel, what lies outside the slide and where tiles are missing."""
        ...

    @property
    def properties(self) -> dict[str, str]:
        """Technical properties; nothing that could hold data about a patient."""
        ...

    @property
    def associated(self) -> tuple[str, ...]:
        """Names of the images stored beside the levels: label, macro, thumbnail."""
        ...

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes of the file, of which one is open."""
        ...

    @property
    def scene(self) -> int:
        """Number of the open scene in ``scenes``."""
        ...

    @property
    def num_z(self) -> int:
        """Focal planes of the open scene."""
        ...

    @property
    def z(self) -> int:
        """The open focal plane, counted from 0."""
        ...

    def read(self, level: int, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Read a half-open region in pixels of its level; what lies outside the slide is background.

        Returns
        -------
        ndarray
            (y1 - y0, x1 - x0, channels) in the slide's dtype.

        Raises
        ------
        RegionError
            If the region is empty, too large to read at once, or there is no such level.
        SlideError
            If the file's pixels cannot be decoded.
        """
        ...

    def read_associated(self, name: str) -> NDArray[Any]:
        """Read an associated image; labels and macros can show data about the patient."""
        ...

    def close(self) -> None:
        """Close the file; reading afterwards raises SlideError."""
        ...

    def __enter__(self) -> Self:
        """Return the slide; it is closed when the block ends."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        ...
