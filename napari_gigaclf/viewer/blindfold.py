"""Hides what a model found until a reader has said what they see, and shows again what it has hidden."""

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.companions import companions
from napari_gigaclf.viewer.returning.looks import BLINDFOLDED

HIDDEN_KINDS = ("probability", "saliency", "why")


class Blindfold:
    """Hides maps of a canvas, with their thumbnails in the list of layers."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas
        self._hid: set[Any] = set()

    def apply(self, hidden: Callable[[str], bool]) -> None:
        """Hide the maps of slides for which ``hidden`` is true; show those again that were hidden and need not be."""
        viewer = self._canvas.viewer
        for layer in [layer for each in (viewer, *companions(viewer)) for layer in each.layers]:
            if layer.metadata.get("kind") not in HIDDEN_KINDS:
                continue
            if hidden(str(layer.metadata.get("slide_id"))):
                if layer.visible:
                    layer.visible = False
                    self._hid.add(layer.unique_id)
                    layer.metadata[BLINDFOLDED] = True
                layer.thumbnail = np.zeros((0, 0, 4), dtype=np.uint8)  # napari makes an empty one of it
            elif layer.unique_id in self._hid:
                self._hid.discard(layer.unique_id)
                layer.metadata.pop(BLINDFOLDED, None)
                layer.visible = True
