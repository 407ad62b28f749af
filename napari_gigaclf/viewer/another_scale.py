"""What another scale does to the layers of a slide: what was found goes, what a person made stays on its place."""

from typing import Any

import numpy as np

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import RULER, Frame, drawn_at, length_features
from napari_gigaclf.viewer.viewpoint import Viewpoint

FOUND = frozenset({"probability", "saliency", "taught", "why", "tissue", "fields", "hotspots", "suggestions"})
"""Kinds of overlays that the program found at a slide's scale, as is a mask that nobody has painted on."""


def remove_found(canvas: SlideCanvas, slide_id: str) -> bool:
    """Take away what was found at a slide's scale, not what a person made; True if there was something."""
    found = [each for each in canvas.overlays(slide_id) if _is_found(each)]
    there = bool(found)
    canvas.remove_layers(found)
    return there


def rescale(canvas: SlideCanvas, slide: Any) -> None:  # noqa: ANN401 - a Slide
    """Give every layer of a slide, and what was drawn on it, its (new) micrometres per pixel; the view stays."""
    before = canvas.layer_of(slide.id)
    old_scale = np.ones(2) if before is None else np.array(before.scale[-2:])
    ratio = np.asarray(slide.um_per_px or (1.0, 1.0)) / old_scale
    alone = len(canvas.slide_layers()) == 1
    for layer in list(canvas.viewer.layers):
        old = layer.metadata.get("slide")
        over = (layer.metadata.get("slide_id"), layer.metadata.get("drawn_on"))
        ours = (old is not None and old.id == slide.id) or slide.id in over
        if not ours and not (alone and drawn_at(layer, old_scale)):
            continue
        if old is not None:
            layer.metadata["slide"] = slide  # before its scale: whoever watches that finds the slide of today
        _place(layer, slide, ratio)
    camera = canvas.viewer.scene.camera
    on_screen = ratio[::-1] if Viewpoint(canvas.viewer).exchanged else ratio
    camera.center = (*camera.center[:-2], *(float(value) for value in np.asarray(camera.center[-2:]) * on_screen))
    camera.zoom = float(camera.zoom / np.sqrt(ratio.prod()))
    canvas.show_scale_bar()


def _place(layer: Any, slide: Any, ratio: Any) -> None:  # noqa: ANN401 - a layer, a Slide, an array of two
    """Lay one layer where it belongs at the new scale, ``ratio`` times the old one."""
    place = Frame.of_slide(slide).place(layer.metadata.get("grid"))
    if slide.id == layer.metadata.get("drawn_on"):  # perhaps in other pixels than the slide's
        place |= {"scale": layer.scale * ratio, "translate": layer.translate * ratio}
    with layer.events.units.blocker():
        layer.units = place["units"]
    layer.scale, layer.translate = place["scale"], place["translate"]
    if layer.metadata.get("kind") == RULER:
        layer.features = length_features(slide, layer.data)


def _is_found(layer: Any) -> bool:  # noqa: ANN401 - a napari layer
    kind = layer.metadata["kind"]
    return kind in FOUND or (kind == "mask" and not layer.metadata.get("painted"))
