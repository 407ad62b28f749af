"""Puts the line of the ruler on a canvas, where it goes with its slide and is as thin on the screen at every zoom."""

from typing import Any

from napari_gigaclf.viewer.constant_width import keep_width
from napari_gigaclf.viewer.with_slide import go_with_slide

SCREEN_WIDTH = 3.0
"""Width of the line in pixels of the screen."""


def add_ruler(viewer: Any, data: Any, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - napari has no stubs
    """Add the layer of a line (see ``ruler_layer``); it ends with its slide, and follows the zoom until then."""
    layer = viewer.add_shapes(data, **kwargs)
    go_with_slide(viewer.layers, layer)
    keep_width(viewer, layer, SCREEN_WIDTH)
    return layer
