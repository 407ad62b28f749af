"""Finds the tissue on a slide: what is stained, as against glass, dust, grey pen marks and black borders.

At about 8 um per pixel the absorbance of each colour channel is taken against the glass, and a pixel's *colour
strength* is the difference between its strongest and its weakest absorbance. Stained tissue absorbs green most; glass,
shadows, grey pen and black frames absorb all channels alike, however dark they are. Otsu's threshold (1979) separates
the two, held between two limits: a crop that is all tissue, or a slide that is all glass, has nothing for Otsu to
separate, and he would cut it in half. Then gaps are closed, small holes filled and small specks dropped, by size in um.

Known weaknesses: red and brown ink look like stain; very pale fat away from other tissue can be lost.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from napari_gigaclf.errors import RegionError, ScaleError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.slides.mask_edges import regions
from napari_gigaclf.slides.mask_sums import Sums, integral
from napari_gigaclf.slides.slide import Level, Slide

_GLASS_LEAST: Final = 195
"""A glass pixel is at least this bright in all channels,"""
_GLASS_SPREAD: Final = 24
"""and its channels differ by no more than this."""
_GLASS_SHARE: Final = 0.003
"""Share of such pixels from which on their median is the glass's colour; below, glass is taken for white."""
_OFFSET: Final = 12.0
"""Added to intensities before the logarithm, so that the colour of darkness does not count."""
_BLACK: Final = 40
"""Pixels with no channel above this are frame or missing, not tissue."""
_INK: Final = (1.3, 0.35)
"""Blue, green and black ink absorb red this much more than green, and at least this much; stains do not."""
_MAX_SIDE: Final = 12_288
"""Rows or columns of a mask; larger slides get a coarser one."""
_UNSCALED_SIDE: Final = 2048
"""Without um/px: the finest level no longer than this is used."""
_STRIP_PIXELS: Final = 1 << 24
"""Pixels of a level that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueSettings:
    """How tissue is found; lengths in um, areas in square um.

    Where a slide's um per pixel are unknown, pixels of the mask are counted as ``resolution_um`` wide, and
    ``TissueMask.unit`` says so.

    Raises
    ------
    ScaleError
        If a setting makes no sense.
    """

    resolution_um: float = 8.0
    """Side of a mask pixel, about: the nearest whole multiple of a level's pixel is used."""
    smooth_um: float = 8.0
    """Sigma of the Gaussian that evens out the colour strength."""
    close_um: float = 32.0
    """Gaps up to this wide are closed."""
    min_area_um2: float = 20_000.0
    """Pieces smaller than this are dropped (a disc of 160 um)."""
    max_hole_um2: float = 60_000.0
    """Holes up to this large are filled (a disc of 280 um)."""
    least_strength: float = 0.045
    """Nothing below this colour strength is tissue, whatever Otsu says."""
    most_strength: float = 0.11
    """Everything above this colour strength is tissue, whatever Otsu says."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("smooth_um", "close_um", "min_area_um2", "max_hole_um2"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ScaleError(f"tissue settings: {name} must be 0 or more, not {getattr(self, name)}")
        if not (math.isfinite(self.resolution_um) and self.resolution_um > 0):
            raise ScaleError(f"tissue settings: resolution_um must be above 0, not {self.resolution_um}")
        if not 0 < self.least_strength <= self.most_strength:
            raise ScaleError("tissue settings: 0 < least_strength <= most_strength must hold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueMask:
    """Which parts of a slide are tissue.

    Raises
    ------
    RegionError
        If mask and grid differ in shape.
    """

    mask: NDArray[np.bool_]
    """True on tissue, (rows, columns)."""
    grid: PixelGrid
    """Where its pixels lie on level 0."""
    settings: TissueSettings | None = None
    """How it was found; None for a mask that was painted or loaded."""
    unit: Literal["um", "px"] = "um"
    """"px" if the slide's um per pixel were unknown and the settings were applied to pixels."""
    um_per_px: tuple[float, float] | None = None
    """Micrometres per level-0 pixel, (y, x)."""
    threshold: float | None = None
    """Colour strength from which on a pixel counted as tissue."""
    _total: Sums | None = field(init=False, repr=False, default=None)
    _outlines: tuple[shapely.Polygon, ...] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the shape; nothing is summed up yet, since a mask is made anew at every stroke of a brush."""
        if self.mask.ndim != 2 or self.mask.shape != self.grid.shape:
            raise RegionError(f"a mask of shape {self.mask.shape} does not fit a grid of shape {self.grid.shape}")

    @classmethod
    def from_array(cls, mask: NDArray[Any], grid: PixelGrid, *, um_per_px: tuple[float, float] | None = None) -> Self:
        """Return a mask that was painted or loaded: True (or above 0) is tissue."""
        return cls(mask=np.asarray(mask) > 0, grid=grid, um_per_px=um_per_px)

    @property
    def area_px(self) -> float:
        """Area of the tissue in level-0 pixels."""
        return float(np.count_nonzero(self.mask)) * self.grid.step[0] * self.grid.step[1]

    @property
    def area_um2(self) -> float | None:
        """Area of the tissue in square um; None where um per pixel are unknown."""
        return None if self.um_per_px is None else self.area_px * self.um_per_px[0] * self.um_per_px[1]

    def fraction_in(self, box: Box | tuple[float, float, float, float]) -> float:
        """Return the share of a box (y0, y1, x0, x1), level-0 pixels, that is tissue; outside the mask is none.

        Raises
        ------
        RegionError
            If the box is empty.
        """
        y0, y1, x0, x1 = (float(v) for v in box)
        if not (y1 > y0 and x1 > x0):
            raise RegionError(f"the box y {y0:g} to {y1:g}, x {x0:g} to {x1:g} is empty")
        (oy, ox), (sy, sx) = self.grid.origin, self.grid.step
        rows = np.clip(np.array([(y0 - oy) / sy, (y1 - oy) / sy]), 0, self.mask.shape[0])
        columns = np.clip(np.array([(x0 - ox) / sx, (x1 - ox) / sx]), 0, self.mask.shape[1])
        corner = _between(self.sums, rows, columns)
        tissue = corner[1, 1] - corner[0, 1] - corner[1, 0] + corner[0, 0]
        return float(np.clip(tissue * sy * sx / ((y1 - y0) * (x1 - x0)), 0.0, 1.0))

    def covers(self, box: Box | tuple[float, float, float, float]) -> bool:
        """Return whether any of a box (y0, y1, x0, x1), level-0 pixels, is tissue."""
        return self.fraction_in(box) > 0

    def sample(self, grid: PixelGrid) -> NDArray[np.bool_]:
        """Return for each pixel of a grid over level 0 whether its centre is tissue; outside the mask is none."""
        index, inside = [], []
        for axis in range(2):
            centre = grid.origin[axis] + (np.arange(grid.shape[axis]) + 0.5) * grid.step[axis]
            place = np.floor((centre - self.grid.origin[axis]) / self.grid.step[axis]).astype(np.int64)
            inside.append((place >= 0) & (place < self.mask.shape[axis]))
            index.append(np.clip(place, 0, max(self.mask.shape[axis] - 1, 0)))
        found: NDArray[np.bool_] = self.mask[np.ix_(index[0], index[1])] & np.outer(inside[0], inside[1])
        return found

    def outlines(self) -> list[shapely.Polygon]:
        """Return the outlines of the pieces of tissue, with holes, (x, y), level-0 pixels, corner convention."""
        if self._outlines is None:  # seconds for a mask of 6000 x 6000 pixels
            origin, step = np.array(self.grid.origin[::-1]), np.array(self.grid.step[::-1])
            pieces = np.array(regions(self.mask), dtype=object)
            object.__setattr__(self, "_outlines", tuple(shapely.transform(pieces, lambda xy: origin + xy * step)))
        assert self._outlines is not None
        return list(self._outlines)

    @property
    def sums(self) -> Sums:
        """The mask summed up (see ``mask_sums``), (rows + 1, columns + 1): made once, for whoever needs it."""
        if self._total is None:
            object.__setattr__(self, "_total", integral(self.mask))
        assert self._total is not None
        return self._total


def _between(total: NDArray[Any], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the summed mask at fractional corners, (len(rows), len(columns)); linear between whole ones is exact."""
    values = total
    for axis, places in enumerate((rows, columns)):
        below = np.minimum(np.floor(places).astype(np.int64), max(values.shape[axis] - 2, 0))
        part = (places - below).reshape((-1, 1) if axis == 0 else (1, -1))
        above = np.minimum(below + 1, values.shape[axis] - 1)
        values = np.take(values, below, axis) * (1 - part) + np.take(values, above, axis) * part
    return values


def find_tissue(slide: Slide, settings: TissueSettings | None = None) -> TissueMask:
    """Find the tissue on a brightfield slide.

    Parameters
    ----------
    slide
        8-bit RGB brightfield. It is read at about 8 um per pixel; call ``ensure_coarse_levels`` before where it has
        no level that coarse, or all of it is read.
    settings
        Sizes in um; the default suits whole slides of tissue sections.

    Returns
    -------
    TissueMask
        All False where there is no tissue.

    Raises
    ------
    ScaleError
        If the slide is not 8-bit RGB.
    SlideError
        If pixels cannot be read.
    """
    settings = settings or TissueSettings()
    if slide.num_channels != 3 or slide.dtype != np.uint8:
        raise ScaleError(f"{slide.name}: tissue is found on 8-bit RGB slides, not {slide.num_channels} x {slide.dtype}")
    index, factor = _choose(slide, settings)
    level = slide.levels[index]
    overview = _shrunk(slide, index, factor)
    step = (level.step[0] * factor, level.step[1] * factor)
    grid = PixelGrid(origin=(0.0, 0.0), step=step, shape=overview.shape[:2])
    unit = slide.um_per_px
    pixel_um = settings.resolution_um if unit is None else math.sqrt(step[0] * unit[0] * step[1] * unit[1])
    strength, excluded = colour_strength(overview)
    if settings.smooth_um > 0:
        strength = ndimage.gaussian_filter(strength, settings.smooth_um / pixel_um)
    threshold = _threshold(strength[~excluded], settings)
    mask = _cleaned((strength > threshold) & ~excluded, settings, pixel_um)
    return TissueMask(
        mask=mask,
        grid=grid,
        settings=settings,
        unit="px" if unit is None else "um",
        um_per_px=unit,
        threshold=threshold,
    )


def _choose(slide: Slide, settings: TissueSettings) -> tuple[int, int]:
    """Return the level to read and the whole number of its pixels per mask pixel."""
    levels = slide.levels
    if slide.um_per_px is None:
        small = [k for k, level in enumerate(levels) if max(level.height, level.width) <= _UNSCALED_SIDE]
        index = small[0] if small else len(levels) - 1
        factor = -(-max(levels[index].height, levels[index].width) // _UNSCALED_SIDE)
        return index, max(1, factor)
    spacing = [_spacing_um(level, slide.um_per_px) for level in levels]
    fine = [k for k, um in enumerate(spacing) if um <= 1.25 * settings.resolution_um]
    index = fine[-1] if fine else 0
    factor = max(1, round(settings.resolution_um / spacing[index]))
    return index, max(factor, -(-max(levels[index].height, levels[index].width) // _MAX_SIDE))


def _spacing_um(level: Level, um_per_px: tuple[float, float]) -> float:
    return math.sqrt(level.step[0] * um_per_px[0] * level.step[1] * um_per_px[1])


def _shrunk(slide: Slide, index: int, factor: int) -> NDArray[np.uint8]:
    """Return a level averaged over blocks of factor x factor pixels (partial ones at the far edges), (y, x, 3)."""
    level = slide.levels[index]
    shape = (-(-level.height // factor), -(-level.width // factor))
    out = np.empty((*shape, 3), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // (level.width * factor))
    for row in range(0, shape[0], rows):
        last = min(row + rows, shape[0])
        strip = slide.read(index, row * factor, min(last * factor, level.height), 0, level.width)
        out[row:last] = _block_means(strip, factor) if factor > 1 else strip
    return out


def _block_means(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    pad = (-height % factor, -width % factor)
    if any(pad):
        pixels = np.pad(pixels, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge")
    h, w = pixels.shape[0] // factor, pixels.shape[1] // factor
    total = pixels.reshape(h, factor, w, factor, 3).sum(axis=(1, 3), dtype=np.uint32)
    means: NDArray[np.uint8] = ((total + factor * factor // 2) // (factor * factor)).astype(np.uint8)
    return means


def colour_strength(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return how strongly coloured pixels are against the glass, and which cannot be tissue (black or ink).

    Parameters
    ----------
    pixels
        RGB, (y, x, 3).

    Returns
    -------
    tuple
        Strongest less weakest absorbance of the three channels, float32 (y, x); and bool (y, x).
    """
    darkest, brightest = pixels.min(axis=-1), pixels.max(axis=-1)
    glass = (darkest >= _GLASS_LEAST) & (brightest - darkest <= _GLASS_SPREAD)
    # Fully white pixels are often filled in where nothing was scanned, and say nothing about the glass.
    scanned = glass & (darkest < 255)
    white = np.full(3, 255.0, dtype=np.float32)
    if scanned.mean() > _GLASS_SHARE:
        white = np.median(pixels[scanned], axis=0).astype(np.float32)
    absorbance = np.log((white + np.float32(_OFFSET)) / (pixels.astype(np.float32) + np.float32(_OFFSET)))
    np.maximum(absorbance, 0, out=absorbance)
    red, green = absorbance[..., 0], absorbance[..., 1]
    excluded = (brightest <= _BLACK) | ((red > _INK[0] * green) & (red > _INK[1]))
    strength: NDArray[np.float32] = absorbance.max(axis=-1) - absorbance.min(axis=-1)
    strength[excluded] = 0
    return strength, excluded


def _threshold(strength: NDArray[np.float32], settings: TissueSettings) -> float:
    """Return Otsu's threshold, held between the settings' limits."""
    from skimage.filters import threshold_otsu

    if strength.size == 0 or float(strength.max()) <= settings.least_strength:
        return settings.least_strength
    otsu = float(threshold_otsu(np.minimum(strength, np.float32(4 * settings.most_strength))))
    return float(np.clip(otsu, settings.least_strength, settings.most_strength))


def _cleaned(mask: NDArray[np.bool_], settings: TissueSettings, pixel_um: float) -> NDArray[np.bool_]:
    """Close gaps, fill small holes, drop small pieces."""
    radius = settings.close_um / 2 / pixel_um
    if radius >= 0.5 and mask.any():
        # Closing by a disc through distances: beyond the edge the picture counts as glass.
        pad = int(np.ceil(radius)) + 1
        grown = ndimage.distance_transform_edt(~np.pad(mask, pad)) <= radius
        closed = ndimage.distance_transform_edt(grown) > radius
        mask = closed[pad:-pad, pad:-pad] | mask
    mask = _without_small(mask, settings.min_area_um2 / pixel_um**2)
    return ~_without_small(~mask, settings.max_hole_um2 / pixel_um**2, keep_at_edge=True)


def _without_small(mask: NDArray[np.bool_], min_pixels: float, *, keep_at_edge: bool = False) -> NDArray[np.bool_]:
    """Drop connected pieces (by edges) of fewer pixels; ``keep_at_edge`` spares those that touch the picture's edge."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    kept = np.bincount(labels.ravel(), minlength=count + 1) >= min_pixels
    if keep_at_edge:
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            kept[edge] = True
    kept[0] = False
    result: NDArray[np.bool_] = kept[labels]
    return result
