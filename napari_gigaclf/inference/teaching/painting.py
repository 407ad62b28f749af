"""The taught head on all cells of a slide, block by block, what is in view first.

    probabilities = softmax(W x + b)        one matrix product over cells that lie in memory, and no network

Blocks are whole rows of the map: its kept cells are then one stretch of the store, which is read in place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.map_update import MapUpdate
from napari_gigaclf.inference.storage import zeros
from napari_gigaclf.inference.teaching.learning import Head

BLOCK_CELLS = 1 << 16
"""Cells of a block, about: 12 ms of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The features of a slide's cells in memory, and where they lie."""

    grid: PixelGrid
    """Place of the map's cells over level 0."""
    kept: NDArray[np.bool_]
    """Which cells of the map have features, (rows, columns)."""
    features: NDArray[np.float32]
    """Features (N, F) of those cells, raster order."""
    starts: NDArray[np.intp]
    """Where the cells of each row begin among them, (rows + 1,)."""

    @classmethod
    def of(cls, store: FeatureStore, grid: PixelGrid) -> "Canvas":
        """Return the whole features of a store; those on disk are read, into a temporary file where they are large."""
        features = store.features
        if not isinstance(features, np.ndarray):
            shape = (int(features.shape[0]), int(features.shape[1]))
            whole = zeros(shape, np.float32)
            for start in range(0, shape[0], BLOCK_CELLS):
                whole[start : start + BLOCK_CELLS] = features[start : start + BLOCK_CELLS]
            features = whole
        return cls(grid=grid, kept=store.kept, features=features, starts=store.row_starts)

    @property
    def num_features(self) -> int:
        """F."""
        return int(self.features.shape[1])

    def cell_at(self, place: tuple[float, float]) -> tuple[int, int] | None:
        """Return row and column of the cell at a place (y, x), level-0 pixels; None where no features are kept."""
        row, column = self.grid.index_of(place)
        inside = 0 <= row < self.kept.shape[0] and 0 <= column < self.kept.shape[1]
        return (row, column) if inside and self.kept[row, column] else None

    def number_of(self, cell: tuple[int, int]) -> int:
        """Return where the features of a kept cell lie."""
        return int(self.starts[cell[0]] + self.kept[cell[0], : cell[1]].sum())

    def cells_of(self, numbers: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return rows and columns (n, 2) of some features' cells."""
        rows = np.searchsorted(self.starts, numbers, side="right") - 1
        columns = [np.flatnonzero(self.kept[row])[n - self.starts[row]] for row, n in zip(rows, numbers, strict=True)]
        return np.stack([rows, np.array(columns, dtype=np.intp).reshape(-1)], axis=1)

    def moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation (F,) of each feature over all cells (at least one)."""
        total = np.zeros(self.num_features)
        squares = np.zeros(self.num_features)
        shift = self.features[0].astype(np.float64)  # the sum of squares of a feature far from 0 would lose its digits
        for start in range(0, len(self.features), BLOCK_CELLS):
            off = self.features[start : start + BLOCK_CELLS] - shift
            total += off.sum(axis=0)
            squares += np.einsum("nf,nf->f", off, off)
        mean = total / len(self.features)
        variance = np.maximum(squares / len(self.features) - mean**2, 0.0)
        return (mean + shift).astype(np.float32), np.sqrt(variance).astype(np.float32)

    def row_blocks(self, seen: tuple[int, int] | None = None) -> list[tuple[int, int]]:
        """Return first and last row (exclusive) of each block that has cells; those in view first, then outwards.

        Parameters
        ----------
        seen
            First and last row (exclusive) in view; None where nothing is to come first.
        """
        first, last = seen or (0, 0)
        rows = len(self.starts) - 1
        first, last = min(max(first, 0), rows), min(max(last, 0), rows)
        middle = list(self._split(first, last))
        above, below = list(self._split(0, first))[::-1], list(self._split(last, rows))
        outwards: list[tuple[int, int]] = []
        for number in range(max(len(above), len(below))):
            outwards += above[number : number + 1] + below[number : number + 1]
        return middle + outwards

    def _split(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Cut rows into blocks of about equal numbers of cells."""
        while first < last:
            stop = int(np.searchsorted(self.starts, self.starts[first] + BLOCK_CELLS, side="right")) - 1
            stop = min(max(stop, first + 1), last)
            if self.starts[stop] > self.starts[first]:
                yield first, stop
            first = stop

    def paint(self, head: Head, rows: tuple[int, int]) -> MapUpdate:
        """Return what a head makes of the cells of some rows of the map; NaN where there are none."""
        first, last = rows
        found = head.probabilities(self.features[self.starts[first] : self.starts[last]])
        kept = self.kept[first:last]
        values = np.full((len(head.classes), *kept.shape), np.nan, dtype=np.float32)
        places = np.flatnonzero(kept)
        for plane, row in zip(values, found, strict=True):
            plane.ravel()[places] = row
        return MapUpdate(y0=first, x0=0, probabilities=values)

    def painted(self, head: Head) -> NDArray[np.float32]:
        """Return the whole map (K, rows, columns); NaN where no features are kept."""
        values = np.full((len(head.classes), *self.kept.shape), np.nan, dtype=np.float32)
        for rows in self.row_blocks():
            values[:, rows[0] : rows[1]] = self.paint(head, rows).probabilities
        return values
