"""Shapes and points that a person drew on a slide, or opened from a file: taken from napari to be kept, shown again.

Kinds, holes, classes, colours and the name of the layer come back as they were.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import AnnotationError, RegionError
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame, LayerData, annotation_layer
from napari_gigaclf.viewer.returning.looks import DRAWN_ON
from napari_gigaclf.viewer.shapes import DrawnShape

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.slides import Slide

FILE, DIGEST, LAYER = "file", "digest", "layer"
DRAWN_NAME = "drawn"
MAX_SHAPES = 50_000
"""Drawn shapes that are kept of one slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawings:
    """What lies on a slide: files that are as they were opened, and shapes of its own."""

    files: tuple[str, ...]
    shapes: tuple[tuple[str, DrawnShape], ...]
    """Name of the layer and shape."""


def drawings_on(canvas: SlideCanvas, slide: "Slide") -> Drawings:
    """Return the shapes on a slide; a layer that was opened from a file and not changed is told by the file."""
    files: list[str] = []
    shapes: list[tuple[str, DrawnShape]] = []
    for layer in shape_layers(canvas, slide.id):
        if FILE in layer.metadata and layer.metadata.get(DIGEST) == digest_of(layer):
            files.append(str(layer.metadata[FILE]))
        else:
            shapes += [(str(layer.name), shape) for shape in canvas.shapes_of(layer, slide)]
    files += [path for path in _files_of_points(canvas, slide.id) if path not in files]
    return Drawings(files=tuple(files), shapes=tuple(shapes))


def shape_layers(canvas: SlideCanvas, slide_id: str) -> list[Any]:
    """Return the layers with a person's shapes on a slide."""
    shapes = canvas.drawn_layers()
    return [layer for layer in shapes if layer.metadata.get(DRAWN_ON) == slide_id]


def _files_of_points(canvas: SlideCanvas, slide_id: str) -> list[str]:
    """Return the files whose points lie on a slide; those are never changed here, whatever becomes of the shapes."""
    points = [layer.metadata for layer in canvas.viewer.layers if type(layer).__name__ == "Points"]
    return [str(each[FILE]) for each in points if each.get(DRAWN_ON) == slide_id and FILE in each]


def claim(canvas: SlideCanvas, slide_id: str) -> None:
    """Note that shapes of which no slide is known are drawn on this one."""
    for layer in canvas.drawn_layers():
        layer.metadata.setdefault(DRAWN_ON, slide_id)


def annotations_of(drawings: Drawings) -> "list[Annotation]":
    """Return drawn shapes as annotations; those that enclose nothing are left out. For a worker.

    Raises
    ------
    AnnotationError
        There are more than are kept.
    """
    import dataclasses

    from napari_gigaclf.viewer.writer import drawn_annotation

    if len(drawings.shapes) > MAX_SHAPES:
        raise AnnotationError(f"{len(drawings.shapes)} drawn shapes, more than the {MAX_SHAPES} that are kept")
    found = []
    for name, shape in drawings.shapes:
        with contextlib.suppress(RegionError, AnnotationError):  # a click that drew a point is no annotation
            annotation = drawn_annotation(shape)
            found.append(dataclasses.replace(annotation, metadata={**annotation.metadata, LAYER: name}))
    return found


def drawn_layers_of(annotations: "Sequence[Annotation]", slide: "Slide") -> list[LayerData]:
    """Return the layers in which kept shapes are shown again, those of one layer together."""
    by_name: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_name.setdefault(annotation.metadata.get(LAYER, DRAWN_NAME), []).append(annotation)
    layers = []
    for name, members in by_name.items():
        data, kwargs, kind = annotation_layer(members, Frame.of_slide(slide), name)
        layers.append((data, {**kwargs, "metadata": {DRAWN_ON: slide.id}}, kind))
    return layers


def digest_of(layer: Any) -> str:  # noqa: ANN401 - a napari Shapes layer
    """Return a digest of shapes and classes, which changes when one of them does."""
    classes = layer.features.get("class")
    return _digest(
        [np.asarray(each) for each in layer.data], [] if classes is None else [str(each) for each in classes]
    )


def _digest(vertices: Sequence[NDArray[Any]], classes: Sequence[str]) -> str:
    digest = sha256("\n".join(classes).encode())
    for each in vertices:
        digest.update(np.ascontiguousarray(each[:, -2:], dtype=np.float64).tobytes() + b"|")
    return digest.hexdigest()
