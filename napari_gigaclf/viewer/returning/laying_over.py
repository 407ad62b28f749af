"""Lays the map of a result over those that a slide has already, which stay. All on the GUI thread."""

from typing import Any

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import COVERED, FILE, LayerData

TAUGHT = "taught"
"""Kind of the map that *Teach* paints while it is open."""


def cover(layer: Any) -> None:  # noqa: ANN401 - a napari layer
    """Hide a map that a painted one lies over; it returns as it was shown before, since the painted one does not."""
    if layer.visible:
        layer.metadata[COVERED] = True
        layer.visible = False


def lay_over(canvas: SlideCanvas, slide_id: str, data: LayerData) -> Any:  # noqa: ANN401 - a napari layer
    """Show a map over the results that lie over its slide, under what *Teach* has painted; the selection stays."""
    below = canvas.overlay(slide_id, "probability")
    if below is None:
        layer = canvas.put(slide_id, data)
    else:
        array, kwargs, kind = data
        layers = canvas.viewer.layers
        selected = layers.selection.active
        metadata = {**kwargs["metadata"], "slide_id": slide_id}
        layer = getattr(canvas.viewer, f"add_{kind}")(array, **{**kwargs, "metadata": metadata})
        layers.move(layers.index(layer), layers.index(below) + 1)
        if selected is not None:
            layers.selection.active = selected
    if canvas.overlay(slide_id, TAUGHT) is not None:
        cover(layer)
    return layer


def lay_result_over(canvas: SlideCanvas, slide_id: str, data: LayerData) -> None:
    """Show a result that was just made of an open slide in place of an earlier one of the same model's name.

    The others are hidden, not taken away. Where a run goes on, its map stays on top.
    """
    name = data[1]["metadata"]["prediction"].record.model.name
    growing = None
    for layer in canvas.overlays(slide_id, "probability"):
        prediction = layer.metadata["prediction"]
        if prediction is None:
            growing = layer
        elif prediction.record.model.name == name and FILE in layer.metadata:
            canvas.viewer.layers.remove(layer)
    if growing is not None:
        canvas.put_under(lay_over(canvas, slide_id, data), growing)
        return
    for kind in ("probability", "saliency"):
        for layer in canvas.overlays(slide_id, kind):
            layer.visible = False
    lay_over(canvas, slide_id, data)
