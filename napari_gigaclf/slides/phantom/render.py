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
from napari_gigaclf.slides.phantom.coarse import COARSE_UM_PER_PX, coarse_dyes
from napari_gigaclf.slides.phantom.fat import FAT_REACH_UM, Fat, FatCells
from napari_gigaclf.slides.phantom.fields import Fields
from napari_gigaclf.slides.phantom.glands import Glands, Places
from napari_gigaclf.slides.phantom.noise import Floats, Noise, enlarge, smoothstep
from napari_gigaclf.slides.phantom.nuclei import LARGEST_UM, Populations, Surroundings, stamp

_ZONE_NODES_UM: Final = 12.0
_GLAND_NODES_UM: Final = 3.0
_FAT_NODES_UM: Final = 1.5
_REACH_UM: Final = LARGEST_UM + 14.0
"""How far outside a raster the nuclei that touch it ask for glands and fat."""

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
        self.seed = seed
        self.fields = fields
        self.noise: Noise = fields.noise
        self.glands = Glands(seed, fields)
        self.fat = Fat(seed, fields)
        self._populations = Populations(seed, fields)
        self._blur_um = blur_um

    def dyes(self, box: Box, um_per_px: tuple[float, float]) -> tuple[Floats, Floats]:
        """Return haematoxylin and eosin, each (y, x), of a box of pixels of a level."""
        if max(um_per_px) > COARSE_UM_PER_PX:
            return coarse_dyes(self, Raster(box, um_per_px))
        sigma = tuple(float(np.sqrt((self._blur_um / s) ** 2 + 0.09)) for s in um_per_px)
        halo = tuple(int(np.ceil(3 * s)) for s in sigma)
        wide = Box(box.y0 - halo[0], box.y1 + halo[0], box.x0 - halo[1], box.x1 + halo[1])
        dyes = self._sharp(Raster(wide, um_per_px))
        inner = slice(halo[0], halo[0] + box.shape[0]), slice(halo[1], halo[1] + box.shape[1])
        blurred = [_blurred(dye, sigma, halo)[inner] for dye in dyes]
        return blurred[0], blurred[1]

    def surroundings(self, raster: Raster) -> Surroundings:
        """Return the glands and fat cells on a raster and a nucleus's reach around it."""
        y, x = raster.y, raster.x
        box = (float(y[0]) - _REACH_UM, float(y[-1]) + _REACH_UM, float(x[0]) - _REACH_UM, float(x[-1]) + _REACH_UM)
        far = FAT_REACH_UM
        places = self.glands.places(box[0] - far, box[1] + far, box[2] - far, box[3] + far)
        fat_cells = self.fat.cells(box, self.glands, places)
        return Surroundings(glands=self.glands, places=places, fat=self.fat, fat_cells=fat_cells)

    def _sharp(self, raster: Raster) -> tuple[Floats, Floats]:
        y, x = raster.y, raster.x
        depth, tumour, loose, tint = raster.sampled(self._zones, _ZONE_NODES_UM)
        depth += np.float32(9.0) * self.noise.on_axes(50, 55.0, y, x)
        depth += np.float32(3.5) * self.noise.on_axes(51, 14.0, y, x)
        tissue = smoothstep(-1.2, 1.2, depth)
        if not tissue.any():
            return np.zeros_like(tissue), np.zeros_like(tissue)
        around = self.surroundings(raster)
        haematoxylin, eosin = self._ground(raster, tumour, loose, tint)
        self._paint_glands(raster, around.places, haematoxylin, eosin)
        self._paint_fat(raster, around.fat_cells, haematoxylin, eosin)
        self._paint_nuclei(raster, around, tumour, haematoxylin, eosin)
        return haematoxylin * tissue, eosin * tissue

    def _zones(self, y: Floats, x: Floats) -> tuple[Floats, ...]:
        zones = self.fields.at(y, x)
        return zones.depth, zones.tumour, zones.loose, zones.tint

    def _ground(self, raster: Raster, tumour: Floats, loose: Floats, tint: Floats) -> tuple[Floats, Floats]:
        """Return the dyes of what lies between nuclei: wavy pink strands with white slits between them."""
        along, across, along_1, across_1, weave = raster.sampled(self._fibres, 6.0)
        second = weave > 0
        np.copyto(along, along_1, where=second)
        np.copyto(across, across_1, where=second)
        at = self.noise.at
        coarse = at(70, across * np.float32(1 / 9.0), along * np.float32(1 / 60.0))
        fine = at(71, across * np.float32(1 / 2.4), along * np.float32(1 / 26.0))
        grain = self.noise.on_axes(72, 3.3, raster.y, raster.x)
        if tumour.max() > -2.0:
            self._disarray(raster, tumour, coarse, fine)
        eosin = np.float32(0.50) + np.float32(0.19) * coarse + np.float32(0.14) * fine + np.float32(0.07) * grain
        # Slits open between strands, and where one bundle meets the other.
        gap = np.float32(0.3) * fine - coarse + np.float32(0.55) * (loose - np.float32(0.95)) + np.float32(0.2) * grain
        gap += np.float32(0.25) * (np.float32(1) - smoothstep(0.0, 0.06, np.abs(weave)))
        keep = np.float32(1) - smoothstep(0.3, 0.55, gap) * (np.float32(0.93) - np.float32(0.8) * tint)
        if tumour.max() > 0:
            (gaps,) = raster.sampled(lambda y, x: (self.fields.gaps(y, x),), _GLAND_NODES_UM)
            keep *= np.float32(1) - np.float32(0.96) * smoothstep(-0.04, 0.03, gaps) * (tumour > np.float32(3))
        haematoxylin = np.float32(0.06) + np.float32(0.03) * fine + np.float32(0.16) * tint
        eosin -= np.float32(0.14) * tint
        return haematoxylin * keep, eosin * keep

    def _fibres(self, y: Floats, x: Floats) -> tuple[Floats, ...]:
        along_across = self.fields.along_across
        return (*along_across(0, y, x), *along_across(1, y, x), self.fields.weave(y, x))

    def _disarray(self, raster: Raster, tumour: Floats, coarse: Floats, fine: Floats) -> None:
        """Replace the strands by shapeless patches inside tumours, in place.

        Both are value noise, with the same share of pale and dark: the ground loses its order there, not its colour.
        """
        y, x = raster.y, raster.x
        inside = smoothstep(-1.5, 1.5, tumour + np.float32(1.5) * self.noise.on_axes(52, 9.0, y, x)) > 0.5
        np.copyto(coarse, self.noise.on_axes(75, 12.0, y, x), where=inside)
        np.copyto(fine, self.noise.on_axes(76, 3.0, y, x), where=inside)

    def _paint_glands(self, raster: Raster, places: Places, haematoxylin: Floats, eosin: Floats) -> None:
        if not (places.radius > 0).any():
            return
        share, lumen = raster.sampled(lambda y, x: self.glands.radius_at(places, y, x), _GLAND_NODES_UM)
        y, x = raster.y, raster.x
        epithelium = np.float32(1) - smoothstep(0.97, 1.03, share)
        cleft = smoothstep(0.99, 1.04, share) * (np.float32(1) - smoothstep(1.07, 1.17, share))
        cleft *= smoothstep(-0.25, 0.35, self.noise.on_axes(55, 48.0, y, x))
        grain = self.noise.on_axes(74, 2.4, y, x)
        keep = np.float32(1) - np.float32(0.85) * cleft
        haematoxylin *= keep
        eosin *= keep
        _towards(haematoxylin, np.float32(0.17) + np.float32(0.09) * grain, epithelium)
        _towards(eosin, np.float32(0.38) + np.float32(0.16) * grain, epithelium)
        hollow = np.float32(1) - smoothstep(-0.05, 0.06, share - lumen + np.float32(0.05) * grain)
        hollow *= np.float32(0.95)
        _towards(haematoxylin, np.float32(0.0), hollow)
        _towards(eosin, np.float32(0.02), hollow)

    def _paint_fat(self, raster: Raster, cells: FatCells, haematoxylin: Floats, eosin: Floats) -> None:
        if not cells.any:
            return
        (depth,) = raster.sampled(lambda y, x: (self.fat.depth_um(cells, y, x),), _FAT_NODES_UM)
        keep = np.float32(1) - np.float32(0.98) * smoothstep(0.7, 1.7, depth)
        haematoxylin *= keep
        eosin *= keep

    def _paint_nuclei(
        self, raster: Raster, around: Surroundings, tumour: Floats, haematoxylin: Floats, eosin: Floats
    ) -> None:
        y, x = raster.y, raster.x
        nuclei = self._populations.near((float(y[0]), float(y[-1]), float(x[0]), float(x[-1])), around)
        corner = raster.box.y0, raster.box.x0
        dye = stamp(nuclei, um_per_px=raster.um_per_px, corner=corner, shape=raster.box.shape)
        chromatin = self.noise.on_axes(60, 1.25, y, x) + np.float32(0.8) * self.noise.on_axes(61, 2.6, y, x)
        size = 0.24 * float(np.clip(1.8 - max(raster.um_per_px), 0.0, 1.0))
        chromatin *= np.float32(size)
        if tumour.max() > 0:
            # Tumour chromatin is coarse: clumps and clear places, so that its pixels are as mixed as small nuclei's.
            clumps = np.float32(0.3) * self.noise.on_axes(62, 4.0, y, x)
            clumps += np.float32(0.24) * self.noise.on_axes(63, 2.0, y, x)
            np.copyto(chromatin, clumps, where=tumour > 0)
        dye *= np.float32(1) + chromatin
        cover = np.minimum(dye * np.float32(1 / 1.1), np.float32(1))
        haematoxylin += dye - haematoxylin * cover
        eosin *= np.float32(1) - np.float32(0.45) * cover


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
