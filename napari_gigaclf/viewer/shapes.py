"""Shapes as people draw them in napari, and the same shapes as geometries that can be measured and exported.

napari keeps a drawn shape as an (N, 2) array of vertices (y, x) in data coordinates, whose 0 is the *centre* of the
first pixel. A polygon with holes is one array of closed rings, one after the other, filled by the even-odd rule; the
ring that follows starts where the ring before it came back to its first vertex. Geometries are shapely's, (x, y), in
level-0 pixels whose corner is 0 (see ``napari_gigaclf.geometry``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations.frames import ellipse_ring
from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import corner_to_napari_data, napari_data_to_corner, swap_xy

ShapeKind = Literal["rectangle", "ellipse", "polygon", "path", "line"]
MIN_RING = 3
MAX_CORNERS = 30_000
"""Corners of outlines that are drawn without a stutter where software renders: 220 000 took 80 ms more per redraw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnShape:
    """One shape of a Shapes layer, in the slide's pixels."""

    vertices: NDArray[np.float64]
    """(N, 2), (y, x), napari data coordinates of level 0."""
    kind: str
    colour: tuple[float, ...]
    class_name: str


def geometry_of(data_yx: NDArray[np.floating], kind: str) -> BaseGeometry:
    """Return the area which a drawn napari shape covers.

    Parameters
    ----------
    data_yx
        Vertices (N, 2), (y, x), napari data coordinates of level 0; the corners of the frame for an ellipse.
    kind
        napari's shape type. A path counts if it comes back to its first vertex, a line never does.

    Returns
    -------
    BaseGeometry
        Polygon or MultiPolygon, (x, y), level-0 corner coordinates; holes by the even-odd rule.

    Raises
    ------
    RegionError
        The shape has no area.
    """
    corners = swap_xy(napari_data_to_corner(np.asarray(data_yx, dtype=np.float64)[:, -2:]))
    if kind == "ellipse":
        corners = ellipse_ring(corners)
    if kind == "line" or (kind == "path" and not np.array_equal(corners[0], corners[-1])):
        raise RegionError(f"a {kind} has no area: draw a polygon, a rectangle or an ellipse")
    area: BaseGeometry = shapely.Polygon()
    for ring in split_rings(corners):
        area = area.symmetric_difference(_polygons_only(shapely.make_valid(shapely.Polygon(ring))))
    area = _polygons_only(area)
    if area.is_empty or area.area <= 0:
        raise RegionError("the drawn shape has no area")
    return area


def area_of(shapes: Sequence[DrawnShape]) -> BaseGeometry:
    """Return the area that shapes cover together, as ``geometry_of`` gives it; where they overlap it counts once.

    Raises
    ------
    RegionError
        One of them has no area.
    """
    areas = [polygon for shape in shapes for polygon in polygons_of(geometry_of(shape.vertices, shape.kind))]
    return areas[0] if len(areas) == 1 else shapely.union_all(areas)


def split_rings(vertices: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Split concatenated closed rings, (N, 2); one ring that was not closed comes back as it is.

    The way back to the first ring's first vertex, which joins three rings and more, belongs to none of them. A vertex
    that is repeated at once, as by a double click, is one vertex and no ring.
    """
    if len(vertices):
        moves = (vertices[1:] != vertices[:-1]).any(axis=1)
        vertices = vertices[np.concatenate([[True], moves])]
    rings: list[NDArray[np.float64]] = []
    start = 0
    while start < len(vertices):
        if start and np.array_equal(vertices[start], vertices[0]):
            start += 1  # the way back to the anchor between two holes
            continue
        again = np.flatnonzero((vertices[start + 1 :] == vertices[start]).all(axis=1))
        stop = start + 1 + int(again[0]) if len(again) else len(vertices) - 1
        ring = vertices[start : stop + 1]
        if len(np.unique(ring, axis=0)) >= MIN_RING:
            rings.append(ring)
        start = stop + 1
    return rings


def outline_rings(geometry: BaseGeometry) -> list[NDArray[np.float64]]:
    """Return every ring of a geometry, outer and inner, as closed napari paths (N, 2), (y, x) data coordinates."""
    return [_ring_to_data(ring) for polygon in polygons_of(geometry) for ring in (polygon.exterior, *polygon.interiors)]


def filled_shapes(geometry: BaseGeometry) -> list[NDArray[np.float64]]:
    """Return one napari polygon per part, holes as further closed rings joined at the outer ring's first vertex."""
    shapes = []
    for polygon in polygons_of(geometry):
        outer = _ring_to_data(polygon.exterior)
        rings = [outer]
        for hole in polygon.interiors:
            # Back to the anchor after every hole, so that the bridges cancel out.
            rings += [_ring_to_data(hole), outer[:1]]
        shapes.append(np.concatenate(rings))
    return shapes


def line_shapes(geometry: BaseGeometry) -> list[NDArray[np.float64]]:
    """Return the lines in a geometry as open napari paths (N, 2), (y, x) data coordinates."""
    if isinstance(geometry, shapely.LineString):
        return [] if geometry.is_empty else [corner_to_napari_data(swap_xy(shapely.get_coordinates(geometry)))]
    parts: Iterable[BaseGeometry] = getattr(geometry, "geoms", ())
    return [line for part in parts for line in line_shapes(part)]


def polygons_of(geometry: BaseGeometry) -> list[shapely.Polygon]:
    """Return the polygons in a geometry or in a collection, nested or not."""
    if isinstance(geometry, shapely.Polygon):
        return [] if geometry.is_empty else [geometry]
    parts: Iterable[BaseGeometry] = getattr(geometry, "geoms", ())
    return [polygon for part in parts for polygon in polygons_of(part)]


def _polygons_only(geometry: BaseGeometry) -> BaseGeometry:
    """Drop points and lines which the even-odd rule may leave behind."""
    parts = polygons_of(geometry)
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _ring_to_data(ring: shapely.LinearRing) -> NDArray[np.float64]:
    return corner_to_napari_data(swap_xy(shapely.get_coordinates(ring)))


def fewer_corners(outlines: Sequence[BaseGeometry], pixel: float) -> Sequence[BaseGeometry]:
    """Return outlines with at most ``MAX_CORNERS`` if the loss of some pixels does it; themselves if they have no more.

    Parameters
    ----------
    outlines
        In level-0 pixels.
    pixel
        Side of a pixel of the mask that they are the edges of, in level-0 pixels.
    """
    drawn = np.array(outlines, dtype=object)
    for tolerance in (pixel, 2 * pixel, 4 * pixel):
        if shapely.get_num_coordinates(drawn).sum() <= MAX_CORNERS:
            break
        drawn = shapely.simplify(np.array(outlines, dtype=object), tolerance)
    return list(drawn)
