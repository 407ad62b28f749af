"""Shapes and points that a person drew on a slide, or opened from a file: taken from napari to be kept, shown again.

Kinds, holes, classes, colours, widths, features and the name of the layer come back as they were.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import AnnotationError, RegionError
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import FILE, Frame, LayerData, annotation_layer
from napari_gigaclf.viewer.returning.drawn_looks import Look, features_of, looks_of_shapes, shape_looks
from napari_gigaclf.viewer.returning.drawn_points import DrawnPoints, annotations_of_points, points_layer, points_of
from napari_gigaclf.viewer.returning.looks import DRAWN_ON
from napari_gigaclf.viewer.returning.state import FilePart
from napari_gigaclf.viewer.shapes import DrawnShape

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.slides import Slide

DIGEST, LAYER = "digest", "layer"
SHAPES, POINTS, LABELS = "Shapes", "Points", "Labels"
DRAWN_NAME = "drawn"
MAX_SHAPES = 50_000
"""Drawn shapes and points that are kept of one slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawings:
    """What lies on a slide: files that are as they were opened, and shapes and points of its own."""

    files: tuple[FilePart, ...] = ()
    shapes: tuple[tuple[str, DrawnShape, Look], ...] = ()
    """Name of the layer, shape, and how it looks."""
    points: tuple[tuple[str, DrawnPoints], ...] = ()
    """Name of the layer and its points."""

    def __len__(self) -> int:
        """Return how many shapes and points there are that lie in no file."""
        return len(self.shapes) + sum(len(each.corners) for _, each in self.points)


def drawings_on(canvas: SlideCanvas, slide: "Slide") -> Drawings:
    """Return what a person drew on a slide; a layer that was opened from a file and not changed is told by the file."""
    files: list[FilePart] = []
    shapes: list[tuple[str, DrawnShape, Look]] = []
    points: list[tuple[str, DrawnPoints]] = []
    for layer in drawn_layers(canvas, slide.id, SHAPES, POINTS):
        name, kind = str(layer.name), type(layer).__name__
        if FILE in layer.metadata and layer.metadata.get(DIGEST) == digest_of(layer):
            files.append(FilePart(path=str(layer.metadata[FILE]), part="shapes" if kind == SHAPES else "points"))
        elif kind == SHAPES:
            drawn = zip(canvas.shapes_of(layer, slide), looks_of_shapes(layer, slide), strict=True)
            shapes += [(name, shape, look) for shape, look in drawn]
        elif len(layer.data):
            points.append((name, points_of(canvas, layer, slide)))
    return Drawings(files=tuple(files), shapes=tuple(shapes), points=tuple(points))


def drawn_layers(canvas: SlideCanvas, slide_id: str, *types: str) -> list[Any]:
    """Return the layers of some types that a person drew on a slide."""
    return [layer for layer in _drawn(canvas, types) if layer.metadata.get(DRAWN_ON) == slide_id]


def claim(canvas: SlideCanvas, slide_id: str) -> None:
    """Note that what was drawn on no slide that is known is drawn on this one."""
    for layer in _drawn(canvas, (SHAPES, POINTS, LABELS)):
        layer.metadata.setdefault(DRAWN_ON, slide_id)


def _drawn(canvas: SlideCanvas, types: Sequence[str]) -> list[Any]:
    """Return the flat layers of some types that a person drew or opened, and not a tool of this program."""
    return [
        layer
        for layer in canvas.viewer.layers
        if type(layer).__name__ in types and layer.ndim == 2 and layer.metadata.get("kind") in (None, "annotations")
    ]


def annotations_of(drawings: Drawings) -> "list[Annotation]":
    """Return drawn shapes and points as annotations; shapes that enclose nothing are left out. For a worker.

    Raises
    ------
    AnnotationError
        There are more than are kept.
    """
    from napari_gigaclf.viewer.writer import drawn_annotation

    if len(drawings) > MAX_SHAPES:
        raise AnnotationError(f"{len(drawings)} drawn shapes and points, more than the {MAX_SHAPES} that are kept")
    found = []
    for name, shape, look in drawings.shapes:
        with contextlib.suppress(RegionError, AnnotationError):  # a click that drew a point is no annotation
            annotation = drawn_annotation(shape)
            found.append(dataclasses.replace(annotation, metadata={**annotation.metadata, **look, LAYER: name}))
    for name, points in drawings.points:
        found += annotations_of_points(points, {LAYER: name})
    return found


def drawn_layers_of(annotations: "Sequence[Annotation]", slide: "Slide") -> list[LayerData]:
    """Return the layers in which kept shapes and points are shown again, those of one layer together."""
    by_layer: dict[tuple[str, bool], list[Annotation]] = {}
    for annotation in annotations:
        key = annotation.metadata.get(LAYER, DRAWN_NAME), annotation.geometry.geom_type == "Point"
        by_layer.setdefault(key, []).append(annotation)
    frame, layers = Frame.of_slide(slide), []

    def looks(each_of: "Sequence[Annotation]") -> dict[str, Any]:
        return shape_looks(each_of, frame.edge_width)

    for (name, are_points), members in by_layer.items():
        data, kwargs, kind = (
            points_layer(members, slide, name) if are_points else annotation_layer(members, frame, name, looks)
        )
        layers.append((data, {**kwargs, "metadata": {DRAWN_ON: slide.id}}, kind))
    return layers


def digest_of(layer: Any) -> str:  # noqa: ANN401 - a napari Shapes or Points layer
    """Return a digest of shapes or points, their classes, features and looks, which changes when one of them does."""
    classes = layer.features.get("class")
    said = [] if classes is None else [str(each) for each in classes]
    said += [str(each) for each in features_of(layer)]
    looks = [np.asarray(layer.face_color)]
    looks += [np.asarray(layer.edge_width)] if type(layer).__name__ == SHAPES else [np.asarray(layer.size)]
    return _digest([np.asarray(each) for each in layer.data], said, looks)


def _digest(vertices: Sequence[NDArray[Any]], said: Sequence[str], looks: Sequence[NDArray[Any]]) -> str:
    digest = sha256("\n".join(said).encode())
    for each in looks:
        digest.update(np.ascontiguousarray(each, dtype=np.float64).tobytes() + b"|")
    for each in vertices:
        digest.update(np.ascontiguousarray(each[..., -2:], dtype=np.float64).tobytes() + b"|")
    return digest.hexdigest()
