"""The phantom from afar: what a pixel holds on average, where it is larger than a nucleus.

Nuclei and fibres are not drawn but averaged: the dyes of a pixel follow from how crowded with cells its place is. The
numbers are least-squares fits to block means of the fine painting over ten seeds (8 um blocks; 4 um for glands). Glands
and fat cells are still drawn while they are larger than a pixel. Each pixel also departs from the mean at random, as
the finite number of nuclei in it would make it; those departures are independent of the nuclei drawn at finer levels.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_gigaclf.slides.phantom.noise import Floats, hash_cells, salted, smoothstep, uniform
from napari_gigaclf.slides.phantom.nuclei import lymphocyte_chance, tumour_chance

if TYPE_CHECKING:
    from napari_gigaclf.slides.phantom.render import Painter, Raster

COARSE_UM_PER_PX: Final = 4.5
"""Above this spacing pixels are painted by their averages."""

_GRAIN: Final = 111
_STROMA: Final = ((0.16, 0.473), (0.426, -0.07), (0.107, -0.091), (-0.015, -0.055))
"""Haematoxylin and eosin: constant, per chance of a lymphocyte, per tint, per looseness."""
_TUMOUR: Final = ((0.10, 0.506), (0.44, -0.178), (0.102, -0.048), (0.011, -0.036))
_STROMA_SPREAD: Final = (1.5, 0.9)
"""Standard deviation of the two dyes in a pixel, times its side in um."""
_TUMOUR_SPREAD: Final = (2.8, 1.1)
_RING: Final = (0.551, 0.315)
_APICAL: Final = (0.173, 0.375)
_LUMEN: Final = (0.0, 0.02)
_GLANDS: Final = (0.367, 0.356)
_FAT: Final = (0.154, 0.158)
_SEPARATE_UM_PER_PX: Final = 24.0
"""Above this spacing glands and fat cells are averaged, too."""


def coarse_dyes(painter: "Painter", raster: "Raster") -> tuple[Floats, Floats]:
    """Return haematoxylin and eosin of a raster of large pixels, each (y, x)."""
    y, x = np.meshgrid(raster.y.astype(np.float32), raster.x.astype(np.float32), indexing="ij")
    zones = painter.fields.at(y, x)
    pixel_um = max(raster.um_per_px)
    depth = zones.depth + np.float32(9.0) * painter.noise.on_axes(50, 55.0, raster.y, raster.x)
    tissue = smoothstep(-0.6 * pixel_um, 0.6 * pixel_um, depth)
    if not tissue.any():
        return tissue, tissue.copy()
    rows, columns = np.arange(raster.box.y0, raster.box.y1), np.arange(raster.box.x0, raster.box.x1)
    # The pixel's size is part of the salt: levels differ in their departures.
    seed = salted(painter.seed, _GRAIN + (round(pixel_um * 1000) << 8))
    bits = hash_cells(seed, rows[:, None], columns[None, :])
    inside = smoothstep(-0.6 * pixel_um, 0.6 * pixel_um, zones.tumour)
    loose = np.clip(zones.loose, np.float32(0), np.float32(1.2))
    dyes = []
    for dye in range(2):
        stroma, tumour = ([np.float32(row[dye]) for row in fit] for fit in (_STROMA, _TUMOUR))
        mean = stroma[0] + stroma[1] * lymphocyte_chance(zones) + stroma[2] * zones.tint + stroma[3] * loose
        in_tumour = tumour[0] + tumour[1] * tumour_chance(zones) + tumour[2] * zones.tint + tumour[3] * loose
        mean += (in_tumour - mean) * inside
        spread = np.float32(_STROMA_SPREAD[dye]) + np.float32(_TUMOUR_SPREAD[dye] - _STROMA_SPREAD[dye]) * inside
        spread *= np.float32(2.45 / max(pixel_um, 8.0))
        mean += spread * (uniform(bits, 2 * dye) + uniform(bits, 2 * dye + 1) - np.float32(1))
        dyes.append(np.maximum(mean, np.float32(0)))
    if pixel_um <= _SEPARATE_UM_PER_PX:
        _separate(painter, raster, (y, x), dyes)
    else:
        for dye in range(2):
            dyes[dye] += (np.float32(_GLANDS[dye]) - dyes[dye]) * zones.glands
            dyes[dye] += (np.float32(_FAT[dye]) - dyes[dye]) * zones.fat
    return dyes[0] * tissue, dyes[1] * tissue


def _separate(painter: "Painter", raster: "Raster", points: tuple[Floats, Floats], dyes: list[Floats]) -> None:
    """Paint single glands and fat cells over the average tissue, in place."""
    pixel_um = max(raster.um_per_px)
    y, x = points
    around = painter.surroundings(raster)
    if (around.places.radius > 0).any():
        share, lumen = painter.glands.radius_at(around.places, y, x)
        soft = np.float32(0.5 * pixel_um / 36.0)
        gland = smoothstep(-1.0, 1.0, (np.float32(1.0) - share) / soft)
        ring = smoothstep(-1.0, 1.0, (share - np.float32(0.6)) / soft)
        hollow = smoothstep(-1.0, 1.0, (lumen - share) / soft)
        for dye in range(2):
            cell = np.float32(_APICAL[dye]) + np.float32(_RING[dye] - _APICAL[dye]) * ring
            cell += (np.float32(_LUMEN[dye]) - cell) * hollow
            dyes[dye] += (cell - dyes[dye]) * gland
    if around.fat_cells.any:
        depth = painter.fat.depth_um(around.fat_cells, y, x)
        empty = np.float32(0.98) * smoothstep(1.2 - 0.5 * pixel_um, 1.2 + 0.5 * pixel_um, depth) * (depth > 0)
        for dye in range(2):
            dyes[dye] *= np.float32(1) - empty
