"""The feature map of a run, kept so that any region can be asked later: tissue cells only.

A run has them whole (float32), because teaching needs them so; a saved result has them in half precision. What pools
them rounds to half precision in either case, so that a question has one answer. Cells are stored in raster order, so a
region is a few runs of consecutive cells. Blocks of 32 consecutive cells are pooled ahead, once; a region is pooled
from the blocks that lie in it whole and from the cells at the ends of its runs. Reductions are exact on blocks and
chunks:

    max         of half floats, as 16-bit integers in the order of their values (integers reduce ten times faster)
    mean        sums of a chunk in float32, over chunks in float64
    attention   sum_n softmax(score_n) h_n with the scores kept per cell
    highest     the features of the cell with the largest score

Known weakness: half precision rounds features by up to 5e-4 relative; the slide's own answer is pooled before rounding.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.pooled_blocks import BLOCK, PooledBlocks, sortable, split

Half = NDArray[np.float16]
PoolingKind = Literal["max", "mean", "attention", "highest"]
CHUNK_CELLS = 4096
"""Cells that are turned to float32 at a time."""
BLOCKS_FROM = 1 << 13
"""Cells from which a region is pooled by blocks; fewer are pooled one by one."""
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
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was found once and is asked again: where rows begin, pooled blocks."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def whole(self) -> bool:
        """Whether the features are as the network gave them, not rounded to half precision."""
        return bool(np.dtype(self.features.dtype) == np.float32)

    @property
    def row_starts(self) -> NDArray[np.intp]:
        """Where the cells of each row begin in the store, and where the last row's end, (rows + 1,)."""
        if "rows" not in self._known:
            counts = np.count_nonzero(self.kept, axis=1)
            self._known["rows"] = np.concatenate(([0], np.cumsum(counts))).astype(np.intp)
        starts: NDArray[np.intp] = self._known["rows"]
        return starts

    def numbers(self, cells: Cells) -> NDArray[np.intp]:
        """Return the positions in the store of the kept ones among some cells, ascending."""
        (y0, y1, x0, _), kept = cells.box, self.kept[cells.box.slices]
        before = self.row_starts[y0:y1] + np.count_nonzero(self.kept[y0:y1, :x0], axis=1)
        within = np.cumsum(kept, axis=1, dtype=np.int32)
        numbers: NDArray[np.intp] = (before[:, None] - 1 + within)[cells.inside & kept]
        return numbers

    def pooled(self, numbers: NDArray[np.intp], kind: PoolingKind) -> NDArray[np.float32]:
        """Pool some cells (at least one, ascending) to one vector (F,)."""
        if kind == "highest":
            best = numbers[int(self.scores[numbers].argmax())]
            one = to_half(self.features[int(best) : int(best) + 1])
            return one.astype(np.float32).reshape(-1)
        blocks, singles = split(numbers) if len(numbers) >= BLOCKS_FROM else (np.zeros(0, dtype=np.intp), numbers)
        if kind == "max":
            return self._largest(blocks, singles)
        if kind == "mean":
            total = self._weighted(singles, np.ones(len(singles), dtype=np.float32))
            if len(blocks):
                total += self.pool_ahead("mean").values[blocks].sum(axis=0, dtype=np.float64)
            return (total / len(numbers)).astype(np.float32)
        return self._attended(numbers, blocks, singles)

    def pool_ahead(self, kind: PoolingKind) -> PooledBlocks:
        """Return every block of 32 consecutive cells pooled, made once: a second per gigabyte of features."""
        with self._lock:
            if kind not in self._known:
                self._known[kind] = PooledBlocks.of(self._block_chunks(), self.features.shape, self.scores, kind)
            blocks: PooledBlocks = self._known[kind]
            return blocks

    def _block_chunks(self) -> Iterator[tuple[int, Half]]:
        """Yield (first cell, features in half precision) of whole blocks, a chunk at a time."""
        chunk = max(1, CHUNK_CELLS // BLOCK) * BLOCK
        whole = int(self.features.shape[0]) // BLOCK * BLOCK
        for first in range(0, whole, chunk):
            yield first, to_half(self.features[first : min(first + chunk, whole)])

    def _chunks(self, numbers: NDArray[np.intp]) -> Iterator[tuple[slice, Half]]:
        """Yield (place in ``numbers``, halves) of some cells, at most ``CHUNK_CELLS`` at a time."""
        for first in range(0, len(numbers), CHUNK_CELLS):
            last = min(first + CHUNK_CELLS, len(numbers))
            yield slice(first, last), self._read(numbers[first:last])

    def _read(self, numbers: NDArray[np.intp]) -> Half:
        """Return the features of some cells; of a file, runs of consecutive cells are read."""
        if isinstance(self.features, np.ndarray):
            return to_half(self.features[numbers])
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        return np.concatenate([to_half(self.features[int(run[0]) : int(run[-1]) + 1]) for run in runs])

    def _largest(self, blocks: NDArray[np.intp], singles: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the largest value of each feature."""
        found = [sortable(half).max(axis=0) for _, half in self._chunks(singles)] if len(singles) else []
        if len(blocks):
            found.append(self.pool_ahead("max").values[blocks].max(axis=0))
        assert found, "pooling needs at least one cell"
        best: NDArray[np.int16] = np.max(found, axis=0)
        return sortable(best.view(np.float16)).view(np.float16).astype(np.float32)

    def _attended(
        self, numbers: NDArray[np.intp], blocks: NDArray[np.intp], singles: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the sum of features, weighted with the softmax of the scores."""
        scores = self.scores[numbers].astype(np.float64)
        top = scores.max()
        weights = np.exp(self.scores[singles].astype(np.float64) - top).astype(np.float32)
        total = self._weighted(singles, weights)
        if len(blocks):
            pooled = self.pool_ahead("attention")
            total += np.exp(pooled.tops[blocks] - top) @ pooled.values[blocks]
        found: NDArray[np.float32] = (total / np.exp(scores - top).sum()).astype(np.float32)
        return found

    def _weighted(self, numbers: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the weighted sum over cells of each feature."""
        total = np.zeros(int(self.features.shape[1]), dtype=np.float64)
        if len(numbers):
            for place, half in self._chunks(numbers):
                total += weights[place] @ half.astype(np.float32)
        return total


def to_half(features: NDArray[np.float32] | Half) -> Half:
    """Round features to half precision; what is too large for it becomes its largest value. Halves stay as they are."""
    if features.dtype == np.float16:
        return np.asarray(features)
    return np.clip(features, -MAX_HALF, MAX_HALF).astype(np.float16)
