"""Where tiles are taken: the middle of each lies wholly in the outlines of its class, and middles do not overlap.

Places of one outline lie on a raster over the slide at the network's scale, whose first corner is drawn; in an outline
with few places the raster that has most is taken. Of more places than are wanted some are drawn. All of it is a
function of the seed, the slide's row and the class.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.scale import plan_scale
from napari_gigaclf.slides import open_slide
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.from_tiles.recipe import TileRecipe
from napari_gigaclf.training.from_tiles.regions import RegionTable, area_of
from napari_gigaclf.training.slides.view import check_brightfield

MAX_AT_ONCE = 1_000_000
"""Squares that are laid over a region at the same time."""

FEW = 20
"""Places in an outline below which the best of all rasters is looked for."""
MAX_LOOKED_AT = 1_000_000
"""Pixels of an outline's bounds up to which that is done."""

Corners = NDArray[np.int64]
"""Upper left corners of tiles, (N, 2): y, x, pixels at the network's scale, in reading order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePlaces:
    """Where the tiles of a slide lie."""

    row: CohortRow
    grid: PixelGrid
    """Of the slide at the network's scale."""
    corners: Mapping[str, Corners]
    """By class."""
    shared: float
    """Share of the outlined area in which two classes contradict each other."""


def find_places(row: CohortRow, regions: RegionTable, recipe: TileRecipe, um_per_px: float, side: int) -> SlidePlaces:
    """Return where the tiles of a slide lie.

    Raises
    ------
    SlideError
        If the slide cannot be opened.
    ModelError
        If it is no 8-bit RGB brightfield slide.
    ScaleError
        If its scale is unknown or too coarse.
    """
    with open_slide(row.slide, row.um_per_px) as slide:
        check_brightfield(slide)
        grid = plan_scale(slide.levels, slide.um_per_px, um_per_px).grid
    areas = regions.regions[row.number]
    corners, kept = {}, 0.0
    for number, name in enumerate(regions.cohort.classes):
        if name not in areas:
            continue
        area = area_of(row, regions, name)
        kept += area.area
        generator = np.random.default_rng([recipe.seed, row.number, number])
        found = corners_in(_over_grid(area, grid), grid.shape, side, recipe.label_px or side, generator)
        if len(found) > recipe.max_tiles:
            found = found[np.sort(generator.permutation(len(found))[: recipe.max_tiles])]
        corners[name] = found
    whole = sum(area.area for area in areas.values())
    return SlidePlaces(row=row, grid=grid, corners=corners, shared=1 - kept / whole if whole else 0.0)


def corners_in(
    area: BaseGeometry, shape: tuple[int, int], side: int, label: int, generator: np.random.Generator
) -> Corners:
    """Return the tiles whose middle lies wholly in an area, all of them inside the slide.

    Parameters
    ----------
    area
        Polygons, (x, y) pixels at the network's scale.
    shape
        Height and width of the slide, likewise.
    side, label
        Side of a tile and of its middle, pixels.
    generator
        Draws the first corners of rasters.
    """
    found = []
    for part in shapely.get_parts(area):
        if part.geom_type != "Polygon" or part.is_empty:
            continue
        shapely.prepare(part)
        first = (int(generator.integers(label)), int(generator.integers(label)))
        places = _on_raster(part, shape, side, label, first)
        if len(places) < FEW:
            best = _best_raster(part, shape, side, label)
            places = places if best is None else _on_raster(part, shape, side, label, best)
        found.append(places)
    if not found:
        return np.empty((0, 2), np.int64)
    corners: Corners = np.concatenate(found)
    return corners[np.lexsort((corners[:, 1], corners[:, 0]))]


def _on_raster(
    part: BaseGeometry, shape: tuple[int, int], side: int, label: int, first: tuple[int, int]
) -> Corners:  # fmt: skip
    """Return the tiles on one raster whose middle lies in a polygon."""
    margin = (side - label) // 2
    found = [np.empty((0, 2), np.int64)]
    for ys, xs in _squares(part.bounds, first, label):
        inside = (ys >= margin) & (xs >= margin)
        inside &= (ys - margin + side <= shape[0]) & (xs - margin + side <= shape[1])
        ys, xs = ys[inside], xs[inside]
        good = shapely.covers(part, shapely.box(xs, ys, xs + label, ys + label))
        found.append(np.stack([ys[good] - margin, xs[good] - margin], axis=1))
    return np.concatenate(found)


def _best_raster(part: BaseGeometry, shape: tuple[int, int], side: int, label: int) -> tuple[int, int] | None:
    """Return the first corner of the raster with most places in a polygon; None if it is too large to look, or none."""
    margin = (side - label) // 2
    x0, y0, x1, y1 = (int(np.floor(value)) for value in part.bounds)
    y0, x0 = max(y0, margin), max(x0, margin)
    y1, x1 = min(y1 + 1, shape[0] - side + margin + label), min(x1 + 1, shape[1] - side + margin + label)
    rows, columns = y1 - y0, x1 - x0
    if min(rows, columns) < label or rows * columns > MAX_LOOKED_AT:
        return None
    ys, xs = np.mgrid[y0:y1, x0:x1]
    covered = shapely.covers(part, shapely.box(xs, ys, xs + 1, ys + 1))
    total = np.pad(covered.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[label:, label:] - total[:-label, label:] - total[label:, :-label] + total[:-label, :-label]
    fits = inside == label * label  # (rows - label + 1, columns - label + 1): squares by their corner
    if not fits.any():
        return None
    counts = np.zeros((label, label), np.int64)
    found = np.argwhere(fits) + np.array([y0, x0])
    np.add.at(counts, (found[:, 0] % label, found[:, 1] % label), 1)
    y, x = divmod(int(counts.argmax()), label)
    return y, x


def _squares(
    bounds: tuple[float, float, float, float], first: tuple[int, int], step: int
) -> Iterator[tuple[Corners, Corners]]:
    """Yield the corners (y and x, each (N,)) of a raster's squares inside bounds, some rows at a time."""
    x0, y0, x1, y1 = bounds
    ys = np.arange(first[0] + step * int(np.ceil((y0 - first[0]) / step)), y1 - step + 1e-9, step).astype(np.int64)
    xs = np.arange(first[1] + step * int(np.ceil((x0 - first[1]) / step)), x1 - step + 1e-9, step).astype(np.int64)
    if not len(ys) or not len(xs):
        return
    rows = max(1, MAX_AT_ONCE // len(xs))
    for start in range(0, len(ys), rows):
        some = ys[start : start + rows]
        yield np.repeat(some, len(xs)), np.tile(xs, len(some))


def _over_grid(area: BaseGeometry, grid: PixelGrid) -> BaseGeometry:
    """Return an area in pixels of a raster instead of level 0; (x, y) both."""
    origin, step = np.array(grid.origin[::-1]), np.array(grid.step[::-1])
    return shapely.transform(area, lambda xy: (xy - origin) / step)


def box_at(corner: NDArray[np.int64], side: int) -> Box:
    """Return the pixels of a tile."""
    y, x = int(corner[0]), int(corner[1])
    return Box(y, y + side, x, x + side)
