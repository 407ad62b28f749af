"""The colour bar of a gradient says from where to where its colours go, whatever its magnitudes."""

import numpy as np
import pytest
import shapely

from napari_gigaclf.inference.gradient import PlaceGradient, cap_of
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.overlays import Overlays
from napari_gigaclf.viewer.why_layer import why_layer


def gradient_up_to(largest, frame):
    rows, columns = frame.level0.shape
    values = np.zeros((3, rows, columns), np.float32)
    values[0] = np.linspace(-largest, largest, rows * columns).reshape(rows, columns)
    return PlaceGradient(
        gradient=values, grid=frame.level0, outline=shapely.box(0, 0, 9, 9), num_cells=1, class_name="tumour",
        logit=1.0, of="answer", smooth=None,
    )  # fmt: skip


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("largest", [0.00873, 0.0371, 3.1e-7, 0.1, 0.65, 0.84, 12.0, 900.0])
def test_both_ends_are_labelled(shown_viewer, show, slide, largest, signed):
    show(slide)
    frame = Frame.of_slide(slide)
    found = gradient_up_to(largest, frame)
    Overlays(SlideCanvas(shown_viewer)).why(slide, why_layer(found, frame, signed=signed))
    layer = next(layer for layer in shown_viewer.layers if layer.metadata.get("kind") == "why")
    drawn = shown_viewer.window._qt_viewer.canvas._layer_overlay_to_visual[layer][layer.colorbar]
    labels = sorted(float(text) for text in drawn.node.ticks._text.text)
    low, high = layer.contrast_limits
    assert labels[0] == pytest.approx(low)
    assert labels[-1] == pytest.approx(high)
    assert len(labels) > 1
    assert low == (-high if signed else 0)
    percentile = cap_of(found.signed())
    assert percentile <= high * 1.0001 <= 2.5 * percentile
