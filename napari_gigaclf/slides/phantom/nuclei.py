"""The nuclei: small dark lymphocytes, spindle-shaped fibroblasts, and the large irregular nuclei of tumour.

Each population lives on its own hexagonal lattice with jitter; a hash of the lattice cell says where in the cell the
nucleus lies, how large it is, and whether there is one, given what grows at its centre (``Fields``).
"""

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.phantom.fields import Fields, Zones
from napari_gigaclf.slides.phantom.glands import Glands, Places
from napari_gigaclf.slides.phantom.noise import Floats, direction, hash_cells, salted, smoothstep, uniform

LARGEST_UM: Final = 13.0
"""No nucleus reaches farther from its centre than this."""
_LYMPHOCYTES, _FIBROBLASTS, _TUMOUR = 107, 108, 109
_GLAND_EDGE: Final = 1.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Nuclei:
    """Some nuclei, 1-D float32 arrays of one length."""

    y: Floats
    """Centre, um."""
    x: Floats
    long: Floats
    """Semi-axes, um."""
    short: Floats
    axis_y: Floats
    """Unit direction of the long axis."""
    axis_x: Floats
    dye: Floats
    """Amount of haematoxylin at the centre."""
    rim: Floats
    """Amount by which the rim holds more."""
    egg: Floats
    """Departure from an ellipse: egg shape, three-cornered shape."""
    corner: Floats

    def __len__(self) -> int:
        return len(self.y)

    def chosen(self, kept: NDArray[np.integer]) -> "Nuclei":
        """Return the nuclei with these numbers."""
        return Nuclei(**{f.name: getattr(self, f.name)[kept] for f in dataclass_fields(self)})


def concatenate(parts: list[Nuclei]) -> Nuclei:
    """Return all nuclei of several groups."""
    return Nuclei(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclass_fields(Nuclei)})


@dataclass(frozen=True, slots=True)
class _Candidates:
    y: Floats
    x: Floats
    bits: NDArray[np.uint32]


def _candidates(seed: int, spacing: float, jitter: float, box: tuple[float, float, float, float]) -> _Candidates:
    """Return the lattice points whose nucleus may touch a box (y0, y1, x0, x1) in um."""
    reach = LARGEST_UM + spacing
    rows = np.arange(int(np.floor((box[0] - reach) / spacing)), int(np.ceil((box[1] + reach) / spacing)) + 1)
    columns = np.arange(int(np.floor((box[2] - reach) / spacing)), int(np.ceil((box[3] + reach) / spacing)) + 1)
    row, column = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
    bits = hash_cells(seed, row, column)
    shift = np.float32(0.5) * (row & 1).astype(np.float32)
    half, size = np.float32(0.5), np.float32(jitter)
    y = (row.astype(np.float32) + half + size * (uniform(bits, 0) - half)) * np.float32(spacing)
    x = (column.astype(np.float32) + shift + size * (uniform(bits, 1) - half)) * np.float32(spacing)
    near = (y > box[0] - LARGEST_UM) & (y < box[1] + LARGEST_UM) & (x > box[2] - LARGEST_UM)
    near &= x < box[3] + LARGEST_UM
    return _Candidates(y[near], x[near], bits[near])


class Populations:
    """All nuclei of one slide, found on demand."""

    def __init__(self, seed: int, fields: Fields, glands: Glands) -> None:
        self._fields = fields
        self._glands = glands
        self._seeds = {kind: salted(seed, kind) for kind in (_LYMPHOCYTES, _FIBROBLASTS, _TUMOUR)}

    def near(self, box: tuple[float, float, float, float], places: Places) -> Nuclei:
        """Return all nuclei that may touch a box (y0, y1, x0, x1), um; ``places`` must cover it and 13 um around."""
        return concatenate(
            [
                self._lymphocytes(box, places),
                self._fibroblasts(box, places),
                self._tumour(box),
                self._epithelium(box, places),
            ]
        )

    def _outside_glands(self, places: Places, y: Floats, x: Floats) -> NDArray[np.bool_]:
        share, _ = self._glands.radius_at(places, y, x)
        return share > np.float32(_GLAND_EDGE)

    def _lymphocytes(self, box: tuple[float, float, float, float], places: Places) -> Nuclei:
        found = _candidates(self._seeds[_LYMPHOCYTES], 7.8, 0.6, box)
        zones = self._fields.at(found.y, found.x)
        chance = lymphocyte_chance(zones)
        kept = (uniform(found.bits, 2) < chance) & self._outside_glands(places, found.y, found.x)
        kept &= (zones.depth > 3) & (zones.tumour < -4)
        y, x, bits = found.y[kept], found.x[kept], found.bits[kept]
        radius = np.float32(2.3) + np.float32(0.95) * uniform(bits, 3)
        stretch = np.float32(1.0) + np.float32(0.3) * uniform(bits, 4)
        axis_y, axis_x = direction(bits, 5)
        return Nuclei(
            y=y,
            x=x,
            long=radius * stretch,
            short=radius / stretch,
            axis_y=axis_y,
            axis_x=axis_x,
            dye=np.float32(0.85) + np.float32(0.5) * uniform(bits, 6),
            rim=np.float32(0.12) * uniform(bits, 7),
            egg=np.float32(0.15) * (uniform(bits, 8) - np.float32(0.5)),
            corner=np.float32(0.12) * (uniform(bits, 9) - np.float32(0.5)),
        )

    def _fibroblasts(self, box: tuple[float, float, float, float], places: Places) -> Nuclei:
        found = _candidates(self._seeds[_FIBROBLASTS], 17.0, 0.8, box)
        zones = self._fields.at(found.y, found.x)
        kept = (uniform(found.bits, 2) < 0.75 * (1 - zones.fat)) & (zones.depth > 6) & (zones.tumour < -7)
        kept &= self._outside_glands(places, found.y, found.x)
        y, x, bits = found.y[kept], found.x[kept], found.bits[kept]
        axis_y, axis_x = self._fields.fibre_direction(y, x)
        return Nuclei(
            y=y,
            x=x,
            long=np.float32(4.2) + np.float32(4.0) * uniform(bits, 3),
            short=np.float32(1.2) + np.float32(0.9) * uniform(bits, 4),
            axis_y=axis_y,
            axis_x=axis_x,
            dye=np.float32(0.65) + np.float32(0.45) * uniform(bits, 6),
            rim=np.float32(0.15) * uniform(bits, 7),
            egg=np.float32(0.3) * (uniform(bits, 8) - np.float32(0.5)),
            corner=np.float32(0.1) * (uniform(bits, 9) - np.float32(0.5)),
        )

    def _tumour(self, box: tuple[float, float, float, float]) -> Nuclei:
        found = _candidates(self._seeds[_TUMOUR], 13.6, 0.62, box)
        inside = self._fields.tumour_depth(found.y, found.x) > np.float32(3.0)
        y, x, bits = found.y[inside], found.x[inside], found.bits[inside]
        zones = self._fields.at(y, x)
        kept = uniform(bits, 2) < tumour_chance(zones)
        y, x, bits = y[kept], x[kept], bits[kept]
        radius = np.float32(4.8) + np.float32(2.4) * uniform(bits, 3) * uniform(bits, 10) * 2
        stretch = np.float32(1.02) + np.float32(0.28) * uniform(bits, 4)
        axis_y, axis_x = direction(bits, 5)
        return Nuclei(
            y=y,
            x=x,
            long=radius * stretch,
            short=radius / stretch,
            axis_y=axis_y,
            axis_x=axis_x,
            dye=np.float32(0.45) + np.float32(0.55) * uniform(bits, 6),
            rim=np.float32(0.25) + np.float32(0.3) * uniform(bits, 7),
            egg=np.float32(0.4) * (uniform(bits, 8) - np.float32(0.5)),
            corner=np.float32(0.36) * (uniform(bits, 9) - np.float32(0.5)),
        )

    def _epithelium(self, box: tuple[float, float, float, float], places: Places) -> Nuclei:
        y, x, axis_y, axis_x, bits = self._glands.nuclei(places)
        near = (y > box[0] - LARGEST_UM) & (y < box[1] + LARGEST_UM) & (x > box[2] - LARGEST_UM)
        near &= x < box[3] + LARGEST_UM
        bits = bits[near]
        return Nuclei(
            y=y[near],
            x=x[near],
            long=np.float32(3.6) + np.float32(1.3) * uniform(bits, 3),
            short=np.float32(2.4) + np.float32(0.8) * uniform(bits, 4),
            axis_y=axis_y[near],
            axis_x=axis_x[near],
            dye=np.float32(0.6) + np.float32(0.45) * uniform(bits, 6),
            rim=np.float32(0.1) + np.float32(0.2) * uniform(bits, 7),
            egg=np.float32(0.25) * (uniform(bits, 8) - np.float32(0.5)),
            corner=np.float32(0.12) * (uniform(bits, 9) - np.float32(0.5)),
        )


def lymphocyte_chance(zones: Zones) -> Floats:
    """Return the probability that a lattice point of the lymphocytes holds one."""
    scattered = np.float32(0.04) + np.float32(0.5) * smoothstep(0.35, 0.95, zones.cells)
    chance = scattered + (np.float32(0.92) - scattered) * zones.lymphoid
    return chance * (np.float32(1) - np.float32(0.97) * zones.fat)


def tumour_chance(zones: Zones) -> Floats:
    """Return the probability that a lattice point of the tumour's nuclei holds one; the smallest tumours are full."""
    full = np.float32(1) - smoothstep(8.0, 30.0, zones.tumour)
    chance = np.float32(0.55) + np.float32(0.4) * zones.cells
    return np.maximum(chance, np.float32(0.92) * full)


_BATCH: Final = 1 << 21


def stamp(
    nuclei: Nuclei, *, um_per_px: tuple[float, float], corner: tuple[int, int], shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Paint nuclei on a raster; return the dye in them and their cover in [0, 1], both (y, x).

    Where nuclei overlap the darker one shows (a maximum), so that the order in which they are painted does not matter.
    """
    sy, sx = um_per_px
    half = np.ceil(nuclei.long * np.float32(1.25) / np.float32(min(sy, sx))).astype(np.int64) + 1
    pad = 2 * int(half.max(initial=1)) + 1
    dye = np.zeros((shape[0] + 2 * pad, shape[1] + 2 * pad), dtype=np.float32)
    cover = np.zeros_like(dye)
    row = np.floor(nuclei.y.astype(np.float64) / sy).astype(np.int64)
    column = np.floor(nuclei.x.astype(np.float64) / sx).astype(np.int64)
    in_reach = (row - corner[0] + half >= 0) & (row - corner[0] - half < shape[0])
    in_reach &= (column - corner[1] + half >= 0) & (column - corner[1] - half < shape[1])
    for size in np.unique(half[in_reach]):
        chosen = np.nonzero(in_reach & (half == size))[0]
        batch = max(1, _BATCH // (2 * int(size) + 1) ** 2)
        for start in range(0, len(chosen), batch):
            part = chosen[start : start + batch]
            offset = (row[part] - corner[0] + pad, column[part] - corner[1] + pad)
            _stamp_batch(nuclei.chosen(part), int(size), um_per_px, (row[part], column[part]), offset, dye, cover)
    inner = slice(pad, pad + shape[0]), slice(pad, pad + shape[1])
    return dye[inner], cover[inner]


def _stamp_batch(
    nuclei: Nuclei,
    half: int,
    um_per_px: tuple[float, float],
    pixel: tuple[NDArray[np.int64], NDArray[np.int64]],
    offset: tuple[NDArray[np.int64], NDArray[np.int64]],
    dye: Floats,
    cover: Floats,
) -> None:
    steps = np.arange(-half, half + 1)
    dy = ((pixel[0][:, None] + steps + 0.5) * um_per_px[0] - nuclei.y[:, None]).astype(np.float32)
    dx = ((pixel[1][:, None] + steps + 0.5) * um_per_px[1] - nuclei.x[:, None]).astype(np.float32)
    along_y, along_x = nuclei.axis_y / nuclei.long, nuclei.axis_x / nuclei.long
    across_y, across_x = nuclei.axis_x / nuclei.short, -nuclei.axis_y / nuclei.short
    u = (dy * along_y[:, None])[:, :, None] + (dx * along_x[:, None])[:, None, :]
    v = (dy * across_y[:, None])[:, :, None] + (dx * across_x[:, None])[:, None, :]
    q = u * u
    v *= v
    bump = q - np.float32(3) * v
    bump *= nuclei.corner[:, None, None]
    bump += nuclei.egg[:, None, None]
    bump *= u
    bump += np.float32(1)
    q += v
    q *= np.maximum(bump, np.float32(0.3), out=bump)
    # A pixel's edge is as soft as the pixel is wide, which keeps small nuclei from flickering between levels.
    edge = np.float32(max(*um_per_px, 0.4))
    sharpness = np.sqrt(nuclei.long * nuclei.short) / edge
    inside = np.float32(1) - np.sqrt(q)
    inside *= sharpness[:, None, None]
    inside += np.float32(0.5)
    np.clip(inside, 0, 1, out=inside)
    np.minimum(q, np.float32(1), out=q)
    q *= nuclei.rim[:, None, None]
    q += nuclei.dye[:, None, None]
    q *= inside
    rows, columns = offset[0][:, None] + steps, offset[1][:, None] + steps
    index = (rows * dye.shape[1])[:, :, None] + columns[:, None, :]
    np.maximum.at(dye.reshape(-1), index.ravel(), q.ravel())
    np.maximum.at(cover.reshape(-1), index.ravel(), inside.ravel())
