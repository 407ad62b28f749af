"""Shapes on the grid: the outline of the tissue, a lesion that grew, tiles strewn about."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_gigaclf.errors import CohortError

Mask = NDArray[np.bool_]
Cells = NDArray[np.int64]
"""(N, 2): row and column."""

_HARMONICS = (2, 3, 4, 5, 6, 7)
_ATTEMPTS = 64
_AROUND = np.ones((3, 3), bool)


def tissue_outline(num: int, share: float, generator: np.random.Generator) -> Mask:
    """Return an irregular blob that holds a share of a (num, num) grid, to the cell.

    The distance from the middle is divided by a radius that varies with the angle (a few harmonics with random
    phases); the cells with the smallest quotient are tissue.
    """
    middle = (num - 1) / 2
    rows, columns = np.mgrid[:num, :num] - middle
    angle = np.arctan2(rows, columns)
    radius = np.ones((num, num))
    for k in _HARMONICS:
        radius += generator.uniform(0.0, 0.24 / k) * np.cos(k * angle + generator.uniform(0, 2 * np.pi))
    # Between a circle and a square: a plain circle covers no more than 0.79 of the grid.
    distance = (np.abs(rows) ** 4 + np.abs(columns) ** 4) ** 0.25
    order = np.argsort((distance / radius).ravel(), kind="stable")
    mask = np.zeros(num * num, bool)
    mask[order[: round(share * num * num)]] = True
    return mask.reshape(num, num)


def grown(free: Mask, count: int, generator: np.random.Generator) -> Cells:
    """Return a connected cluster of cells inside ``free``, grown cell by cell at random (Eden 1961).

    Raises
    ------
    CohortError
        No free part is large enough.
    """
    starts = np.argwhere(free)
    for _ in range(_ATTEMPTS if len(starts) else 0):
        row, column = starts[generator.integers(len(starts))].tolist()
        cells = _grown_from((row, column), free, count, generator)
        if len(cells) == count:
            return np.array(cells, np.int64).reshape(-1, 2)
    raise CohortError(f"no room for a lesion of {count} tiles among {len(starts)} free ones: make the slide larger")


def _grown_from(
    start: tuple[int, int], free: Mask, count: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    cells: list[tuple[int, int]] = []
    border = [start]
    seen = {start}
    while border and len(cells) < count:
        row, column = border.pop(int(generator.integers(len(border))))
        cells.append((row, column))
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < free.shape[0] and 0 <= near[1] < free.shape[1]
            if inside and near not in seen and free[near]:
                seen.add(near)
                border.append(near)
    return cells


def strewn(free: Mask, count: int, generator: np.random.Generator) -> Cells:
    """Return cells inside ``free`` of which no two share a side.

    Raises
    ------
    CohortError
        There is no room for so many.
    """
    for _ in range(_ATTEMPTS):
        left = free.copy()
        cells: list[tuple[int, int]] = []
        for row, column in generator.permutation(np.argwhere(free)).tolist():
            if left[row, column]:
                cells.append((row, column))
                left[max(row - 1, 0) : row + 2, column] = False
                left[row, max(column - 1, 0) : column + 2] = False
            if len(cells) == count:
                return np.array(cells, np.int64).reshape(-1, 2)
    raise CohortError(f"no room for {count} tiles apart from each other: make the slide larger or the lesions smaller")


def away_from(cells: Cells, free: Mask) -> Mask:
    """Return the free cells that do not touch any of ``cells``."""
    taken = np.zeros_like(free)
    taken[cells[:, 0], cells[:, 1]] = True
    apart: Mask = free & ~binary_dilation(taken, _AROUND)
    return apart
