"""Annotations as shapes and points that a person can edit."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import corner_to_napari_data, swap_xy
from napari_gigaclf.viewer.layers.frame import Frame, LayerData

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation

PLAIN_COLOUR = (0.95, 0.55, 0.05, 1.0)
POINT_PX = 5.0
"""Diameter of a point, in widths of an outline."""


def annotation_layer(
    annotations: Sequence["Annotation"],
    frame: Frame,
    name: str = "annotations",
    looks: "Callable[[Sequence[Annotation]], dict[str, Any]] | None" = None,
) -> LayerData:
    """Return annotations as shapes that can be edited: holes kept, lines as paths, colour and class shape by shape.

    Points have no shape (see ``point_layer``). Colours are given shape by shape: napari's colour cycles assign them in
    sorted order of the categories. ``looks`` is given the annotation of each shape, and returns further keywords of the
    layer.
    """
    vertices: list[NDArray[np.float64]] = []
    types: list[str] = []
    colours: list[tuple[float, ...]] = []
    each_of: list[Annotation] = []
    for annotation in annotations:
        colour = _colour_of(annotation)
        parts = _parts(annotation)
        vertices += [each for each, _ in parts]
        types += [kind for _, kind in parts]
        colours += [colour] * len(parts)
        each_of += [annotation] * len(parts)
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": name,
        "edge_width": frame.edge_width,
        "face_color": "transparent",
        "metadata": {"kind": "annotations"},
    }
    if not vertices:
        return None, {**kwargs, "ndim": 2}, "shapes"
    classes = [each.class_name or "" for each in each_of]
    kwargs |= {"shape_type": types, "edge_color": np.array(colours), "features": {"class": classes}}
    kwargs |= {} if looks is None else looks(each_of)
    return vertices, kwargs, "shapes"


def _parts(annotation: "Annotation") -> list[tuple[NDArray[np.float64], str]]:
    """Return the vertices, (N, 2), (y, x) data coordinates, and the kind of each napari shape of an annotation."""
    from napari_gigaclf.annotations.frames import frame_of
    from napari_gigaclf.viewer.shapes import filled_shapes, line_shapes

    frame = frame_of(annotation)
    if frame is not None:
        return [(corner_to_napari_data(swap_xy(frame.corners)), frame.kind)]
    filled = [(each, "polygon") for each in filled_shapes(annotation.geometry)]
    return [*filled, *((each, "path") for each in line_shapes(annotation.geometry))]


def point_layer(annotations: Sequence["Annotation"], frame: Frame, name: str) -> LayerData | None:
    """Return the points among annotations, with class and colour of each; None without any."""
    import shapely

    points = [each for each in annotations if each.geometry.geom_type in ("Point", "MultiPoint")]
    xy = [shapely.get_coordinates(each.geometry) for each in points]
    if not xy:
        return None
    each_of = [each for each, where in zip(points, xy, strict=True) for _ in where]
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": f"{name} (points)",
        "size": POINT_PX * frame.edge_width,
        "face_color": np.array([_colour_of(each) for each in each_of]),
        "features": {"class": [each.class_name or "" for each in each_of]},
        "metadata": {"kind": "annotations"},
    }
    return corner_to_napari_data(swap_xy(np.concatenate(xy))), kwargs, "points"


def _colour_of(annotation: "Annotation") -> tuple[float, ...]:
    rgb = annotation.shown_colour
    return (*(value / 255 for value in rgb), 1.0) if rgb else PLAIN_COLOUR
