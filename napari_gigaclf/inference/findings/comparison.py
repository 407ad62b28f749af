"""A reader's own call beside the model's: what both found, what only one of them found.

The reader marks places, the model has lesions. A lesion counts as marked if a place lies in it or no further from its
cells than ``near``; many marks in one lesion count once, as many hotspots do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.foci import Foci
from napari_gigaclf.inference.findings.hotspots import usual_radius
from napari_gigaclf.inference.findings.lesions import Lesion

Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reader and a model found on one slide."""

    both: tuple[Lesion, ...]
    """Lesions of the model that the reader marked."""
    only_model: tuple[Lesion, ...]
    """Lesions of the model without a mark: what the reader missed, if the model is right."""
    only_reader: tuple[Place, ...]
    """Marks of the reader without a lesion, (y, x): what the model missed, if the reader is right."""


def compare(
    places: Sequence[Place],
    lesions: Sequence[Lesion],
    foci: Foci,
    grid: PixelGrid,
    um_per_px: tuple[float, float] | None,
    *,
    near: float | None = None,
) -> Comparison:
    """Compare a reader's marks with lesions.

    Parameters
    ----------
    places
        Marks, (y, x), level-0 pixels, corner convention.
    lesions
        The model's (``find_lesions``), made of ``foci``.
    foci
        Cells at or above the threshold.
    grid
        Place of the cells over level 0.
    um_per_px
        Micrometres per level-0 pixel, (y, x); None where unknown.
    near
        A mark belongs to a lesion up to this distance from the edge of its cells, um (level-0 pixels where the scale
        is unknown); None takes the hotspots' usual radius.
    """
    unit = um_per_px or (1.0, 1.0)
    reach = usual_radius(um_per_px) if near is None else near
    lesion_of = np.full(foci.count + 1, -1, dtype=np.intp)
    for number, lesion in enumerate(lesions):
        lesion_of[list(lesion.foci)] = number
    marked: set[int] = set()
    alone: list[Place] = []
    for place in places:
        hit = {int(lesion_of[focus]) for focus in _foci_near(place, foci, grid, unit, reach)} - {-1}
        marked |= hit
        if not hit:
            alone.append(place)
    return Comparison(
        both=tuple(lesion for number, lesion in enumerate(lesions) if number in marked),
        only_model=tuple(lesion for number, lesion in enumerate(lesions) if number not in marked),
        only_reader=tuple(alone),
    )


def _foci_near(place: Place, foci: Foci, grid: PixelGrid, unit: tuple[float, float], reach: float) -> set[int]:
    """Return the foci with a cell no further from a place than ``reach``."""
    parts, distances = [], []
    for axis in range(2):
        at = (place[axis] - grid.origin[axis]) / grid.step[axis]
        side = grid.step[axis] * unit[axis]
        first = max(0, int(np.floor(at - reach / side)) - 1)
        last = min(grid.shape[axis], int(np.ceil(at + reach / side)) + 1)
        cells = np.arange(first, max(first, last))
        parts.append(slice(first, max(first, last)))
        distances.append(np.maximum(np.maximum(cells - at, at - cells - 1), 0.0) * side)
    near = distances[0][:, None] ** 2 + distances[1][None, :] ** 2 <= reach**2
    return {int(focus) for focus in np.unique(foci.labels[tuple(parts)][near]) if focus}
