"""The regions of a mask as polygons: the exact edges of its pixels, holes kept.

Pixels that share an edge belong to one region; pixels that only touch at a corner do not. Where the mask changes from
one pixel to the next runs an edge; straight runs of edges are sides, and sides are followed around their region, which
lies on their right. Coordinates are whole numbers, so nothing is rounded. Sides are followed here rather than by GEOS,
which for a gigapixel slide keeps every other thread, a window's among them, waiting for seconds.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import Polygon

EAST, SOUTH, WEST, NORTH = range(4)
"""Headings; one more is a turn to the right."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Straight sides of regions, each with its region on the right."""

    begins: NDArray[np.intp]
    """Corners of pixels where they begin, (N, 2), (x, y)."""
    ends: NDArray[np.intp]
    """Corners of pixels where they end, (N, 2), (x, y)."""
    heading: NDArray[np.intp]
    """Where they lead, (N,)."""
    region: NDArray[np.intp]
    """Numbers of their regions, (N,)."""


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
    return outlines_of(ndimage.label(mask)[0])  # numbers regions by their first pixel


def outlines_of(labels: NDArray[np.integer]) -> list[Polygon]:
    """Return the regions in the order of their numbers, 1 and on, as ``regions`` does; (rows, columns), 0 is none."""
    if not labels.any():
        return []
    sides = _sides(np.pad(labels, 1))
    order, starts = _rings(_next_sides(sides))
    (x0, y0), (x1, y1) = sides.begins[order].T, sides.ends[order].T
    is_hole = np.add.reduceat(x0 * y1 - x1 * y0, starts) < 0  # twice the area, from the sides
    ring_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    rings = np.asarray(shapely.linearrings(sides.begins[order].astype(np.float64), indices=ring_of))
    region = sides.region[order[starts]]
    shells_first = np.lexsort((is_hole, region))
    return list(np.asarray(shapely.polygons(rings[shells_first], indices=region[shells_first] - 1)))


def _sides(framed: NDArray[np.integer]) -> Sides:
    """Return the sides of the regions whose numbers a frame of one pixel of zeros surrounds."""
    mask = framed > 0
    y, west, east = _straight_edges(mask)
    below = framed[y + 1, west + 1]
    across = _turned(np.stack((west, y), 1), np.stack((east, y), 1), below > 0)
    x, north, south = _straight_edges(mask.T)
    left = framed[north + 1, x]
    down = _turned(np.stack((x, north), 1), np.stack((x, south), 1), left > 0)
    return Sides(
        begins=np.concatenate((across[0], down[0])),
        ends=np.concatenate((across[1], down[1])),
        heading=np.concatenate((np.where(below > 0, EAST, WEST), np.where(left > 0, SOUTH, NORTH))),
        region=np.concatenate((np.maximum(below, framed[y, west + 1]), np.maximum(left, framed[north + 1, x + 1]))),
    )


def _turned(
    first: NDArray[np.intp], last: NDArray[np.intp], forward: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return begins and ends of sides, (N, 2), which lead from first to last where they go forward, else back."""
    return np.where(forward[:, None], first, last), np.where(forward[:, None], last, first)


def _next_sides(sides: Sides) -> NDArray[np.intp]:
    """Return for each side the one that goes on where it ends.

    Where two pixels of one region touch at a corner only, four sides meet: a turn to the left keeps apart what lies
    between them, two holes, or a hole and the outside. Pixels of two regions are kept apart by a turn to the right.
    """
    width = int(sides.begins[:, 0].max()) + 1
    key = 4 * (sides.begins[:, 1] * width + sides.begins[:, 0]) + sides.heading
    by_key = np.argsort(key)
    ordered = key[by_key]

    def leaving(turn: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the sides that leave after a turn, and where there is one of the same region."""
        wanted = 4 * (sides.ends[:, 1] * width + sides.ends[:, 0]) + (sides.heading + turn) % 4
        place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        side = by_key[place]
        return side, (ordered[place] == wanted) & (sides.region[side] == sides.region)

    (right, _), (left, has_left) = leaving(1), leaving(3)
    found: NDArray[np.intp] = np.where(has_left, left, right)
    return found


def _rings(following: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all sides ring by ring, and where in that order each ring starts."""
    after = following.tolist()
    order: list[int] = []
    starts: list[int] = []
    seen = bytearray(len(after))
    for first in range(len(after)):
        if seen[first]:
            continue
        starts.append(len(order))
        side = first
        while not seen[side]:
            seen[side] = 1
            order.append(side)
            side = after[side]
    return np.array(order, dtype=np.intp), np.array(starts, dtype=np.intp)


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
