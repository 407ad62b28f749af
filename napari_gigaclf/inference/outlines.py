"""Draws a line around the cells of a map that reach a threshold: the exact edges of the cells, holes kept.

Cells that share an edge belong to one region; cells that only touch at a corner do not. Each region's row-runs of cells
are joined as rectangles of whole numbers, where shapely's union is exact, and only then laid over level 0.
Weakness: an outline is as coarse as the map; it is not the outline of a tumour but of the network's cells.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import Polygon

from napari_gigaclf.geometry import PixelGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One region of a map."""

    polygon: Polygon
    """(x, y), level-0 pixels, corner convention."""
    rows: NDArray[np.intp]
    """Row of each of its cells."""
    columns: NDArray[np.intp]
    """Column of each of its cells."""


def outlines(mask: NDArray[np.bool_], grid: PixelGrid) -> list[Outline]:
    """Return the regions of a mask, in the order of their first cell.

    Parameters
    ----------
    mask
        Cells that belong to a region, (rows, columns).
    grid
        Where the cells lie on level 0; its shape is the mask's.
    """
    if mask.shape != grid.shape:
        raise ValueError(f"a mask of {mask.shape} cells cannot lie on a grid of {grid.shape}")
    labels, count = ndimage.label(mask)
    rows, columns = np.nonzero(labels)
    order = np.argsort(labels[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    bounds = np.searchsorted(labels[rows, columns], np.arange(1, count + 2))
    return [
        Outline(polygon=_laid_over(_outline(rows[a:b], columns[a:b]), grid), rows=rows[a:b], columns=columns[a:b])
        for a, b in pairwise(bounds)
    ]


def _outline(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Polygon:
    """Return the outline of connected cells in cell coordinates, (x, y) = (column, row); cells come row by row."""
    breaks = np.flatnonzero((np.diff(rows) != 0) | (np.diff(columns) != 1))
    first = np.concatenate([[0], breaks + 1])
    last = np.concatenate([breaks, [len(rows) - 1]])
    joined = shapely.union_all(shapely.box(columns[first], rows[first], columns[last] + 1, rows[last] + 1))
    if not isinstance(joined, Polygon):
        raise TypeError(f"connected cells joined to a {joined.geom_type}")
    return Polygon(
        _corners(shapely.get_coordinates(joined.exterior)),
        [_corners(shapely.get_coordinates(ring)) for ring in joined.interiors],
    )


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vertices of a closed ring (N, 2) at which it turns."""
    points = ring[:-1]
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    turns: NDArray[np.float64] = points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return turns


def _laid_over(polygon: Polygon, grid: PixelGrid) -> Polygon:
    """Return a polygon of cell coordinates in level-0 pixels."""
    origin, step = np.array(grid.origin[::-1]), np.array(grid.step[::-1])
    return shapely.transform(polygon, lambda xy: origin + xy * step)
