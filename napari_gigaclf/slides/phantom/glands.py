"""Glands: a ring of epithelium around a lumen, with its nuclei at the foot of the cells.

Glands live in a lattice of bent coordinates, one at most per lattice cell and small enough to stay in it. A point so
has to ask one lattice cell only, and the bend makes the rings irregular, as a section through real glands does.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.phantom.fields import Fields
from napari_gigaclf.slides.phantom.noise import Floats, hash_cells, salted, uniform, unit_vector

CELL_UM: Final = 100.0
_GLAND: Final = 106
_BENDS: Final = ((100.0, 640.0), (17.0, 180.0))
"""Height and wavelength, um, of the bends of the lattice."""
_BEND_UM: Final = 117.0
_LARGEST_UM: Final = 44.0
_SLOTS: Final = 40
OUTSIDE: Final = 9.0
"""Radius returned where no gland is near."""


@dataclass(frozen=True, slots=True)
class Places:
    """The glands of a range of lattice cells; arrays (rows, columns) of float32."""

    row: int
    column: int
    v: Floats
    u: Floats
    """Centre in bent coordinates, um (v down, u right)."""
    radius: Floats
    """Outer radius, um; 0 where the lattice cell holds no gland."""
    lumen: Floats
    """Radius of the lumen over the outer radius."""
    lobes: Floats
    cells: NDArray[np.uint32]


class Glands:
    """The glands of one slide."""

    def __init__(self, seed: int, fields: Fields) -> None:
        self._fields = fields
        self._seed = salted(seed, _GLAND)

    def bent(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return bent coordinates (v, u), um, of points (y, x), um."""
        noise = self._fields.noise
        v, u = y, x
        for k, (size, wavelength) in enumerate(_BENDS):
            scale = np.float32(1.0 / wavelength)
            ys, xs = y * scale, x * scale
            v = v + np.float32(size) * noise.at(40 + 2 * k, ys, xs)
            u = u + np.float32(size) * noise.at(41 + 2 * k, ys, xs)
        return v, u

    def _unbent(self, v: Floats, u: Floats) -> tuple[Floats, Floats]:
        y, x = v.copy(), u.copy()
        for _ in range(8):
            v_now, u_now = self.bent(y, x)
            y += v - v_now
            x += u - u_now
        return y, x

    def places(self, y0: float, y1: float, x0: float, x1: float) -> Places:
        """Return the glands whose lattice cells touch a box in um."""
        row, column = int(np.floor((y0 - _BEND_UM) / CELL_UM)), int(np.floor((x0 - _BEND_UM) / CELL_UM)) - 1
        last_row, last_column = int(np.floor((y1 + _BEND_UM) / CELL_UM)), int(np.floor((x1 + _BEND_UM) / CELL_UM)) + 1
        rows, columns = np.meshgrid(np.arange(row, last_row + 1), np.arange(column, last_column + 1), indexing="ij")
        cells = hash_cells(self._seed, rows, columns)
        radius = np.float32(27.0) + np.float32(_LARGEST_UM - 27.0) * uniform(cells, 0)
        slack = np.float32(CELL_UM / 2) - radius * np.float32(1.12)
        v = (rows.astype(np.float32) + np.float32(0.5)) * np.float32(CELL_UM)
        v += (uniform(cells, 1) * 2 - 1) * slack
        u = (columns.astype(np.float32) + self._shift(rows) + np.float32(0.5)) * np.float32(CELL_UM)
        u += (uniform(cells, 2) * 2 - 1) * slack
        y, x = self._unbent(v, u)
        zones = self._fields.at(y, x)
        grows = (zones.glands > np.float32(0.5)) & (zones.depth > radius + 6) & (zones.tumour < -radius - 10)
        radius = np.where(grows & (uniform(cells, 3) < np.float32(0.93)), radius, np.float32(0))
        return Places(
            row=row,
            column=column,
            v=v,
            u=u,
            radius=radius,
            lumen=np.float32(0.2) + np.float32(0.33) * uniform(cells, 4),
            lobes=np.float32(0.12) * (uniform(cells, 5) * 2 - 1),
            cells=cells,
        )

    def _shift(self, rows: NDArray[np.int64]) -> Floats:
        """Return by which share of a lattice cell a row is moved along, so that glands form no columns."""
        return uniform(hash_cells(self._seed ^ 0x5A5A, rows, np.zeros_like(rows)), 0)

    def radius_at(self, places: Places, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Return for points (y, x) the distance from their gland's centre over its radius, and the lumen's share.

        Points must lie in the box which ``places`` was asked for.
        """
        v, u = self.bent(y, x)
        rows = np.floor(v * np.float32(1.0 / CELL_UM)).astype(np.int64)
        local_row = rows - places.row
        shift = self._shift(np.arange(places.row, places.row + places.radius.shape[0]))[local_row]
        column = np.floor(u * np.float32(1.0 / CELL_UM) - shift).astype(np.int64) - places.column
        radius = places.radius[local_row, column]
        dv, du = v - places.v[local_row, column], u - places.u[local_row, column]
        r = np.sqrt(dv * dv + du * du) + np.float32(1e-3)
        shape = np.float32(1) + places.lobes[local_row, column] * (du * du - dv * dv) / (r * r)
        share = r / (np.maximum(radius, np.float32(1)) * shape)
        return np.where(radius > 0, np.minimum(share, OUTSIDE), np.float32(OUTSIDE)), places.lumen[local_row, column]

    def nuclei(self, places: Places) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.uint32]]:
        """Return the epithelial nuclei: y, x (um), their long axis (y, x components) and random bits, all 1-D."""
        here = places.radius > 0
        radius, v, u, cells = places.radius[here], places.v[here], places.u[here], places.cells[here]
        lumen, lobes = places.lumen[here], places.lobes[here]
        ring = np.float32(0.45) + np.float32(0.5) * np.maximum(lumen, np.float32(0.6))
        count = np.minimum(np.floor(radius * ring * np.float32(2 * np.pi / 7.4)), _SLOTS).astype(np.int64)
        slot = np.arange(_SLOTS)
        kept = slot[None, :] < count[:, None]
        gland = np.nonzero(kept)[0]
        bits = hash_cells(0x61A2D, cells[gland].astype(np.int64), np.broadcast_to(slot, kept.shape)[kept])
        turn = np.broadcast_to(slot, kept.shape)[kept].astype(np.float32) + np.float32(0.5) * uniform(bits, 0)
        turn = turn / count[gland].astype(np.float32) + uniform(cells, 9)[gland]
        cos, sin = unit_vector(turn)
        shape = np.float32(1) + lobes[gland] * (cos * cos - sin * sin)
        distance = radius[gland] * shape * (ring[gland] + np.float32(0.10) * (uniform(bits, 1) - np.float32(0.5)))
        y, x = self._unbent(v[gland] + distance * sin, u[gland] + distance * cos)
        tilt = np.float32(0.25) * (uniform(bits, 2) - np.float32(0.5))
        cos, sin = unit_vector(turn + tilt)
        return y, x, sin, cos, bits
