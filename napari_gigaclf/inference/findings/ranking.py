"""The list a person goes through: hotspots of a map joined with what was said of them, highest first.

A verdict belongs to the cell of the map in which its place lies. A place with a verdict stays in the list also where
the map, or the radius, has no hotspot there any more: nothing that was said is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.hotspots import Hotspot
from napari_gigaclf.inference.findings.reviews import Review, ReviewLog
from napari_gigaclf.inference.region import field_cells, field_outline
from napari_gigaclf.models.card import FieldSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One place of the list."""

    rank: int
    """From 1."""
    place: tuple[float, float]
    """(y, x), level-0 pixels, corner convention."""
    class_name: str
    """Class that was looked for."""
    probability: float
    outline: BaseGeometry
    """What the network sees for the cell, (x, y) level-0 pixels."""
    review: Review | None
    """What was last said of it."""

    @property
    def verdict(self) -> str:
        """The verdict, ``"open"`` without one."""
        return "open" if self.review is None else self.review.verdict


def ranked(
    hotspots: Sequence[Hotspot],
    log: ReviewLog,
    scores: NDArray[np.floating],
    grid: PixelGrid,
    *,
    class_name: str,
    field: FieldSpec,
    input_step: tuple[float, float],
) -> list[Entry]:
    """Return the list of a class.

    Parameters
    ----------
    hotspots
        Hotspots of the class (``find_hotspots``).
    log
        What was said.
    scores
        Probabilities (rows, columns) of the class.
    grid
        Place of the cells over level 0.
    class_name
        The class.
    field
        The field that the model's card states around a place.
    input_step
        Side of a pixel of the network's input, (y, x) level-0 pixels.
    """
    reviews = {grid.index_of(review.place): review for review in log.current(class_name)}
    places = {(spot.row, spot.column): (spot.probability, spot.place) for spot in hotspots}
    for cell, review in reviews.items():
        if cell not in places:
            places[cell] = (_probability(scores, cell, review), review.place)
    order = sorted(places, key=lambda cell: (-places[cell][0], cell))
    side = (field.px * input_step[0], field.px * input_step[1])
    return [
        Entry(
            rank=rank,
            place=places[cell][1],
            class_name=class_name,
            probability=places[cell][0],
            outline=field_outline(field_cells(places[cell][1], field.cells, grid), side, grid),
            review=reviews.get(cell),
        )
        for rank, cell in enumerate(order, start=1)
    ]


def _probability(scores: NDArray[np.floating], cell: tuple[int, int], review: Review) -> float:
    """Return what the map says of a cell; what the review remembers where the map says nothing."""
    inside = all(0 <= index < side for index, side in zip(cell, scores.shape, strict=True))
    value = float(scores[cell]) if inside else float("nan")
    return value if np.isfinite(value) else review.probability
