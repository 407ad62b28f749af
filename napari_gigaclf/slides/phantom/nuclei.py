"""The nuclei: small dark lymphocytes, spindle-shaped fibroblasts, and the large irregular nuclei of tumour.

Each population lives on its own hexagonal lattice with jitter; a hash of the lattice cell says where in the cell the
nucleus lies, how large it is, and whether there is one, given what grows at its centre (``Fields``).
"""

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.phantom.fat import Fat, FatCells
from napari_gigaclf.slides.phantom.fields import Fields, Zones
from napari_gigaclf.slides.phantom.glands import Glands, Places
from napari_gigaclf.slides.phantom.noise import Floats, Noise, direction, hash_cells, salted, smoothstep, uniform

LARGEST_UM: Final = 13.0
"""No nucleus reaches farther from its centre than this."""
TUMOUR_SPACING_UM: Final = 14.4
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


def _candidates(
    seed: int, noise: Noise, spacing: float, jitter: float, box: tuple[float, float, float, float]
) -> _Candidates:
    """Return the lattice points whose nucleus may touch a box (y0, y1, x0, x1) in um."""
    reach = LARGEST_UM + 1.5 * spacing
    rows = np.arange(int(np.floor((box[0] - reach) / spacing)), int(np.ceil((box[1] + reach) / spacing)) + 1)
    columns = np.arange(int(np.floor((box[2] - reach) / spacing)), int(np.ceil((box[3] + reach) / spacing)) + 1)
    row, column = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
    bits = hash_cells(seed, row, column)
    shift = np.float32(0.5) * (row & 1).astype(np.float32)
    half, size = np.float32(0.5), np.float32(jitter)
    y: Floats = (row.astype(np.float32) + half + size * (uniform(bits, 0) - half)) * np.float32(spacing)
    x: Floats = (column.astype(np.float32) + shift + size * (uniform(bits, 1) - half)) * np.float32(spacing)
    # A smooth displacement bends the rows of the lattice, which the eye would find otherwise.
    bend, scale = np.float32(0.45 * spacing), np.float32(0.31 / spacing)
    y, x = y + bend * noise.at(90, y * scale, x * scale), x + bend * noise.at(91, y * scale, x * scale)
    near = (y > box[0] - LARGEST_UM) & (y < box[1] + LARGEST_UM) & (x > box[2] - LARGEST_UM)
    near &= x < box[3] + LARGEST_UM
    return _Candidates(y[near], x[near], bits[near])


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The glands and fat cells around a box, where other nuclei cannot lie."""

    glands: Glands
    places: Places
    fat: Fat
    fat_cells: FatCells

    def free(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """Return which points lie in no gland and in no fat cell."""
        share, _ = self.glands.radius_at(self.places, y, x)
        free = share > np.float32(_GLAND_EDGE)
        if self.fat_cells.any:
            free &= self.fat.depth_um(self.fat_cells, y, x) < np.float32(1.5)
        return free


class Populations:
    """All nuclei of one slide, found on demand."""

    def __init__(self, seed: int, fields: Fields) -> None:
        self._fields = fields
        self._seeds = {kind: salted(seed, kind) for kind in (_LYMPHOCYTES, _FIBROBLASTS, _TUMOUR)}

    def near(self, box: tuple[float, float, float, float], around: Surroundings) -> Nuclei:
        """Return all nuclei that may touch a box (y0, y1, x0, x1), um; ``around`` must cover it and 13 um around."""
        tumour = self._tumour(box)
        return concatenate(
            [
                self._lymphocytes(box, around),
                self._fibroblasts(box, around),
                tumour,
                _nucleoli(tumour),
                _cytoplasm(tumour),
                _epithelium(box, around),
            ]
        )

    def _lymphocytes(self, box: tuple[float, float, float, float], around: Surroundings) -> Nuclei:
        found = _candidates(self._seeds[_LYMPHOCYTES], self._fields.noise, 7.6, 0.7, box)
        zones = self._fields.at(found.y, found.x)
        kept = (uniform(found.bits, 2) < lymphocyte_chance(zones)) & (zones.depth > 3) & (zones.tumour < -4)
        kept &= around.free(found.y, found.x)
        y, x, bits = found.y[kept], found.x[kept], found.bits[kept]
        radius = np.float32(2.35) + np.float32(0.9) * uniform(bits, 3)
        stretch = np.float32(1.0) + np.float32(0.25) * uniform(bits, 4)
        axis_y, axis_x = direction(bits, 5)
        return _shaped(
            y,
            x,
            (axis_y, axis_x),
            radius * stretch,
            radius / stretch,
            bits,
            dye=(0.85, 0.9),
            rim=(0.0, 0.2),
            uneven=0.16,
        )

    def _fibroblasts(self, box: tuple[float, float, float, float], around: Surroundings) -> Nuclei:
        found = _candidates(self._seeds[_FIBROBLASTS], self._fields.noise, 15.5, 0.8, box)
        zones = self._fields.at(found.y, found.x)
        kept = (uniform(found.bits, 2) < 0.8) & (zones.depth > 6) & (zones.tumour < -7)
        kept &= around.free(found.y, found.x)
        y, x, bits = found.y[kept], found.x[kept], found.bits[kept]
        long = np.float32(4.0) + np.float32(4.5) * uniform(bits, 3)
        short = np.float32(1.1) + np.float32(1.0) * uniform(bits, 4)
        axis = self._fields.fibre_direction(y, x)
        return _shaped(y, x, axis, long, short, bits, dye=(0.65, 0.9), rim=(0.0, 0.25), uneven=0.3)

    def _tumour(self, box: tuple[float, float, float, float]) -> Nuclei:
        found = _candidates(self._seeds[_TUMOUR], self._fields.noise, TUMOUR_SPACING_UM, 0.7, box)
        inside = self._fields.tumour_depth(found.y, found.x) > np.float32(4.0)
        y, x, bits = found.y[inside], found.x[inside], found.bits[inside]
        kept = (uniform(bits, 2) < tumour_chance(self._fields.at(y, x))) & (self._fields.gaps(y, x) < -0.06)
        y, x, bits = y[kept], x[kept], bits[kept]
        radius = np.float32(4.7) + np.float32(3.2) * uniform(bits, 3) * uniform(bits, 10)
        stretch = np.float32(1.02) + np.float32(0.26) * uniform(bits, 4)
        axis_y, axis_x = direction(bits, 5)
        return _shaped(
            y,
            x,
            (axis_y, axis_x),
            radius * stretch,
            radius / stretch,
            bits,
            dye=(0.62, 0.88),
            rim=(0.2, 0.4),
            uneven=0.4,
        )


def _shaped(
    y: Floats,
    x: Floats,
    axis: tuple[Floats, Floats],
    long: Floats,
    short: Floats,
    bits: NDArray[np.uint32],
    *,
    dye: tuple[float, float],
    rim: tuple[float, float],
    uneven: float,
) -> Nuclei:
    """Return nuclei with random dye and rim (each: least, range) and random unevenness of outline."""
    half = np.float32(0.5)
    return Nuclei(
        y=y,
        x=x,
        long=long,
        short=short,
        axis_y=axis[0],
        axis_x=axis[1],
        dye=np.float32(dye[0]) + np.float32(dye[1]) * uniform(bits, 6),
        rim=np.float32(rim[0]) + np.float32(rim[1]) * uniform(bits, 7),
        egg=np.float32(uneven) * (uniform(bits, 8) - half),
        corner=np.float32(0.8 * uneven) * (uniform(bits, 9) - half),
    )


def _cytoplasm(tumour: Nuclei) -> Nuclei:
    """Return the mauve rim of cytoplasm around each tumour nucleus, painted as a larger, pale nucleus under it."""
    bits = hash_cells(0xC470, (tumour.y * 64).astype(np.int64), (tumour.x * 64).astype(np.int64))
    larger = np.float32(1.08) + np.float32(0.2) * uniform(bits, 1)
    axis = tumour.axis_y, tumour.axis_x
    long, short = tumour.long * larger, tumour.short * larger
    return _shaped(tumour.y, tumour.x, axis, long, short, bits, dye=(0.2, 0.5), rim=(0.0, 0.0), uneven=0.2)


def _nucleoli(tumour: Nuclei) -> Nuclei:
    """Return one dark nucleolus for each tumour nucleus, off its centre."""
    bits = hash_cells(0x0C1E, (tumour.y * 64).astype(np.int64), (tumour.x * 64).astype(np.int64))
    away_y, away_x = direction(bits, 0)
    distance = np.float32(0.5) * uniform(bits, 1) * tumour.short
    radius = np.float32(0.7) + np.float32(0.8) * uniform(bits, 2)
    y, x = tumour.y + distance * away_y, tumour.x + distance * away_x
    return _shaped(
        y, x, (away_y, away_x), radius * np.float32(1.1), radius, bits, dye=(1.2, 0.6), rim=(0.0, 0.0), uneven=0.1
    )


def _epithelium(box: tuple[float, float, float, float], around: Surroundings) -> Nuclei:
    y, x, axis_y, axis_x, bits = around.glands.nuclei(around.places)
    near = (y > box[0] - LARGEST_UM) & (y < box[1] + LARGEST_UM) & (x > box[2] - LARGEST_UM)
    near &= x < box[3] + LARGEST_UM
    bits = bits[near]
    long = np.float32(3.5) + np.float32(1.3) * uniform(bits, 3)
    short = np.float32(2.3) + np.float32(0.8) * uniform(bits, 4)
    return _shaped(
        y[near], x[near], (axis_y[near], axis_x[near]), long, short, bits, dye=(0.85, 0.6), rim=(0.0, 0.35), uneven=0.25
    )


def lymphocyte_chance(zones: Zones) -> Floats:
    """Return the probability that a lattice point of the lymphocytes holds one."""
    return _crowding(zones.cells, zones.lymphoid)


def _crowding(cells: Floats, tint: Floats) -> Floats:
    scattered = np.float32(0.06) + np.float32(0.54) * smoothstep(0.2, 0.9, cells)
    return scattered + (np.float32(0.92) - scattered) * tint


def tumour_chance(zones: Zones) -> Floats:
    """Return the probability that a lattice point of the tumour's nuclei holds one.

    It follows the crowding which benign tissue would have there, so that as much of the area is nucleus (nuclei of
    lymphocytes and fibroblasts together cover 0.1 + 0.4 p); the smallest tumours and the rims are full.
    """
    full = np.float32(1) - smoothstep(8.0, 30.0, zones.tumour)
    chance: Floats = np.float32(0.24) + np.float32(0.80) * _crowding(zones.cells, zones.tint)
    chance = np.maximum(np.maximum(chance, np.float32(0.5)), np.float32(0.85) * full)
    return chance


_BATCH: Final = 1 << 21


def stamp(nuclei: Nuclei, *, um_per_px: tuple[float, float], corner: tuple[int, int], shape: tuple[int, int]) -> Floats:
    """Paint nuclei on a raster; return the dye in them, (y, x).

    Where nuclei overlap the darker one shows (a maximum), so that the order in which they are painted does not matter.
    """
    sy, sx = um_per_px
    half = np.ceil(nuclei.long * np.float32(1.25) / np.float32(min(sy, sx))).astype(np.int64) + 1
    pad = 2 * int(half.max(initial=1)) + 1
    dye = np.zeros((shape[0] + 2 * pad, shape[1] + 2 * pad), dtype=np.float32)
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
            _stamp_batch(nuclei.chosen(part), int(size), um_per_px, (row[part], column[part]), offset, dye)
    inner = slice(pad, pad + shape[0]), slice(pad, pad + shape[1])
    return dye[inner]


def _stamp_batch(
    nuclei: Nuclei,
    half: int,
    um_per_px: tuple[float, float],
    pixel: tuple[NDArray[np.int64], NDArray[np.int64]],
    offset: tuple[NDArray[np.int64], NDArray[np.int64]],
    dye: Floats,
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
    q *= np.maximum(bump, np.float32(0.72), out=bump)
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
