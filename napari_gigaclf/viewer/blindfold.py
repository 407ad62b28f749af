"""Hides what a model found until a reader has said what they see, and shows again what it has hidden.

What is hidden says so in its metadata: it stays so when a run fills the same layer anew, it is kept as one that is
shown, and its twin on a second canvas is hidden from the beginning.
"""

from collections.abc import Callable

import numpy as np

from napari_gigaclf.viewer.canvas import BLINDFOLDED, SlideCanvas
from napari_gigaclf.viewer.companions import companions

HIDDEN_KINDS = ("probability", "saliency", "why", "taught")


class Blindfold:
    """Hides maps of a canvas, with their thumbnails in the list of layers."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas

    def apply(self, hidden: Callable[[str], bool]) -> None:
        """Hide the maps of slides for which ``hidden`` is true; show those again that were hidden and need not be."""
        viewer = self._canvas.viewer
        for layer in [layer for each in (viewer, *companions(viewer)) for layer in each.layers]:
            if layer.metadata.get("kind") not in HIDDEN_KINDS:
                continue
            if hidden(str(layer.metadata.get("slide_id"))):
                if layer.visible:
                    layer.metadata[BLINDFOLDED] = True  # first: whoever hears that it is hidden asks why
                    layer.visible = False
                layer.thumbnail = np.zeros((0, 0, 4), dtype=np.uint8)  # napari makes an empty one of it
            elif layer.metadata.pop(BLINDFOLDED, False):
                layer.visible = True
