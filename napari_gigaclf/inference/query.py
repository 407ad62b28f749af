"""What the network says of a place: a click's field, a box or a drawn polygon, from features that are already there.

    probabilities = activation(head(pool(cells of the region)))

The same cells, rounded to half precision alike, serve a click before the run and a query after it: the numbers agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.inference.asked import Asked
from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.features import FeatureStore, PoolingKind

THRESHOLD = 0.5
"""Probability from which a cell counts as the class."""
NO_TISSUE = "no tissue"
NOT_COMPUTED = "nothing was computed here"
TOO_SMALL = "the region holds the centre of no cell: draw it larger"

HeadOfCells = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Turns pooled features (F,) into probabilities (classes,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionAnswer:
    """What the network says of a region."""

    probabilities: dict[str, float] | None
    """Class probabilities of the pooled region; None where it holds no computed tissue."""
    num_cells: int
    """Cells that were pooled."""
    num_missing: int
    """Cells of the region that are tissue and were not computed, as in a run that was stopped: they do not count."""
    area_um2: float | None
    """Area of the outline, square micrometres; None where the slide's scale is unknown."""
    area_px: float
    """Area of the outline, level-0 pixels."""
    outline: BaseGeometry
    """The region, (x, y) level-0 pixels: the polygon, or the field around the point."""
    mean: dict[str, float]
    """Mean of the cells' probabilities; empty without cells."""
    maximum: dict[str, float]
    """Largest of the cells' probabilities; empty without cells."""
    share_above: dict[str, float]
    """Share of the tissue's cells at or above the threshold, 0 to 1; empty without cells, and for scores."""
    threshold: float
    """The threshold of ``share_above``."""
    message: str
    """Why there are no probabilities; empty if there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """Everything that turns cells into an answer."""

    classes: tuple[str, ...]
    store: FeatureStore
    cell_probabilities: Callable[[Cells], NDArray[np.float32]]
    """Probabilities (classes, n) of some kept cells, raster order."""
    pooling: PoolingKind
    head: HeadOfCells
    um_per_px: tuple[float, float] | None
    """Micrometres per level-0 pixel, (y, x)."""
    scores: bool = False
    """Whether the numbers are a regression's, which no threshold of probability fits."""

    def answer(self, region: Asked, threshold: float = THRESHOLD, num_missing: int = 0) -> RegionAnswer:
        """Answer for the kept ones among the cells of a region.

        Parameters
        ----------
        region
            Its cells and its outline.
        threshold
            Probability from which a cell counts for ``share_above``.
        num_missing
            Cells of the region that are tissue and were not computed.
        """
        numbers = self.store.numbers(region.cells)
        probabilities, mean, maximum, share = None, {}, {}, {}
        if len(numbers):
            pooled = self.head(self.store.pooled(numbers, self.pooling))
            single = self.cell_probabilities(region.cells.only(self.store.kept))
            probabilities = self._named(pooled)
            mean = self._named(single.mean(axis=1, dtype=np.float64))
            maximum = self._named(single.max(axis=1))
            share = {} if self.scores else self._named(np.count_nonzero(single >= threshold, axis=1) / len(numbers))
        um, outline = self.um_per_px, region.outline
        return RegionAnswer(
            probabilities=probabilities,
            num_cells=len(numbers),
            num_missing=num_missing,
            area_um2=None if um is None else outline.area * um[0] * um[1],
            area_px=outline.area,
            outline=outline,
            mean=mean,
            maximum=maximum,
            share_above=share,
            threshold=threshold,
            message="" if len(numbers) else _why_empty(region.cells, num_missing),
        )

    def _named(self, values: NDArray[np.floating]) -> dict[str, float]:
        """Return values by class name."""
        return {name: float(value) for name, value in zip(self.classes, values, strict=True)}


def _why_empty(cells: Cells, num_missing: int) -> str:
    """Say why no computed cell is among some cells."""
    if not len(cells):
        return TOO_SMALL
    return NOT_COMPUTED if num_missing else NO_TISSUE
