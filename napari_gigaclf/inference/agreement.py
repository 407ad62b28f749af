"""How well a map agrees with known outlines: the chance that a cell inside them scores higher than one outside.

This is the area under the ROC curve, from ranks (Mann-Whitney, ties count half):
``AUC = (sum of ranks of positives - P (P + 1) / 2) / (P N)``. Cells count as positive where the outlines cover at least
half of them. Weakness: neighbouring cells are not independent, so that it says nothing about other slides.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.stats import rankdata
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import PixelGrid

COVERED = 0.5
"""Share of a cell that must lie inside the outlines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A map against the truth, cell by cell."""

    auc: float | None
    """Area under the ROC curve; None where there are only positive or only negative cells."""
    num_positive: int
    num_negative: int


def agreement(
    scores: NDArray[np.floating],
    grid: PixelGrid,
    truth: list[BaseGeometry],
    *,
    tissue: NDArray[np.bool_] | None = None,
) -> Agreement:
    """Compare a map with outlines.

    Parameters
    ----------
    scores
        Probability of the class that the outlines show, (rows, columns); cells with NaN are left out.
    grid
        Where the cells lie on level 0.
    truth
        Polygons, (x, y) level-0 pixels.
    tissue
        Cells to compare, (rows, columns); None takes all.
    """
    counted = np.isfinite(scores) if tissue is None else np.isfinite(scores) & tissue
    positive = (covered(grid, truth) >= COVERED)[counted]
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    auc = rank_auc(scores[counted], positive) if num_positive and num_negative else None
    return Agreement(auc=auc, num_positive=num_positive, num_negative=num_negative)


def rank_auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of scores (N,) of which some are positive; both kinds must occur."""
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def covered(grid: PixelGrid, outlines: list[BaseGeometry]) -> NDArray[np.float64]:
    """Return the share of each cell's area that lies inside the outlines, exactly, (rows, columns)."""
    share = np.zeros(grid.shape)
    area = grid.step[0] * grid.step[1]
    for part in shapely.get_parts(shapely.union_all(outlines)):
        x0, y0, x1, y1 = part.bounds
        rows = _span(y0, y1, grid.origin[0], grid.step[0], grid.shape[0])
        columns = _span(x0, x1, grid.origin[1], grid.step[1], grid.shape[1])
        row, column = np.meshgrid(rows, columns, indexing="ij")
        top, left = grid.origin[0] + row * grid.step[0], grid.origin[1] + column * grid.step[1]
        cells = shapely.box(left, top, left + grid.step[1], top + grid.step[0])
        shapely.prepare(part)
        touched = shapely.intersects(part, cells)
        inside = np.zeros(cells.shape)
        inside[touched] = shapely.area(shapely.intersection(part, cells[touched])) / area
        share[row, column] += inside
    return share


def _span(low: float, high: float, origin: float, step: float, count: int) -> NDArray[np.intp]:
    """Return the cells of an axis that reach into an interval of level-0 pixels."""
    first = max(0, int(np.floor((low - origin) / step)))
    last = min(count, int(np.ceil((high - origin) / step)))
    return np.arange(first, max(first, last))
