"""Blocks of consecutive cells, pooled once, so that a region of many cells is pooled from few vectors.

    max         largest value of each feature in the block, as integers in the order of half floats
    mean        sum of each feature
    attention   sum_n exp(score_n - t) h_n with t the block's largest score

They take a sixteenth of the features' own memory, a thirty-second for max.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Cells of a block."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PooledBlocks:
    """Blocks 0, 1, ... of a store's cells, pooled."""

    values: NDArray[Any]
    """One row per block: int16 in the order of half floats (max), float32 sums (mean, attention); (blocks, F)."""
    tops: NDArray[np.float64]
    """The largest score of each block (blocks,); empty where the pooling has none."""

    @classmethod
    def of(
        cls,
        chunks: Iterable[tuple[int, NDArray[np.float16]]],
        shape: tuple[int, int],
        scores: NDArray[np.float32],
        kind: str,
    ) -> "PooledBlocks":
        """Pool every whole block.

        Parameters
        ----------
        chunks
            First cell and features (cells, F) of some whole blocks at a time.
        shape
            Number of cells and of features.
        scores
            Score of every cell (N,).
        kind
            ``"max"``, ``"mean"`` or ``"attention"``.
        """
        count = shape[0] // BLOCK
        values = np.zeros((count, shape[1]), dtype=np.int16 if kind == "max" else np.float32)
        tops = np.zeros(0)
        if kind == "attention":
            tops = scores[: count * BLOCK].reshape(count, BLOCK).max(axis=1).astype(np.float64)
        for first, half in chunks:
            rows = slice(first // BLOCK, (first + len(half)) // BLOCK)
            if kind == "max":
                values[rows] = sortable(half).reshape(-1, BLOCK, shape[1]).max(axis=1)
                continue
            weights = np.ones((rows.stop - rows.start, 1, BLOCK), dtype=np.float32)
            if kind == "attention":
                within = scores[first : first + len(half)].reshape(-1, BLOCK)
                weights[:, 0] = np.exp(within - tops[rows, None])
            values[rows] = (weights @ half.astype(np.float32).reshape(-1, BLOCK, shape[1]))[:, 0]
        return cls(values=values, tops=tops)


def split(numbers: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the blocks that lie whole among some cells (ascending), and the cells that are in none of these.

    Examples
    --------
    >>> blocks, singles = split(np.arange(30, 100))
    >>> blocks.tolist(), singles.tolist()
    ([1, 2], [30, 31, 96, 97, 98, 99])
    """
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    start = numbers[np.concatenate(([0], breaks))]
    stop = numbers[np.concatenate((breaks, [len(numbers)])) - 1] + 1
    first = -(-start // BLOCK)
    count = np.maximum(stop // BLOCK - first, 0)
    blocks = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    in_block = np.zeros(len(numbers), dtype=np.bool_)
    place = np.searchsorted(numbers, blocks * BLOCK)
    in_block[(place[:, None] + np.arange(BLOCK)).reshape(-1)] = True
    return blocks.astype(np.intp), numbers[~in_block]


def sortable(half: NDArray[np.float16]) -> NDArray[np.int16]:
    """Return 16-bit integers in the order of the values of half floats; applied to their bits again, it undoes itself.

    Examples
    --------
    >>> sortable(np.array([-2.0, -1.0, 0.0, 1.0], dtype=np.float16)).argsort()
    array([0, 1, 2, 3])
    """
    bits = half.view(np.int16)
    return bits ^ ((bits >> 15) & np.int16(0x7FFF))
