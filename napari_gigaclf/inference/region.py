"""Which cells of the map a region means: those whose centres lie in it, holes respected.

The row of centres at height y crosses the outline at x_1 <= x_2 <= ...; a centre with an odd number of crossings to its
left is inside (even-odd rule). All rows are done at once: crossings are counted into a raster and summed along it, so
the time grows with the raster, not with raster times vertices.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import Box, PixelGrid, swap_xy
from napari_gigaclf.inference.cells import Cells

Region = Box | BaseGeometry | NDArray[np.floating]
"""A region in level-0 pixels: a box, a shapely geometry in (x, y), or the vertices (N, 2) of a polygon in (y, x)."""
WORTH_SAYING = 0.001
"""Share of a region's area outside the slide from which it is said."""
MIN_VERTICES = 3
"""Fewest vertices of a polygon."""


def as_geometry(region: Region, slide_shape: tuple[int, int]) -> BaseGeometry:
    """Return a region as a polygon or points of shapely, (x, y) level-0 pixels, clipped to the slide.

    Parameters
    ----------
    region
        Box, shapely polygon or points in (x, y), or polygon vertices (N, 2) in (y, x).
    slide_shape
        Height and width of level 0.

    Raises
    ------
    RegionError
        The region is empty, not an area or points, or lies outside the slide.
    """
    geometry = _parsed(region)
    slide = shapely.box(0, 0, slide_shape[1], slide_shape[0])
    if geometry.is_empty or not np.isfinite(geometry.bounds).all():
        raise RegionError("the region is empty")
    if is_points(geometry):
        if not shapely.covers(slide, geometry):
            raise RegionError(f"{_place(geometry)} lies outside the slide, {slide_shape[0]} x {slide_shape[1]} pixels")
        return geometry
    inside = shapely.intersection(_area(geometry), slide)
    if inside.area <= 0:
        raise RegionError(
            f"the region {_place(geometry)} lies outside the slide, {slide_shape[0]} x {slide_shape[1]} pixels"
        )
    return inside


def region_warnings(region: Region, inside: BaseGeometry) -> tuple[str, ...]:
    """Return a warning where part of a region lies outside the slide; ``inside`` is what ``as_geometry`` left of it."""
    if is_points(inside):
        return ()
    left_out = 1 - float(inside.area) / float(_area(_parsed(region)).area)
    if left_out < WORTH_SAYING:
        return ()
    return (f"region: {left_out:.1%} of its area lies outside the slide and is left out",)


def is_points(geometry: BaseGeometry) -> bool:
    """Return True for a point or several points."""
    return geometry.geom_type in ("Point", "MultiPoint")


def _parsed(region: Region) -> BaseGeometry:
    """Turn any accepted kind of region into a shapely geometry."""
    if isinstance(region, Box):
        if region.empty:
            raise RegionError(f"the region y {region.y0} to {region.y1}, x {region.x0} to {region.x1} is empty")
        return shapely.box(region.x0, region.y0, region.x1, region.y1)
    if isinstance(region, BaseGeometry):
        return region
    vertices = np.asarray(region, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < MIN_VERTICES:
        raise RegionError(f"a polygon needs vertices (N, 2) with N >= {MIN_VERTICES}, got shape {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise RegionError("the polygon has vertices that are not finite")
    return shapely.Polygon(swap_xy(vertices))


def _area(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygons of a geometry, repaired where an outline crosses itself."""
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    polygons = [part for part in shapely.get_parts(valid, return_index=False) if part.geom_type == "Polygon"]
    if not polygons:
        raise RegionError(f"a region must be a polygon, a box or points, not a {geometry.geom_type}")
    return shapely.union_all(polygons)


def _place(geometry: BaseGeometry) -> str:
    """Say where a geometry lies, (y, x)."""
    x0, y0, x1, y1 = geometry.bounds
    return f"y {y0:g} to {y1:g}, x {x0:g} to {x1:g}"


def cells_inside(geometry: BaseGeometry, grid: PixelGrid) -> Cells:
    """Return the cells which have their centre inside a polygon; the time grows with its extent, not with the map's.

    Parameters
    ----------
    geometry
        Polygon or polygons that do not overlap, (x, y) level-0 pixels.
    grid
        Place of the cells over level 0.
    """
    x0, y0, x1, y1 = geometry.bounds
    first, last = grid.index_of((y0, x0)), grid.index_of((y1, x1))
    box = Box(first[0], last[0] + 1, first[1], last[1] + 1).intersection(Box(0, grid.shape[0], 0, grid.shape[1]))
    if box.empty:
        return Cells(Box(0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_))
    rows, columns = box.shape
    crossings = np.zeros((rows, columns + 1), dtype=np.int8)  # whether odd or even is all that counts: it may wrap
    rings = [r for p in shapely.get_parts(geometry) for r in shapely.get_rings(p)]
    for ring in rings:
        corners = (shapely.get_coordinates(ring)[:, ::-1] - grid.origin) / grid.step - 0.5 - (box.y0, box.x0)
        row, x = _crossings(corners[:-1], corners[1:], rows)
        first_right = np.clip(np.floor(x).astype(np.intp) + 1, 0, columns)
        np.add.at(crossings, (row, first_right), 1)
    return Cells(box, (np.cumsum(crossings[:, :columns], axis=1, dtype=np.int8) & 1).view(np.bool_))


def _crossings(
    start: NDArray[np.float64], stop: NDArray[np.float64], num_rows: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return row and x of every crossing of edges (N, 2) with the lines y = 0, 1, ..., num_rows - 1."""
    upward = start[:, 0] > stop[:, 0]
    top = np.where(upward[:, None], stop, start)
    bottom = np.where(upward[:, None], start, stop)
    first = np.clip(np.ceil(top[:, 0]), 0, num_rows).astype(np.intp)
    last = np.clip(np.ceil(bottom[:, 0]), 0, num_rows).astype(np.intp)
    count = last - first
    edge = np.repeat(np.arange(len(count)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    height = bottom[edge, 0] - top[edge, 0]
    share = (row - top[edge, 0]) / height
    return row, top[edge, 1] + share * (bottom[edge, 1] - top[edge, 1])


def field_cells(point: tuple[float, float], num_cells: int, grid: PixelGrid) -> Box:
    """Return the cells of the field of a click; it may reach beyond the map.

    Parameters
    ----------
    point
        (y, x), level-0 pixels.
    num_cells
        Side of the field in cells; the cell that holds the point is in its middle (above and left of it if even).
    """
    row, column = grid.index_of(point)
    row, column = min(max(row, 0), grid.shape[0] - 1), min(max(column, 0), grid.shape[1] - 1)
    before = (num_cells - 1) // 2
    return Box(row - before, row - before + num_cells, column - before, column - before + num_cells)


def field_outline(cells: Box, side: tuple[float, float], grid: PixelGrid) -> BaseGeometry:
    """Return the outline of a click's field, (x, y) level-0 pixels.

    Parameters
    ----------
    cells
        Cells of the field.
    side
        Height and width of what the network sees for the field, level-0 pixels.
    """
    y = grid.origin[0] + (cells.y0 + cells.y1) / 2 * grid.step[0]
    x = grid.origin[1] + (cells.x0 + cells.x1) / 2 * grid.step[1]
    return shapely.box(x - side[1] / 2, y - side[0] / 2, x + side[1] / 2, y + side[0] / 2)
