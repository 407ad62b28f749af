"""Ranks the most suspicious places of a map, one per neighbourhood: greedy non-maximum suppression.

    repeat: take the highest cell that is left; leave out every cell whose centre lies nearer to it than the radius

Of equal cells the first in reading order is taken, so that the same map always gives the same list. A higher least
probability only shortens the list: its beginning stays as it is. Weakness: on a plateau of equal probabilities the
place is the plateau's first cell, not its middle.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import PixelGrid

RADIUS_UM = 250.0
"""Usual radius: two places nearer than this are one field of view at 10x."""
RADIUS_PX = 500.0
"""The same where a slide does not say how large its pixels are, level-0 pixels."""
LEAST = 0.01
"""Usual probability below which no place is listed."""
LIMIT = 500
"""Usual length of the list at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotspot:
    """A place that is the highest of its neighbourhood."""

    row: int
    column: int
    place: tuple[float, float]
    """Centre of its cell, (y, x), level-0 pixels, corner convention."""
    probability: float


def find_hotspots(
    scores: NDArray[np.floating],
    grid: PixelGrid,
    um_per_px: tuple[float, float] | None,
    *,
    radius: float | None = None,
    least: float = LEAST,
    limit: int = LIMIT,
) -> list[Hotspot]:
    """Return the hotspots of one class, highest first.

    Parameters
    ----------
    scores
        Probabilities (rows, columns) of the class, NaN where nothing was computed.
    grid
        Place of the cells over level 0.
    um_per_px
        Micrometres per level-0 pixel, (y, x); None where unknown.
    radius
        Least distance of two hotspots, um (level-0 pixels where the scale is unknown); None takes the usual one.
    least
        Smallest probability that is listed.
    limit
        Most hotspots that are listed.

    Raises
    ------
    RegionError
        The map does not fit its grid, or the radius is not a length.
    """
    if scores.shape != grid.shape:
        raise RegionError(f"a map of {scores.shape} cells does not fit a grid of {grid.shape}")
    wanted = usual_radius(um_per_px) if radius is None else radius
    if not (math.isfinite(wanted) and wanted >= 0):
        raise RegionError(f"a radius of {wanted:g} is no length: give 0 or more")
    disc = _disc(grid, um_per_px or (1.0, 1.0), wanted)
    up, left = disc.shape[0] // 2, disc.shape[1] // 2
    # NaN is not >= least either.
    open_cells = np.where(scores >= least, scores, -np.inf).astype(np.float64, copy=False)
    highest = open_cells.max(axis=1, initial=-np.inf)
    found: list[Hotspot] = []
    while len(found) < limit and highest.size:
        row = int(highest.argmax())
        if highest[row] == -np.inf:
            break
        column = int(open_cells[row].argmax())
        found.append(
            Hotspot(row=row, column=column, place=grid.centre_of(row, column), probability=float(highest[row]))
        )
        top, side = max(0, row - up), max(0, column - left)
        part = open_cells[top : row + up + 1, side : column + left + 1]
        part[disc[top - row + up :, side - column + left :][: part.shape[0], : part.shape[1]]] = -np.inf
        highest[top : row + up + 1] = open_cells[top : row + up + 1].max(axis=1)
    return found


def usual_radius(um_per_px: tuple[float, float] | None) -> float:
    """Return the radius that is taken without being told, um, or level-0 pixels where the scale is unknown."""
    return RADIUS_PX if um_per_px is None else RADIUS_UM


def _disc(grid: PixelGrid, unit: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Return the cells nearer than the radius to the one in the middle, (odd, odd), never larger than twice the map."""
    sides = [min(int(radius / (s * u)), n) for s, u, n in zip(grid.step, unit, grid.shape, strict=True)]
    y, x = (np.arange(-n, n + 1) * s * u for n, s, u in zip(sides, grid.step, unit, strict=True))
    near: NDArray[np.bool_] = (y**2)[:, None] + (x**2)[None, :] < radius**2
    near[sides[0], sides[1]] = True
    return near
