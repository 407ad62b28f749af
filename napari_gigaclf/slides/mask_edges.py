"""The regions of a mask as polygons: the exact edges of its pixels, holes kept.

Pixels that share an edge belong to one region; pixels that only touch at a corner do not. Where the mask changes from
one pixel to the next runs an edge; straight runs of edges are lines, and what the lines enclose is a region or a hole.
Coordinates are whole numbers, so nothing is rounded.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon


def regions(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the regions in the order of their first pixel, row by row.

    Parameters
    ----------
    mask
        (rows, columns).

    Returns
    -------
    list of Polygon
        In pixels, (x, y) = (column, row), corner convention: pixel (0, 0) reaches from 0 to 1. Vertices stand where an
        outline turns.
    """
    framed = np.pad(mask, 1)
    y, x_first, x_last = _straight_edges(framed)
    x, y_first, y_last = _straight_edges(framed.T)
    ends = [(x_first, y, x_last, y), (x, y_first, x, y_last)]
    corners = np.concatenate([np.stack(each, axis=1).reshape(-1, 2, 2) for each in ends])
    lines = np.asarray(shapely.linestrings(corners.astype(np.float64)), dtype=object)
    enclosed = shapely.get_parts(shapely.polygonize(lines))
    first = {_first_pixel(each): each for each in enclosed}
    return [first[pixel] for pixel in sorted(first) if mask[pixel]]


def _first_pixel(region: Polygon) -> tuple[int, int]:
    """Return row and column of the first pixel of a region, row by row."""
    xy = shapely.get_coordinates(region.exterior)
    top = xy[xy[:, 1] == xy[:, 1].min()]
    return int(top[0, 1]), int(top[:, 0].min())


def _straight_edges(framed: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the edges between rows of a mask with a frame of one pixel: line, first and last position along it."""
    edge = framed[1:] != framed[:-1]
    across = framed[:, 1:] != framed[:, :-1]
    corner = across[1:] | across[:-1]
    begins, ends = edge.copy(), edge.copy()
    begins[:, 1:] &= ~edge[:, :-1] | corner
    ends[:, :-1] &= ~edge[:, 1:] | corner
    line, first = np.nonzero(begins)
    return line, first - 1, np.nonzero(ends)[1]
