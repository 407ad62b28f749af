"""Where tiles are taken: the middle of each lies wholly in the outlines of its class, and middles do not overlap.

Places lie on a raster over the slide at the network's scale, whose first corner is drawn; of more places than are
wanted some are drawn. Both are functions of the seed, the slide's row and the class.
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

MAX_AT_ONCE = 1_000_000
"""Squares that are laid over a region at the same time."""

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
    ScaleError
        If its scale is unknown or too coarse.
    """
    with open_slide(row.slide, row.um_per_px) as slide:
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
        Draws the first corner of the raster.
    """
    margin = (side - label) // 2
    first_y, first_x = (int(value) for value in generator.integers(0, label, 2))
    found = []
    for part in shapely.get_parts(area):
        if part.geom_type != "Polygon" or part.is_empty:
            continue
        shapely.prepare(part)
        for ys, xs in _squares(part.bounds, (first_y, first_x), label):
            inside = (ys >= margin) & (xs >= margin)
            inside &= (ys - margin + side <= shape[0]) & (xs - margin + side <= shape[1])
            ys, xs = ys[inside], xs[inside]
            good = shapely.covers(part, shapely.box(xs, ys, xs + label, ys + label))
            found.append(np.stack([ys[good] - margin, xs[good] - margin], axis=1))
    if not found:
        return np.empty((0, 2), np.int64)
    corners: Corners = np.concatenate(found)
    return corners[np.lexsort((corners[:, 1], corners[:, 0]))]


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
