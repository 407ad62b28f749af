"""Maps of a result as image layers: probability or score of one class, and saliency."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.models.map_scale import PROBABILITY, MapScale, map_scale
from napari_gigaclf.viewer.layers.colours import fading_inferno, rising_blue, score_colours
from napari_gigaclf.viewer.layers.frame import Frame, LayerData
from napari_gigaclf.viewer.layers.outlines import tissue_layer

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction

PROBABILITY_OPACITY = 0.6
SALIENCY_OPACITY = 0.7
DEFAULT_THRESHOLD = -math.inf
"""Shows all of a map."""


def thresholded(values: NDArray[np.floating], threshold: float) -> NDArray[np.float32]:
    """Return a map for the eye: what lies below the threshold is NaN, that is, transparent."""
    shown = np.array(values, dtype=np.float32)
    shown[shown < threshold] = np.nan
    return shown


def probability_layer(
    shown: NDArray[np.float32],
    grid: PixelGrid,
    frame: Frame,
    *,
    class_name: str,
    partial: bool = False,
    scale: MapScale = PROBABILITY,
) -> LayerData:
    """Return the overlay of one class: an absolute scale, 0 to 1 for probabilities, colour bar, NaN transparent.

    Parameters
    ----------
    shown
        Probabilities or scores (y, x), NaN where nothing ran or below the threshold (see ``thresholded``).
    grid
        Where the map lies over level 0.
    partial
        True for a run that was stopped; the name then says so.
    scale
        What the numbers are, and from where to where they are drawn.
    """
    kwargs = {
        **frame.place(grid),
        "name": probability_name(class_name, partial=partial, scale=scale),
        "contrast_limits": (scale.low, scale.high),
        "colormap": score_colours() if scale.is_score else fading_inferno(),
        "opacity": PROBABILITY_OPACITY,
        "blending": "translucent_no_depth",
        "interpolation2d": "nearest",
        "rgb": False,
        "multiscale": False,
        "metadata": {"kind": "probability", "grid": grid, "class_name": class_name, "partial": partial, "scale": scale},
    }
    return shown, kwargs, "image"


def probability_name(class_name: str, *, partial: bool, scale: MapScale = PROBABILITY) -> str:
    """Return the name of the layer of a map."""
    return scale.name_of(class_name) + (" (partial)" if partial else "")


def saliency_layer(prediction: "Prediction", frame: Frame) -> LayerData | None:
    """Return the saliency overlay with its class and normalisation in name and metadata; None without saliency.

    Pixels at 0 (the lower half of the capped map) are transparent.
    """
    saliency = prediction.saliency
    if saliency is None:
        return None
    kwargs = {
        **frame.place(saliency.grid),
        "name": f"saliency of {saliency.class_name} (cap 99 %)",
        "contrast_limits": (0.0, 1.0),
        "colormap": rising_blue(),
        "opacity": SALIENCY_OPACITY,
        "blending": "translucent_no_depth",
        "rgb": False,
        "multiscale": False,
        "metadata": {
            "kind": "saliency",
            "grid": saliency.grid,
            "class_name": saliency.class_name,
            "normalisation": saliency.normalisation,
        },
    }
    values = np.array(saliency.values, dtype=np.float32)
    values[values <= 0] = np.nan
    return values, kwargs, "image"


def prediction_layers(
    prediction: "Prediction", frame: Frame, class_name: str, threshold: float = DEFAULT_THRESHOLD
) -> list[LayerData]:
    """Return all layers of a result: tissue outline, probability of one class, saliency if there is one."""
    index = prediction.classes.index(class_name)
    values = np.asarray(prediction.probability_map[index])
    scale = map_scale(prediction.head.config).over(values)
    shown = thresholded(values, threshold)
    data, kwargs, kind = probability_layer(
        shown, prediction.grid, frame, class_name=class_name, partial=not prediction.complete, scale=scale
    )
    kwargs["metadata"] |= {"prediction": prediction, "threshold": threshold}
    layers = [(data, kwargs, kind), *finding_layers(prediction, frame)]
    for _, each, _ in layers:
        each["metadata"]["slide_id"] = prediction.record.slide.id
    return layers


def finding_layers(prediction: "Prediction", frame: Frame) -> list[LayerData]:
    """Return what is shown beside the map when a run has ended: saliency if there is one, outline of the tissue."""
    layers = []
    saliency = saliency_layer(prediction, frame)
    if saliency is not None:
        layers.append(saliency)
    if prediction.tissue is not None:
        layers.append(tissue_layer(prediction.tissue, frame))
    return layers
