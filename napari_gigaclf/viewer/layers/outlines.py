"""Outlines over a slide: tissue, known truth, clicked fields; and the tissue mask, to be painted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.viewer.layers.frame import Frame, LayerData

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.slides.tissue import TissueMask

MASK_OPACITY = 0.25
MASK_COLOUR = (0.1, 0.75, 0.45, 1.0)
TISSUE_COLOUR = (0.10, 0.20, 0.55, 1.0)
TRUTH_COLOUR = (0.10, 0.95, 0.20, 1.0)
FIELD_COLOUR = (1.0, 0.85, 0.0, 1.0)


def outline_layer(
    geometries: Sequence["BaseGeometry"],
    frame: Frame,
    *,
    name: str,
    colour: tuple[float, float, float, float],
    kind: str,
) -> LayerData:
    """Return outlines without filling, every ring as its own closed path, holes included."""
    from napari_gigaclf.viewer.shapes import outline_rings

    rings = [ring for geometry in geometries for ring in outline_rings(geometry)]
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": name,
        "face_color": "transparent",
        "edge_width": frame.edge_width,
        "opacity": 1.0,
        "metadata": {"kind": kind},
    }
    if not rings:
        return None, {**kwargs, "ndim": 2}, "shapes"
    kwargs |= {"shape_type": "path", "edge_color": np.tile(np.array(colour), (len(rings), 1))}
    return rings, kwargs, "shapes"


def tissue_layer(tissue: "TissueMask", frame: Frame) -> LayerData:
    """Return the outline of what is looked at; what lies outside it is left out.

    Of an outline with more corners than are drawn smoothly, those that stand out least are left out of the drawing.
    """
    from napari_gigaclf.viewer.shapes import fewer_corners

    drawn = fewer_corners(tissue.outlines(), max(tissue.grid.step))
    data, kwargs, kind = outline_layer(drawn, frame, name="tissue", colour=TISSUE_COLOUR, kind="tissue")
    kwargs["metadata"]["source"] = tissue
    return data, kwargs, kind


def truth_layer(truth: Sequence["Annotation"], frame: Frame, name: str = "known truth") -> LayerData:
    """Return the outlines of a known truth."""
    return outline_layer([each.geometry for each in truth], frame, name=name, colour=TRUTH_COLOUR, kind="truth")


def mask_layer(tissue: "TissueMask", frame: Frame) -> LayerData:
    """Return the tissue mask as a coarse Labels layer, to be painted: 1 is looked at, 0 is left out."""
    kwargs = {
        **frame.place(tissue.grid),
        "name": "tissue mask (paint to change)",
        "opacity": MASK_OPACITY,
        "colormap": {0: (0.0, 0.0, 0.0, 0.0), 1: MASK_COLOUR, None: MASK_COLOUR},
        "multiscale": False,
        "metadata": {"kind": "mask", "grid": tissue.grid},
    }
    return tissue.mask.astype(np.uint8), kwargs, "labels"


def painted_tissue(layer: Any, slide: "Slide") -> "TissueMask":  # noqa: ANN401 - a napari Labels layer
    """Return the mask that is painted on a layer of tissue."""
    from napari_gigaclf.slides.tissue import TissueMask

    painted, grid = np.asarray(layer.data) > 0, layer.metadata["grid"]
    return TissueMask.from_array(painted, grid, um_per_px=slide.um_per_px)


def field_layer(fields: Sequence[tuple[int, "BaseGeometry"]], frame: Frame) -> LayerData:
    """Return the outlines of the fields that were clicked, each with its number in the table."""
    data, kwargs, kind = outline_layer(
        [geometry for _, geometry in fields], frame, name="clicked fields", colour=FIELD_COLOUR, kind="fields"
    )
    if data:
        kwargs["features"] = {"number": [number for number, _ in fields]}
        kwargs["text"] = {"string": "{number}", "anchor": "upper_left", "color": FIELD_COLOUR, "size": 10}
    return data, kwargs, kind
