"""Fat: large empty cells with thin walls, the rounded polygons of a jittered lattice (after S. Worley, 1996).

A lattice point is a fat cell where fat grows at its centre, or none; so that fat ends with whole cells.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_gigaclf.slides.phantom.fields import Fields
from napari_gigaclf.slides.phantom.glands import Glands, Places
from napari_gigaclf.slides.phantom.noise import Floats, hash_cells, salted, uniform

_FAT: Final = 110
_CELL_UM: Final = 52.0
_REACH_UM: Final = 1.3 * _CELL_UM
FAT_REACH_UM: Final = 4.2 * _CELL_UM
"""How far outside a box the lattice points lie that decide about the fat in it."""
_AROUND: Final = ((0, 0), (0, 44), (44, 0), (0, -44), (-44, 0), (31, 31), (31, -31), (-31, 31), (-31, -31))
"""Points around a fat cell's centre, um, none of which may lie in a gland."""


@dataclass(frozen=True, slots=True)
class FatCells:
    """The lattice points of a range; arrays (rows, columns)."""

    row: int
    column: int
    v: Floats
    """Centres, in units of the lattice."""
    u: Floats
    present: NDArray[np.bool_]

    @property
    def any(self) -> bool:
        """True if there is a fat cell in the range."""
        return bool(self.present.any())


class Fat:
    """The fat cells of one slide."""

    def __init__(self, seed: int, fields: Fields) -> None:
        self._fields = fields
        self._seed = salted(seed, _FAT)

    def cells(self, box: tuple[float, float, float, float], glands: Glands, places: Places) -> FatCells:
        """Return the fat cells in a box (y0, y1, x0, x1), um, and one around it; there is none where glands are near.

        ``places`` must cover the box and ``FAT_REACH_UM`` around it.
        """
        y0, y1, x0, x1 = box
        row, column = int(np.floor(y0 / _CELL_UM)) - 2, int(np.floor(x0 / _CELL_UM)) - 2
        rows, columns = np.meshgrid(
            np.arange(row, int(np.floor(y1 / _CELL_UM)) + 3),
            np.arange(column, int(np.floor(x1 / _CELL_UM)) + 3),
            indexing="ij",
        )
        bits = hash_cells(self._seed, rows, columns)
        v = rows.astype(np.float32) + np.float32(0.1) + np.float32(0.8) * uniform(bits, 0)
        u = columns.astype(np.float32) + np.float32(0.1) + np.float32(0.8) * uniform(bits, 1)
        y, x = v * np.float32(_CELL_UM), u * np.float32(_CELL_UM)
        zones = self._fields.at(y, x)
        present = (zones.fat > 0.5) & (zones.depth > 30.0) & (zones.tumour < -0.9 * _REACH_UM)
        if present.any():
            for dy, dx in _AROUND:
                present &= glands.radius_at(places, y + np.float32(dy), x + np.float32(dx))[0] > np.float32(1.1)
        return FatCells(row, column, v, u, present)

    def depth_um(self, cells: FatCells, y: Floats, x: Floats) -> Floats:
        """Return about how deep in a fat cell points lie, in um from its wall; 0 outside fat.

        Points must lie in the box which ``cells`` was asked for.
        """
        scale = np.float32(1.0 / _CELL_UM)
        row = np.floor(y * scale).astype(np.int64) - cells.row
        column = np.floor(x * scale).astype(np.int64) - cells.column
        near = binary_dilation(cells.present, np.ones((3, 3)))[row, column]
        depth = np.zeros(y.shape, dtype=np.float32)
        if near.any():
            depth[near] = self._depth_near(cells, y[near] * scale, x[near] * scale, row[near], column[near])
        return depth

    def _depth_near(
        self, cells: FatCells, v: Floats, u: Floats, row: NDArray[np.int64], column: NDArray[np.int64]
    ) -> Floats:
        first = np.full(v.shape, 9.0, dtype=np.float32)
        second, third = first.copy(), first.copy()
        present = np.zeros(v.shape, dtype=np.bool_)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                index = (row + i, column + j)
                dv, du = cells.v[index] - v, cells.u[index] - u
                distance = np.sqrt(dv * dv + du * du)
                present = np.where(distance < first, cells.present[index], present)
                np.minimum(third, np.maximum(second, distance), out=third)
                np.minimum(second, np.maximum(first, distance), out=second)
                np.minimum(first, distance, out=first)
        second -= first
        third -= first
        # The harmonic mean of the distances to the two nearest walls rounds the corners off.
        wall = second * third / (second + third + np.float32(1e-6))
        return np.where(present, wall * np.float32(_CELL_UM / 2), np.float32(0))
