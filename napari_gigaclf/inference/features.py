"""The feature map of a run, kept so that any region can be asked later: tissue cells only.

A run has them whole (float32), because teaching needs them so; a saved result has them in half precision. What pools
them rounds to half precision in either case, so that a question has one answer. Cells are stored in raster order, so a
region is a few runs of consecutive rows, which are pooled chunk by chunk without being copied together. Reductions are
exact on chunks:

    max         of half floats, as 16-bit integers in the order of their values (integers reduce ten times faster)
    mean        sums of a chunk in float32, over chunks in float64
    attention   sum_n softmax(score_n) h_n with the scores kept per cell
    highest     the features of the cell with the largest score

Known weakness: half precision rounds features by up to 5e-4 relative; the slide's own answer is pooled before rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
PoolingKind = Literal["max", "mean", "attention", "highest"]
CHUNK_CELLS = 4096
"""Cells that are turned to float32 at a time."""
MAX_HALF = 65504.0
"""Largest finite half float; larger features are cut off there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStore:
    """Features of the kept cells of a map."""

    kept: NDArray[np.bool_]
    """Which cells of the map were computed, (rows, columns)."""
    features: Any
    """Features (N, F), float32 or float16, raster order: an ndarray, or an array on disk, read where it is sliced."""
    scores: NDArray[np.float32]
    """Per kept cell (N,): attention logit, or how suspicious it is; zeros where the pooling needs none."""

    @property
    def whole(self) -> bool:
        """Whether the features are as the network gave them, not rounded to half precision."""
        return bool(np.dtype(self.features.dtype) == np.float32)

    def numbers(self, cells: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the positions in the store of the kept ones among some cells (rows, columns), ascending."""
        return np.flatnonzero(cells[self.kept])

    def chunks(self, numbers: NDArray[np.intp]) -> Iterator[tuple[slice, Half]]:
        """Yield (place in ``numbers``, features in half precision) of consecutive cells, ``CHUNK_CELLS`` at most."""
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        for start, stop in zip([0, *breaks], [*breaks, len(numbers)], strict=True):
            for first in range(int(start), int(stop), CHUNK_CELLS):
                last = min(first + CHUNK_CELLS, int(stop))
                at = int(numbers[first])
                yield slice(first, last), to_half(self.features[at : at + last - first])

    def pooled(self, numbers: NDArray[np.intp], kind: PoolingKind) -> NDArray[np.float32]:
        """Pool some cells (at least one) to one vector (F,)."""
        if kind == "highest":
            best = numbers[int(self.scores[numbers].argmax())]
            return to_half(self.features[int(best) : int(best) + 1]).astype(np.float32).reshape(-1)
        if kind == "max":
            return self._largest(numbers)
        if kind == "mean":
            return self._weighted(numbers, np.full(len(numbers), 1 / len(numbers), dtype=np.float32))
        scores = self.scores[numbers].astype(np.float64)
        weights = np.exp(scores - scores.max())
        return self._weighted(numbers, (weights / weights.sum()).astype(np.float32))

    def _largest(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the largest value of each feature."""
        best: NDArray[np.int16] | None = None
        for _, half in self.chunks(numbers):
            order = sortable(half).max(axis=0)
            best = order if best is None else np.maximum(best, order)
        assert best is not None, "pooling needs at least one cell"
        return sortable(best.view(np.float16)).view(np.float16).astype(np.float32)

    def _weighted(self, numbers: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weighted sum over cells of each feature."""
        total = np.zeros(int(self.features.shape[1]), dtype=np.float64)
        for place, half in self.chunks(numbers):
            total += weights[place] @ half.astype(np.float32)
        return total.astype(np.float32)


def to_half(features: NDArray[np.float32] | Half) -> Half:
    """Round features to half precision; what is too large for it becomes its largest value. Halves stay as they are."""
    if features.dtype == np.float16:
        return np.asarray(features)
    return np.clip(features, -MAX_HALF, MAX_HALF).astype(np.float16)


def sortable(half: Half) -> NDArray[np.int16]:
    """Return 16-bit integers in the order of the values of half floats; applied to their bits again, it undoes itself.

    Examples
    --------
    >>> sortable(np.array([-2.0, -1.0, 0.0, 1.0], dtype=np.float16)).argsort()
    array([0, 1, 2, 3])
    """
    bits = half.view(np.int16)
    return bits ^ ((bits >> 15) & np.int16(0x7FFF))
