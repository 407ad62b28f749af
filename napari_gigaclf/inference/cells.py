"""Which cells of the map a run computes, and which part of the slide they need to see.

Along an axis, cell i sees input pixels [i s - b, i s - b + r) (stride s, receptive field r, b of it before) and means
the s pixels in the middle of it. A region's cells [i0, i1) are computed from a crop that begins at a multiple of s,

    floor((i0 s - b) / s) s   <=  crop  <   (i1 - 1) s - b + r          clipped to the slide,

so that cell j of the crop is cell j + c0 of the slide with the same receptive field: the same number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box, PixelGrid


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Some cells of a map, kept with no more than the box that holds them: a map may have millions."""

    box: Box
    """Where they are, inside the map; perhaps empty."""
    inside: NDArray[np.bool_]
    """Which cells of the box they are, (rows, columns) of the box."""

    @classmethod
    def of(cls, cells: NDArray[np.bool_]) -> "Cells":
        """Return the True cells of a whole map (rows, columns)."""
        box = bounds(cells) if cells.any() else Box(0, 0, 0, 0)
        return cls(box, cells[box.slices])

    def __len__(self) -> int:
        return int(np.count_nonzero(self.inside))

    def only(self, cells: NDArray[np.bool_]) -> "Cells":
        """Return those that are True in a whole map (rows, columns), too."""
        return Cells(self.box, self.inside & cells[self.box.slices])

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return which cells of another box they are, (rows, columns) of that box."""
        found = np.zeros(box.shape, dtype=np.bool_)
        shared = self.box.intersection(box)
        if not shared.empty:
            ours, theirs = shared.shifted(-self.box.y0, -self.box.x0), shared.shifted(-box.y0, -box.x0)
            found[theirs.slices] = self.inside[ours.slices]
        return found

    def whole(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the whole map (rows, columns) in which they are True."""
        return self.within(Box(0, shape[0], 0, shape[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAxis:
    """The cells along one axis."""

    stride: int
    """Pixels of the input from cell to cell."""
    before: int
    """Cell 0 sees pixels from ``-before`` on."""
    receptive_field: int
    """Pixels that a cell sees."""

    @property
    def start(self) -> float:
        """Where the pixels begin that cell 0 stands for: the stride in the middle of its receptive field."""
        return (self.receptive_field - self.stride) / 2 - self.before

    def crop(self, first: int, last: int, length: int) -> tuple[int, int, int]:
        """Return (first cell of the crop, first pixel, one beyond the last pixel) for cells ``first <= i < last``.

        Examples
        --------
        >>> CellAxis(stride=32, before=32, receptive_field=96).crop(3, 5, 1000)
        (2, 64, 192)
        """
        cell = max(0, (first * self.stride - self.before) // self.stride)
        stop = min(length, (last - 1) * self.stride - self.before + self.receptive_field)
        return cell, cell * self.stride, stop

    def needed(self) -> range:
        """Return the strides of pixels that cell 0 sees, relative to its own number."""
        first = -self.before // self.stride
        last = (self.receptive_field - self.before - 1) // self.stride
        return range(first, last + 1)


def cell_grid(pixels: PixelGrid, axes: tuple[CellAxis, CellAxis], shape: tuple[int, int]) -> PixelGrid:
    """Return the place over level 0 of a map with this many rows and columns.

    Parameters
    ----------
    pixels
        Place of the input's pixels.
    axes
        Cells along y and x.
    """
    return PixelGrid(
        origin=(
            pixels.origin[0] + axes[0].start * pixels.step[0],
            pixels.origin[1] + axes[1].start * pixels.step[1],
        ),
        step=(axes[0].stride * pixels.step[0], axes[1].stride * pixels.step[1]),
        shape=shape,
    )


def bounds(cells: NDArray[np.bool_]) -> Box:
    """Return the smallest box of a map that holds all its True cells (at least one)."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def seen(cells: NDArray[np.bool_], axes: tuple[CellAxis, CellAxis], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which strides of the input some cells see, (rows, columns) of s x s pixels each.

    Parameters
    ----------
    cells
        Cells of the map.
    shape
        Height and width of the input, pixels.
    """
    found = cells
    for axis, cell_axis in enumerate(axes):
        length = -(-shape[axis] // cell_axis.stride)
        moved = np.zeros((length, found.shape[1]) if axis == 0 else (found.shape[0], length), dtype=np.bool_)
        along = np.moveaxis(moved, axis, 0)
        source = np.moveaxis(found, axis, 0)
        for shift in cell_axis.needed():
            first, last = max(0, shift), min(length, source.shape[0] + shift)
            if last > first:
                along[first:last] |= source[first - shift : last - shift]
        found = moved
    return found
