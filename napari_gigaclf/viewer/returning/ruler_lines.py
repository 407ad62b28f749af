"""The line of the ruler on a slide: taken from napari to be kept, and shown again."""

from typing import TYPE_CHECKING

import numpy as np

from napari_gigaclf.geometry import corner_to_napari_data, napari_data_to_corner
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import RULER, LayerData, ruler_layer
from napari_gigaclf.viewer.returning.state import RulerLine

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide


def line_on(canvas: SlideCanvas, slide_id: str) -> RulerLine | None:
    """Return the line of the ruler on a slide; None where nothing was measured, or it cannot be kept."""
    layer = canvas.overlay(slide_id, RULER)
    if layer is None or not len(layer.data) or np.shape(layer.data[0]) != (2, 2):
        return None
    (y0, x0), (y1, x1) = napari_data_to_corner(np.asarray(layer.data[0], dtype=np.float64)).tolist()
    try:
        return RulerLine(begin=(y0, x0), end=(y1, x1), width=float(layer.edge_width[0]))
    except ValueError:
        return None


def layer_of_line(line: RulerLine, slide: "Slide") -> LayerData:
    """Return the layer in which a line is shown again, with its length as the slide's scale is now."""
    return ruler_layer(slide, corner_to_napari_data(np.array([line.begin, line.end])), line.width)
