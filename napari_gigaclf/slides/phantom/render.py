"""Paints a region of the phantom: how much haematoxylin and eosin lies at each pixel.

Fields that change slowly (zones, bends, glands) are asked for at nodes a few um apart, at whole multiples of that
distance from the slide's corner, and interpolated; only fibres, chromatin and nuclei are computed per pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.phantom.fat import fat_walls
from napari_gigaclf.slides.phantom.fields import Fields
from napari_gigaclf.slides.phantom.glands import Glands, Places
from napari_gigaclf.slides.phantom.noise import Floats, Noise, enlarge, smoothstep
from napari_gigaclf.slides.phantom.nuclei import LARGEST_UM, Populations, stamp

_ZONE_NODES_UM: Final = 12.0
_GLAND_NODES_UM: Final = 3.0
_FAT_NODES_UM: Final = 1.5

PointFunction = Callable[[Floats, Floats], tuple[Floats, ...]]


@dataclass(frozen=True, slots=True)
class Raster:
    """The pixels to paint: centres in um and the pixel numbers of the level."""

    box: Box
    um_per_px: tuple[float, float]

    @property
    def y(self) -> NDArray[Any]:
        """Rows' centres, um."""
        return (np.arange(self.box.y0, self.box.y1) + 0.5) * self.um_per_px[0]

    @property
    def x(self) -> NDArray[Any]:
        """Columns' centres, um."""
        return (np.arange(self.box.x0, self.box.x1) + 0.5) * self.um_per_px[1]

    def sampled(self, function: PointFunction, spacing_um: float) -> tuple[Floats, ...]:
        """Return a function of points on this raster, interpolated from nodes where pixels are finer than they are."""
        y, x = self.y, self.x
        if max(self.um_per_px) * 1.5 >= spacing_um:
            rows, columns = np.meshgrid(y.astype(np.float32), x.astype(np.float32), indexing="ij")
            return function(rows, columns)
        first = int(np.floor(y[0] / spacing_um)), int(np.floor(x[0] / spacing_um))
        last = int(np.floor(y[-1] / spacing_um)) + 1, int(np.floor(x[-1] / spacing_um)) + 1
        nodes_y = (np.arange(first[0], last[0] + 1) * spacing_um).astype(np.float32)
        nodes_x = (np.arange(first[1], last[1] + 1) * spacing_um).astype(np.float32)
        rows, columns = np.meshgrid(nodes_y, nodes_x, indexing="ij")
        return tuple(enlarge(values, first, spacing_um, y, x) for values in function(rows, columns))


class Painter:
    """Paints any region of one slide."""

    def __init__(self, seed: int, fields: Fields, blur_um: float) -> None:
        self._fields = fields
        self._noise: Noise = fields.noise
        self._glands = Glands(seed, fields)
        self._populations = Populations(seed, fields, self._glands)
        self._blur_um = blur_um
        self._seed = seed

    def dyes(self, box: Box, um_per_px: tuple[float, float]) -> tuple[Floats, Floats]:
        """Return haematoxylin and eosin, each (y, x), of a box of pixels of a level."""
        sigma = tuple(float(np.sqrt((self._blur_um / s) ** 2 + 0.09)) for s in um_per_px)
        halo = tuple(int(np.ceil(3 * s)) for s in sigma)
        wide = Box(box.y0 - halo[0], box.y1 + halo[0], box.x0 - halo[1], box.x1 + halo[1])
        dyes = self._sharp(Raster(wide, um_per_px))
        inner = slice(halo[0], halo[0] + box.shape[0]), slice(halo[1], halo[1] + box.shape[1])
        blurred = [_blurred(dye, sigma, halo)[inner] for dye in dyes]
        return blurred[0], blurred[1]

    def _sharp(self, raster: Raster) -> tuple[Floats, Floats]:
        y, x = raster.y, raster.x
        margin = LARGEST_UM + 14.0
        places = self._glands.places(y[0] - margin, y[-1] + margin, x[0] - margin, x[-1] + margin)
        depth, tumour, fat, loose, lymphoid = raster.sampled(self._zones, _ZONE_NODES_UM)
        depth += np.float32(9.0) * self._noise.on_axes(50, 55.0, y, x)
        depth += np.float32(3.5) * self._noise.on_axes(51, 14.0, y, x)
        tissue = smoothstep(-1.2, 1.2, depth)
        if not tissue.any():
            return np.zeros_like(tissue), np.zeros_like(tissue)
        haematoxylin, eosin = self._stroma(raster, loose, lymphoid)
        self._paint_tumour(raster, tumour, haematoxylin, eosin)
        self._paint_glands(raster, places, haematoxylin, eosin)
        if fat.max() > 0:
            self._paint_fat(raster, fat, haematoxylin, eosin)
        box = (float(y[0]), float(y[-1]), float(x[0]), float(x[-1]))
        corner = raster.box.y0, raster.box.x0
        dye, cover = stamp(
            self._populations.near(box, places), um_per_px=raster.um_per_px, corner=corner, shape=raster.box.shape
        )
        chromatin = self._noise.on_axes(60, 1.3, y, x) + np.float32(0.7) * self._noise.on_axes(61, 2.7, y, x)
        size = 0.3 * float(np.clip(1.6 - max(raster.um_per_px), 0.0, 1.0))
        dye *= np.float32(1) + np.float32(size) * chromatin
        haematoxylin += (dye - haematoxylin) * cover
        eosin *= np.float32(1) - np.float32(0.5) * cover
        return haematoxylin * tissue, eosin * tissue

    def _zones(self, y: Floats, x: Floats) -> tuple[Floats, ...]:
        zones = self._fields.at(y, x)
        return zones.depth, zones.tumour, zones.fat, zones.loose, zones.lymphoid

    def _stroma(self, raster: Raster, loose: Floats, lymphoid: Floats) -> tuple[Floats, Floats]:
        """Return the dyes of fibrous tissue: wavy pink strands with white slits between them."""
        along, across = raster.sampled(self._fields.along_across, 6.0)
        at = self._noise.at
        coarse = at(70, across * np.float32(1 / 8.0), along * np.float32(1 / 75.0))
        fine = at(71, across * np.float32(1 / 2.6), along * np.float32(1 / 34.0))
        strands = np.float32(0.6) * coarse + np.float32(0.5) * fine
        eosin = np.float32(0.42) + np.float32(0.22) * strands
        eosin += np.float32(0.05) * self._noise.on_axes(72, 3.1, raster.y, raster.x)
        slit = smoothstep(0.25, 0.5, -coarse + np.float32(0.35) * fine + np.float32(0.5) * (loose - np.float32(0.9)))
        slit *= np.float32(0.92) * (np.float32(1) - lymphoid)
        haematoxylin = np.float32(0.05) + np.float32(0.03) * fine + np.float32(0.12) * lymphoid
        keep = np.float32(1) - slit
        eosin -= np.float32(0.12) * lymphoid
        return haematoxylin * keep, eosin * keep

    def _paint_tumour(self, raster: Raster, tumour: Floats, haematoxylin: Floats, eosin: Floats) -> None:
        if tumour.max() < -2.0:
            return
        edge = tumour + np.float32(1.5) * self._noise.on_axes(52, 9.0, raster.y, raster.x)
        inside = smoothstep(-1.5, 1.5, edge) * np.float32(0.85)
        grain = self._noise.on_axes(73, 4.0, raster.y, raster.x)
        _towards(haematoxylin, np.float32(0.17) + np.float32(0.05) * grain, inside)
        _towards(eosin, np.float32(0.34) + np.float32(0.10) * grain, inside)

    def _paint_glands(self, raster: Raster, places: Places, haematoxylin: Floats, eosin: Floats) -> None:
        if not (places.radius > 0).any():
            return
        share, lumen = raster.sampled(lambda y, x: self._glands.radius_at(places, y, x), _GLAND_NODES_UM)
        epithelium = np.float32(1) - smoothstep(0.97, 1.03, share)
        cleft = smoothstep(0.99, 1.04, share) * (np.float32(1) - smoothstep(1.09, 1.16, share))
        grain = self._noise.on_axes(74, 2.6, raster.y, raster.x)
        keep = np.float32(1) - np.float32(0.75) * cleft
        haematoxylin *= keep
        eosin *= keep
        _towards(haematoxylin, np.float32(0.2) + np.float32(0.08) * grain, epithelium)
        _towards(eosin, np.float32(0.36) + np.float32(0.14) * grain, epithelium)
        hollow = np.float32(1) - smoothstep(-0.04, 0.05, share - lumen)
        hollow *= np.float32(0.96)
        _towards(haematoxylin, np.float32(0.0), hollow)
        _towards(eosin, np.float32(0.02), hollow)

    def _paint_fat(self, raster: Raster, fat: Floats, haematoxylin: Floats, eosin: Floats) -> None:
        (wall,) = raster.sampled(lambda y, x: (fat_walls(self._seed, y, x),), _FAT_NODES_UM)
        vacuole = smoothstep(1.0, 2.6, wall) * smoothstep(0.3, 0.6, fat) * np.float32(0.97)
        keep = np.float32(1) - vacuole
        haematoxylin *= keep
        eosin *= keep


def _towards(values: Floats, goal: Floats | np.float32, weight: Floats) -> None:
    """Blend ``values`` towards ``goal`` in place."""
    values += (goal - values) * weight


def _blurred(image: Floats, sigma: tuple[float, ...], halo: tuple[int, ...]) -> Floats:
    """Return a Gaussian blur by plain correlation: each output rounds the same way wherever its region begins."""
    for axis in range(2):
        steps = np.arange(-halo[axis], halo[axis] + 1)
        weights = np.exp(-0.5 * (steps / sigma[axis]) ** 2)
        image = correlate1d(image, weights / weights.sum(), axis=axis, mode="nearest")
    return image
