"""Puts the line of the ruler on a canvas, where it goes with its slide and is as thin on the screen at every zoom."""

from typing import Any

import numpy as np

from napari_gigaclf.viewer.with_slide import go_with_slide

SCREEN_WIDTH = 3.0
"""Width of the line in pixels of the screen."""
STEP = 1.1
"""The width follows the zoom in steps, so that not every turn of the wheel builds the line anew."""


def width_at(viewer: Any, unit: float) -> float:  # noqa: ANN401 - napari has no stubs
    """Return how wide the line is now in pixels of level 0, each ``unit`` of the world wide."""
    exact = SCREEN_WIDTH / (float(viewer.scene.camera.zoom) * unit)
    return float(STEP ** round(np.log(exact) / np.log(STEP)))


def add_ruler(viewer: Any, data: Any, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - napari has no stubs
    """Add the layer of a line (see ``ruler_layer``); it ends with its slide, and follows the zoom until then."""
    layer = viewer.add_shapes(data, **kwargs)
    go_with_slide(viewer.layers, layer)
    events, name = viewer.scene.camera.events, layer.unique_id

    def follow(_event: Any = None) -> None:  # noqa: ANN401 - napari's event
        for each in [each for each in viewer.layers if each.unique_id == name and len(each.data)]:
            width = width_at(viewer, float(np.mean(each.scale[-2:])))
            if not np.allclose(each.edge_width, width):
                each.edge_width = [width] * len(each.data)
                each.refresh(thumbnail=False)  # napari 0.9.2 draws other widths only then

    def removed(event: Any) -> None:  # noqa: ANN401
        if event.value.unique_id == name:
            events.zoom.disconnect(follow)
            viewer.layers.events.removed.disconnect(removed)

    events.zoom.connect(follow)
    viewer.layers.events.removed.connect(removed)
    follow()
    return layer
