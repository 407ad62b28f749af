"""Binds keys to actions while the canvas has the focus, and gives them back.

napari asks the selected layer first and the viewer after it, and its image layers know letters of their own (X). So the
keys are bound to the viewer, to image layers and to overlays of ours; shapes, points and labels of a person keep
their keys, since there they choose what is drawn. A tool whose clicks go before drawing may have its keys do so, too.
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
    before_tools
        Asked at each press whether the keys go before those of shapes, points and labels of a person; None: never.
    """

    def __init__(
        self,
        viewer: Any,  # noqa: ANN401 - no stubs
        actions: Mapping[str, Callable[[], None]],
        *,
        before_tools: Callable[[], bool] | None = None,
    ) -> None:
        self._viewer = viewer
        self._before_tools = before_tools
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
        drawn_on_too = self._before_tools is not None
        there = {layer.unique_id: layer for layer in self._viewer.layers if drawn_on_too or not is_drawn_on(layer)}
        for name, layer in there.items():
            if name not in self._layers:
                for key, action in self._actions.items():
                    layer.bind_key(key, self._on(layer, key, action), overwrite=True)
        self._layers = there

    def _on(self, layer: Any, key: str, action: Callable[[Any], object]) -> Callable[[Any], object]:  # noqa: ANN401
        """Return what a key does on a layer: on one that is drawn on its tool, unless ours goes before it."""
        ours = self._before_tools
        if ours is None or not is_drawn_on(layer):
            return action

        def call(owner: Any) -> object:  # noqa: ANN401
            tool = None if ours() else _tool_of(owner, key)
            return (tool or action)(owner)  # what a tool returns is called by napari once the key is let go

        return call


def is_drawn_on(layer: Any) -> bool:  # noqa: ANN401
    """Return whether a person draws on a layer: a mask to be painted, or one that is not ours."""
    kind = layer.metadata.get("kind")
    return type(model_of(layer)).__name__ in DRAWN_ON and kind in (None, "mask", "annotations")


def _tool_of(layer: Any, key: str) -> Callable[[Any], object] | None:  # noqa: ANN401
    """Return what a key does on all layers of this type, as napari or a person's preferences have it."""
    from napari.utils.key_bindings import coerce_keybinding

    wanted = coerce_keybinding(key)
    keymaps = (getattr(kind, "class_keymap", {}) for kind in type(layer).__mro__)
    return next((keymap[wanted] for keymap in keymaps if wanted in keymap), None)


def _called(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return an action as napari calls it, with the viewer or the layer."""

    def call(_owner: Any) -> None:  # noqa: ANN401
        action()

    return call
