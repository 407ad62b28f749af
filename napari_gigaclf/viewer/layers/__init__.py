"""Slides, results and annotations as napari layers: pure functions, no viewer, no file written, nothing computed twice.

Every layer over one slide carries the same units and axis labels and lies on level 0 by the one transform of
``PixelGrid.napari_transform`` (scale s * um/px, translate (s - 1) / 2 * um/px for a raster of step s): an overlay
without the translate would be shifted by half a cell. Probabilities are shown on the absolute scale 0 to 1, never by
rank or percentile, scores of a regression on the range that they were learnt from, and NaN (nothing was computed here)
is transparent.
"""

from napari_gigaclf.viewer.layers.annotations import annotation_layer, point_layer
from napari_gigaclf.viewer.layers.colours import fading_inferno, rising_blue, score_colours
from napari_gigaclf.viewer.layers.frame import AXIS_LABELS, COVERED, FILE, Frame, LayerData, belongs_to, drawn_at
from napari_gigaclf.viewer.layers.maps import (
    DEFAULT_THRESHOLD,
    PROBABILITY_OPACITY,
    finding_layers,
    prediction_layers,
    probability_layer,
    probability_name,
    saliency_layer,
    thresholded,
)
from napari_gigaclf.viewer.layers.outlines import (
    field_layer,
    mask_layer,
    outline_layer,
    painted_tissue,
    tissue_layer,
    truth_layer,
)
from napari_gigaclf.viewer.layers.ruler_line import RULER, length_features, ruler_layer
from napari_gigaclf.viewer.layers.slides import ChannelPlane, contrast_limits, is_colour, plane_of, slide_layers

__all__ = [
    "AXIS_LABELS",
    "COVERED",
    "DEFAULT_THRESHOLD",
    "FILE",
    "PROBABILITY_OPACITY",
    "RULER",
    "ChannelPlane",
    "Frame",
    "LayerData",
    "annotation_layer",
    "belongs_to",
    "contrast_limits",
    "drawn_at",
    "fading_inferno",
    "field_layer",
    "finding_layers",
    "is_colour",
    "length_features",
    "mask_layer",
    "outline_layer",
    "painted_tissue",
    "plane_of",
    "point_layer",
    "prediction_layers",
    "probability_layer",
    "probability_name",
    "rising_blue",
    "ruler_layer",
    "saliency_layer",
    "score_colours",
    "slide_layers",
    "thresholded",
    "tissue_layer",
    "truth_layer",
]
