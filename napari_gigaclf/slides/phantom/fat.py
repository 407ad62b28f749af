"""Fat: large empty cells with thin walls, the polygons of a jittered lattice (S. Worley, 1996)."""

from typing import Final

import numpy as np

from napari_gigaclf.slides.phantom.noise import Floats, hash_cells, salted, uniform

_FAT: Final = 110
_CELL_UM: Final = 58.0


def fat_walls(seed: int, y: Floats, x: Floats) -> Floats:
    """Return about how far, in um, points (y, x) lie from the nearest wall between two fat cells."""
    scale = np.float32(1.0 / _CELL_UM)
    v, u = y * scale, x * scale
    row, column = np.floor(v).astype(np.int64), np.floor(u).astype(np.int64)
    row0, column0 = int(row.min()) - 1, int(column.min()) - 1
    rows, columns = np.meshgrid(
        np.arange(row0, int(row.max()) + 2), np.arange(column0, int(column.max()) + 2), indexing="ij"
    )
    cells = hash_cells(salted(seed, _FAT), rows, columns)
    centre_v = rows.astype(np.float32) + np.float32(0.15) + np.float32(0.7) * uniform(cells, 0)
    centre_u = columns.astype(np.float32) + np.float32(0.15) + np.float32(0.7) * uniform(cells, 1)
    nearest = np.full(v.shape, 9.0, dtype=np.float32)
    second = nearest.copy()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            index = (row + (i - row0), column + (j - column0))
            dv, du = centre_v[index] - v, centre_u[index] - u
            distance = np.sqrt(dv * dv + du * du)
            np.minimum(second, np.maximum(nearest, distance), out=second)
            np.minimum(nearest, distance, out=nearest)
    # Half the difference of the two distances falls to 0 at the wall at a rate near 1.
    return (second - nearest) * np.float32(_CELL_UM / 2)
