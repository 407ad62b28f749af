"""Keeps lines as wide on the screen at every zoom as they were drawn at first: napari's widths lie in the data."""

import weakref
from typing import Any

import numpy as np

from napari_gigaclf.viewer.proxied import key_of, model_of

OUTLINES = ("fields", "tissue", "truth")
"""Kinds of layers of ours that outline something, and must not hide it."""
OUTLINE_WIDTH = 2.0
"""Width of an outline in pixels of the screen."""
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


_WATCHED: set[int] = set()
"""Viewers whose outlines are looked after."""


def keep_outlines_thin(viewer: Any) -> None:  # noqa: ANN401
    """Have the outlines that are, or will be, on a viewer follow its zoom."""
    key, model = key_of(viewer), model_of(viewer)
    if key in _WATCHED:
        return
    _WATCHED.add(key)
    weakref.finalize(model, _WATCHED.discard, key)
    held = weakref.ref(model)

    def look_after(layer: Any) -> None:  # noqa: ANN401
        drawn_on = held()
        if drawn_on is not None and layer.metadata.get("kind") in OUTLINES and hasattr(layer, "edge_width"):
            keep_width(drawn_on, layer, OUTLINE_WIDTH)

    viewer.layers.events.inserted.connect(lambda event: look_after(event.value))
    for layer in viewer.layers:
        look_after(layer)
