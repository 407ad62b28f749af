"""Where things are: boxes of pixels, rasters laid over a slide, and the one place where coordinates are converted.

Conventions, used everywhere in the package:

- Arrays and boxes are (y, x). Boxes are half-open, in pixels of the level they are given with.
- Points and polygons in numpy arrays are (y, x) in level-0 pixels, where the *corner* of the first pixel is 0 and its
  centre 0.5. Shapely geometries and interchange files are (x, y) in the same pixels, as shapely and GeoJSON have it.
- napari's data coordinates put the *centre* of the first pixel at 0: corner coordinate = data coordinate + 0.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UM_PER_MM = 1000.0
HALF_PIXEL = 0.5
"""Corner coordinate of a pixel's centre; also the shift from napari's data coordinates to corner coordinates."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of pixels, ``y0 <= y < y1`` and ``x0 <= x < x1``.

    Examples
    --------
    >>> Box(0, 10, 5, 25).shape
    (10, 20)
    """

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels; 0 where the box is empty."""
        return max(0, self.y1 - self.y0), max(0, self.x1 - self.x0)

    @property
    def empty(self) -> bool:
        """True if no pixel lies in the box."""
        return self.y1 <= self.y0 or self.x1 <= self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index into an array (y, x, ...)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def intersection(self, other: "Box") -> "Box":
        """Return the pixels in both boxes (perhaps an empty box)."""
        return Box(max(self.y0, other.y0), min(self.y1, other.y1), max(self.x0, other.x0), min(self.x1, other.x1))

    def shifted(self, dy: int, dx: int) -> "Box":
        """Return the box moved by (dy, dx) pixels."""
        return Box(self.y0 + dy, self.y1 + dy, self.x0 + dx, self.x1 + dx)

    def __iter__(self) -> Iterator[int]:
        """Iterate over y0, y1, x0, x1, the order of ``slide.read``."""
        return iter((self.y0, self.y1, self.x0, self.x1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """A raster laid over level 0: a slide's level, a probability map, a tissue mask.

    Pixel (i, j) covers ``origin + (i, j) * step`` to ``origin + (i + 1, j + 1) * step`` in level-0 corner coordinates.

    Examples
    --------
    >>> grid = PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(10, 20))
    >>> grid.index_of((33.0, 5.0))
    (1, 0)
    """

    origin: tuple[float, float]
    """Corner of pixel (0, 0), (y, x), level-0 pixels."""
    step: tuple[float, float]
    """Side of a pixel, (y, x), level-0 pixels."""
    shape: tuple[int, int]
    """Rows and columns."""

    @property
    def affine(self) -> NDArray[np.float64]:
        """3 x 3 matrix from (row, column, 1), corner convention, to level-0 (y, x, 1)."""
        return np.array([[self.step[0], 0.0, self.origin[0]], [0.0, self.step[1], self.origin[1]], [0.0, 0.0, 1.0]])

    def index_of(self, point: tuple[float, float]) -> tuple[int, int]:
        """Return the (row, column) whose pixel holds a level-0 point (y, x); may lie outside ``shape``."""
        return (
            int(np.floor((point[0] - self.origin[0]) / self.step[0])),
            int(np.floor((point[1] - self.origin[1]) / self.step[1])),
        )

    def centre_of(self, row: int, column: int) -> tuple[float, float]:
        """Return the level-0 point (y, x) at the centre of a pixel."""
        return (
            self.origin[0] + (row + HALF_PIXEL) * self.step[0],
            self.origin[1] + (column + HALF_PIXEL) * self.step[1],
        )

    def part(self, box: Box) -> "PixelGrid":
        """Return the raster that a box of its pixels makes."""
        origin = (self.origin[0] + box.y0 * self.step[0], self.origin[1] + box.x0 * self.step[1])
        return PixelGrid(origin=origin, step=self.step, shape=box.shape)

    def napari_transform(
        self, um_per_px: tuple[float, float] | None
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return napari's (scale, translate) of a layer which shows this raster over level 0.

        Parameters
        ----------
        um_per_px
            Micrometres per level-0 pixel, (y, x); None leaves the layer in level-0 pixels.

        Notes
        -----
        World coordinates put the centre of level 0's first pixel at 0, as napari does for an image without translate.
        The centre of this raster's first pixel then lies at ``(origin + step / 2 - 0.5) * um_per_px``; without the
        translate an overlay of step s is shifted by (s - 1) / 2 level-0 pixels.
        """
        unit = um_per_px or (1.0, 1.0)
        scale = (self.step[0] * unit[0], self.step[1] * unit[1])
        translate = (
            (self.origin[0] + self.step[0] / 2 - HALF_PIXEL) * unit[0],
            (self.origin[1] + self.step[1] / 2 - HALF_PIXEL) * unit[1],
        )
        return scale, translate


def napari_data_to_corner(points_yx: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn napari data coordinates of level 0 (pixel centres at integers) into corner coordinates, (y, x)."""
    return np.asarray(points_yx, dtype=np.float64) + HALF_PIXEL


def corner_to_napari_data(points_yx: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn corner coordinates, (y, x), into napari data coordinates of level 0."""
    return np.asarray(points_yx, dtype=np.float64) - HALF_PIXEL


def swap_xy(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn (y, x) rows into (x, y) rows, and back."""
    return np.ascontiguousarray(np.asarray(points, dtype=np.float64)[:, ::-1])
