"""Draws a line around the cells of a map that reach a threshold: the exact edges of the cells, holes kept.

Cells that share an edge belong to one region; cells that only touch at a corner do not. Outlines are found in whole
numbers, and only then laid over level 0.
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
from napari_gigaclf.slides.mask_edges import outlines_of


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
    labels, count = ndimage.label(mask)  # numbers regions by their first cell
    rows, columns = np.nonzero(labels)
    order = np.argsort(labels[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    bounds = np.searchsorted(labels[rows, columns], np.arange(1, count + 2))
    return [
        Outline(polygon=_laid_over(polygon, grid), rows=rows[a:b], columns=columns[a:b])
        for polygon, (a, b) in zip(outlines_of(labels), pairwise(bounds), strict=True)
    ]


def _laid_over(polygon: Polygon, grid: PixelGrid) -> Polygon:
    """Return a polygon of cell coordinates in level-0 pixels."""
    origin, step = np.array(grid.origin[::-1]), np.array(grid.step[::-1])
    return shapely.transform(polygon, lambda xy: origin + xy * step)
