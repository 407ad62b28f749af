"""Foci: connected cells at or above a threshold, how many there are, how large, and how long at their longest.

Cells that share an edge belong to one focus, as in ``inference.outlines``. A focus' largest diameter is the longest
distance between two points of it, which are corners of its convex hull. Weakness: sizes are those of the map's cells; a
focus is never smaller than one cell.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import PixelGrid

PAIRS_AT_ONCE = 1 << 21
"""Distances between corners of hulls that are held in memory together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How much of a map reaches a threshold."""

    threshold: float
    num_foci: int
    num_cells: int
    area_mm2: float | None
    """None where the slide's scale is unknown."""
    area_px: float
    """Level-0 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foci:
    """Connected cells at or above a threshold."""

    labels: NDArray[np.int32]
    """Number of each cell's focus, (rows, columns); 0 is none."""
    count: int
    num_cells: NDArray[np.intp]
    """Cells of each focus, (count,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The same cells row by row: stretches of one row without a gap, in reading order."""

    row: NDArray[np.intp]
    first: NDArray[np.intp]
    """First column, (N,)."""
    last: NDArray[np.intp]
    """Column after the last, (N,)."""
    focus: NDArray[np.intp]
    """Focus of each, counted from 0."""


def find_foci(scores: NDArray[np.floating], threshold: float) -> Foci:
    """Return the connected cells of a map (rows, columns) at or above a threshold; NaN reaches none."""
    labels = np.empty(scores.shape, dtype=np.int32)
    count = int(ndimage.label(scores >= threshold, output=labels))
    return Foci(labels=labels, count=count, num_cells=np.bincount(labels.ravel(), minlength=count + 1)[1:])


def tally(foci: Foci, grid: PixelGrid, um_per_px: tuple[float, float] | None, threshold: float) -> Tally:
    """Return number and area of foci.

    Raises
    ------
    RegionError
        The map does not fit its grid.
    """
    if foci.labels.shape != grid.shape:
        raise RegionError(f"a map of {foci.labels.shape} cells does not fit a grid of {grid.shape}")
    cells = int(foci.num_cells.sum())
    area_px = cells * grid.step[0] * grid.step[1]
    return Tally(
        threshold=threshold,
        num_foci=foci.count,
        num_cells=cells,
        area_mm2=None if um_per_px is None else area_px * um_per_px[0] * um_per_px[1] / 1e6,
        area_px=area_px,
    )


def runs_of(foci: Foci) -> Runs:
    """Return the foci's cells as stretches of rows."""
    edges = np.diff(np.pad((foci.labels > 0).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(edges == 1)
    last = np.nonzero(edges == -1)[1]
    return Runs(row=row, first=first, last=last, focus=foci.labels[row, first].astype(np.intp) - 1)


def largest_diameters(
    runs: Runs, group: NDArray[np.intp], count: int, side: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the longest distance within each group of runs, (count,), in the unit of ``side``.

    Parameters
    ----------
    runs
        Stretches of cells.
    group
        Group of each run, counted from 0.
    count
        Number of groups; each has a run.
    side
        Height and width of a cell, um or pixels.
    """
    order = np.argsort(group, kind="stable")
    row, first, last = runs.row[order], runs.first[order], runs.last[order]
    y = np.stack([row, row, row + 1, row + 1], axis=1).ravel() * side[0]
    x = np.stack([first, last, last, first], axis=1).ravel() * side[1]
    corners = shapely.multipoints(np.stack([x, y], axis=1), indices=np.repeat(group[order], 4))
    points, of_hull = shapely.get_coordinates(shapely.convex_hull(corners), return_index=True)
    num_points = np.bincount(of_hull, minlength=count)
    begin = np.cumsum(num_points) - num_points
    longest = np.zeros(count)
    for n in np.unique(num_points):  # hulls of as many corners are done together
        members = np.flatnonzero(num_points == n)
        for some in np.array_split(members, -(-len(members) * int(n) ** 2 // PAIRS_AT_ONCE)):
            hulls = points[begin[some][:, None] + np.arange(n)]
            between = hulls[:, :, None] - hulls[:, None]
            longest[some] = np.sqrt((between**2).sum(axis=-1).max(axis=(1, 2)))
    return longest
