"""Which cells of the map a question is about: those inside a polygon, or those of the fields around points."""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.region import Region, as_geometry, cells_inside, field_cells, field_outline, is_points
from napari_gigaclf.models.card import FieldSpec

Place = Region | tuple[float, float]
"""What one can ask about, level-0 pixels: a region, or a point (y, x), which stands for the field around it."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a question is about."""

    cells: Cells
    """Its cells, tissue or not."""
    outline: BaseGeometry
    """The polygon, or the outline of the fields around points, (x, y) level-0 pixels."""


def asked(
    place: Place, slide_shape: tuple[int, int], field: FieldSpec, grid: PixelGrid, input_step: tuple[float, float]
) -> Asked:
    """Return the cells and the outline of a place.

    Parameters
    ----------
    place
        What is asked about.
    slide_shape
        Height and width of level 0.
    field
        The field that the model's card states for a click.
    grid
        Place of the map's cells over level 0.
    input_step
        Side of a pixel of the network's input, (y, x) level-0 pixels.

    Raises
    ------
    RegionError
        The place is empty, lies outside the slide, or is neither polygon nor point.
    """
    geometry = as_geometry(point_or_region(place), slide_shape)
    if not is_points(geometry):
        return Asked(cells_inside(geometry, grid), geometry)
    return field_of(geometry, field, grid, input_step)


def field_of(point: BaseGeometry, field: FieldSpec, grid: PixelGrid, input_step: tuple[float, float]) -> Asked:
    """Return the fields around shapely points (x, y), level-0 pixels; see ``asked``."""
    side = (field.px * input_step[0], field.px * input_step[1])
    boxes = [field_cells((float(y), float(x)), field.cells, grid) for x, y in shapely.get_coordinates(point)]
    outline = shapely.union_all([field_outline(box, side, grid) for box in boxes])
    edges = np.array([tuple(box) for box in boxes])
    (y0, _, x0, _), (_, y1, _, x1) = edges.min(axis=0).tolist(), edges.max(axis=0).tolist()
    hull = Box(y0, y1, x0, x1).intersection(Box(0, grid.shape[0], 0, grid.shape[1]))
    inside = np.zeros(hull.shape, dtype=np.bool_)
    for box in boxes:
        inside[box.intersection(hull).shifted(-hull.y0, -hull.x0).slices] = True
    return Asked(Cells(hull, inside), outline)


def point_or_region(place: Place) -> Region:
    """Turn a point given as (y, x) numbers into a shapely point; leave everything else."""
    if isinstance(place, Box | BaseGeometry):
        return place
    values = np.asarray(place, dtype=np.float64)
    return shapely.Point(values[1], values[0]) if values.shape == (2,) else values
