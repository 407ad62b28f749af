"""Keeps lines as wide on the screen at every zoom as they were drawn at first: napari's widths lie in the data."""

from typing import Any

import numpy as np

STEP = 1.1
"""The width follows the zoom in steps, so that not every turn of the wheel builds the lines anew."""


def width_at(viewer: Any, unit: float, screen_width: float) -> float:  # noqa: ANN401 - napari has no stubs
    """Return how wide a line is now in pixels of level 0, each ``unit`` of the world wide."""
    exact = screen_width / (float(viewer.scene.camera.zoom) * unit)
    return float(STEP ** round(np.log(exact) / np.log(STEP)))


def width_on(viewer: Any, layer: Any, screen_width: float) -> float:  # noqa: ANN401
    """Return how wide a line on a layer of shapes is now, in the layer's own data."""
    return width_at(viewer, float(np.mean(layer.scale[-2:])), screen_width)


def keep_width(viewer: Any, layer: Any, screen_width: float) -> None:  # noqa: ANN401
    """Have all lines of a layer of shapes follow the zoom, from now until the layer is taken away.

    Parameters
    ----------
    viewer
        A napari viewer, or what stands beside one.
    layer
        One of its layers.
    screen_width
        Width of the lines in pixels of the screen.
    """
    events, name = viewer.scene.camera.events, layer.unique_id

    def follow(_event: Any = None) -> None:  # noqa: ANN401 - napari's event
        for each in [each for each in viewer.layers if each.unique_id == name and len(each.data)]:
            width = width_on(viewer, each, screen_width)
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
