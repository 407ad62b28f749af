"""Saves what napari shows: a map as OME-TIFF, drawn shapes as GeoJSON which QuPath opens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations import Annotation
from napari_gigaclf.annotations.frames import NUM_CORNERS, ShapeFrame, framed
from napari_gigaclf.errors import AnnotationError, OutputError
from napari_gigaclf.geometry import napari_data_to_corner, swap_xy
from napari_gigaclf.viewer.shapes import DrawnShape, geometry_of

LINE_KINDS = ("line", "path")
UNITS = {"micrometer": "µm", "um": "µm", "µm": "µm"}


def write_map(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:  # noqa: ANN401 - npe2's signature
    """Save one image layer as OME-TIFF: a whole result as its exporter does, any other image with its pixel size.

    Raises
    ------
    OutputError
        The layer is a slide (it is a file already), or the file cannot be written.
    """
    metadata = attributes.get("metadata", {})
    prediction = metadata.get("prediction")
    if prediction is not None:
        from napari_gigaclf.inference.exports import write_ome_tiff

        write_ome_tiff(prediction, Path(path))
        return [path]
    if metadata.get("slide") is not None:
        raise OutputError(f"{path}: this layer is the slide itself, {metadata['slide'].name}; it is not saved again")
    _write_plain(Path(path), np.asarray(data), attributes)
    return [path]


def write_shapes(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:  # noqa: ANN401 - npe2's signature
    """Save one shapes layer as GeoJSON in level-0 pixels.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from napari_gigaclf.annotations import write_geojson

    write_geojson(path, [drawn_annotation(shape) for shape in _drawn(data, attributes)])
    return [path]


def drawn_annotation(shape: DrawnShape) -> Annotation:
    """Return a drawn shape as an annotation by a person; rectangles, ellipses and straight lines stay what they are."""
    red, green, blue = (round(value * 255) for value in shape.colour[:3])
    annotation = Annotation(
        geometry=drawn_geometry(shape.vertices, shape.kind),
        class_name=shape.class_name or None,
        colour=(red, green, blue),
    )
    if NUM_CORNERS.get(shape.kind) != len(shape.vertices):
        return annotation
    corners = swap_xy(napari_data_to_corner(shape.vertices))
    return framed(annotation, ShapeFrame(kind=shape.kind, corners=corners))  # type: ignore[arg-type]


def _drawn(data: Any, attributes: Mapping[str, Any]) -> list[DrawnShape]:  # noqa: ANN401 - npe2's signature
    """Return the shapes of a saved layer, each with its kind, colour and class."""
    kinds = attributes.get("shape_type", "polygon")
    colours = np.atleast_2d(np.asarray(attributes.get("edge_color", (0.5, 0.5, 0.5, 1.0)), dtype=float))
    classes = _classes(attributes, len(data))
    return [
        DrawnShape(
            vertices=to_level0(vertices, attributes),
            kind=kinds if isinstance(kinds, str) else kinds[index],
            colour=tuple(colours[min(index, len(colours) - 1)]),
            class_name=classes[index],
        )
        for index, vertices in enumerate(data)
    ]


def drawn_geometry(vertices: NDArray[np.float64], kind: str) -> BaseGeometry:
    """Return the geometry of a drawn shape: an area, or a line where it has none."""
    if kind in LINE_KINDS and not np.array_equal(vertices[0], vertices[-1]):
        if len(vertices) < len(LINE_KINDS):
            raise AnnotationError("a line needs two points")
        return shapely.LineString(swap_xy(napari_data_to_corner(vertices)))
    return geometry_of(vertices, kind)


def to_level0(vertices: NDArray[np.float64], attributes: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return vertices in level-0 data coordinates; a layer with the slide's scale may still be translated."""
    points = np.asarray(vertices, dtype=np.float64)[:, -2:]
    scale = np.asarray(attributes.get("scale", (1.0, 1.0)), dtype=np.float64)[-2:]
    translate = np.asarray(attributes.get("translate", (0.0, 0.0)), dtype=np.float64)[-2:]
    return np.asarray(points + translate / scale)


def _classes(attributes: Mapping[str, Any], num_shapes: int) -> list[str]:
    features = attributes.get("features")
    if features is None or "class" not in features:
        return [""] * num_shapes
    return ["" if value is None or value != value else str(value) for value in features["class"]]


def _write_plain(path: Path, image: NDArray[Any], attributes: Mapping[str, Any]) -> None:
    """Write an image with its pixel size, beside its place first."""
    import tifffile

    from napari_gigaclf.writing import replacing

    unit = UNITS.get(str(attributes.get("units", ("",))[-1]))
    sizes: dict[str, object] = {}
    if unit is not None:
        scale = [float(value) for value in attributes["scale"][-2:]]
        sizes = {"PhysicalSizeY": scale[0], "PhysicalSizeX": scale[1]}
        sizes |= {"PhysicalSizeYUnit": unit, "PhysicalSizeXUnit": unit}
    rgb = bool(attributes.get("rgb", False))
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            image,
            ome=True,
            photometric="rgb" if rgb else "minisblack",
            metadata={"axes": "YXS" if rgb else "YX", **sizes},
        )
