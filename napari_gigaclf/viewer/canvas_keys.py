"""Binds keys to actions while the canvas has the focus, and gives them back.

napari asks the selected layer first and the viewer after it, and its image layers know letters of their own (X). So the
keys are bound to the viewer, to image layers and to overlays of ours; shapes, points and labels of a person keep
their keys, since there they choose what is drawn.
"""

from collections.abc import Callable, Mapping
from typing import Any

from napari_gigaclf.viewer.proxied import model_of

DRAWN_ON = ("Shapes", "Points", "Labels")
"""Layers whose letters choose what is drawn."""


class CanvasKeys:
    """Keys that do something over the slide.

    Parameters
    ----------
    viewer
        A napari viewer.
    actions
        What each key does, as napari spells it.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], None]]) -> None:  # noqa: ANN401 - no stubs
        self._viewer = viewer
        self._actions = {key: _called(action) for key, action in actions.items()}
        self._before: dict[str, Any] = {}
        self._layers: dict[Any, Any] = {}
        self._on_layers = lambda _event: self._bind_layers()
        for key, action in self._actions.items():
            self._before[key] = viewer.bind_key(key, action, overwrite=True)
        viewer.layers.events.inserted.connect(self._on_layers)
        self._bind_layers()

    def stop(self) -> None:
        """Give the keys back."""
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        for key, before in self._before.items():
            self._viewer.bind_key(key, None)
            if before is not None:
                self._viewer.bind_key(key, before)
        for layer in self._layers.values():
            for key in self._actions:
                layer.bind_key(key, None)
        self._layers = {}

    def _bind_layers(self) -> None:
        there = {layer.unique_id: layer for layer in self._viewer.layers if not is_drawn_on(layer)}
        for name, layer in there.items():
            if name not in self._layers:
                for key, action in self._actions.items():
                    layer.bind_key(key, action, overwrite=True)
        self._layers = there


def is_drawn_on(layer: Any) -> bool:  # noqa: ANN401
    """Return whether a person draws on a layer: a mask to be painted, or one that is not ours."""
    kind = layer.metadata.get("kind")
    return type(model_of(layer)).__name__ in DRAWN_ON and kind in (None, "mask", "annotations")


def _called(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return an action as napari calls it, with the viewer or the layer."""

    def call(_owner: Any) -> None:  # noqa: ANN401
        action()

    return call
