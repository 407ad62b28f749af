"""A layer shown once more on another canvas: the same array and the same looks, but shown or hidden by itself.

napari's layers belong to one canvas each. The twin follows the original one way; nothing done to the twin comes back.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from napari_gigaclf.viewer.canvas import BLINDFOLDED
from napari_gigaclf.viewer.colour_bars import COLOUR_BAR
from napari_gigaclf.viewer.progressive.shown_level import ShownLevel

LOOKS = ("name", "opacity", "blending", "gamma", "contrast_limits", "colormap", "interpolation2d", "contour")
"""What a twin takes over whenever it changes."""
REMAKING = ("scale", "translate", "units", "affine")
"""Events after which a twin is made anew: several of them come together, when a slide is given another scale."""
PAINTED = ("set_data", "paint", "labels_update")
"""Events after which pixels of the same array may be others."""


class Twin:
    """The twin of one layer.

    Parameters
    ----------
    layer
        The original.
    canvas
        Name of the canvas on which the twin is drawn, for levels that are fetched tile by tile.
    outdated
        Called with the twin when it can follow no further and has to be made anew.
    """

    def __init__(self, layer: Any, canvas: str, outdated: "Callable[[Twin], None]") -> None:  # noqa: ANN401
        self.original = layer
        self._canvas = canvas
        self._outdated = outdated
        self._connections: list[tuple[Any, Callable[[Any], None]]] = []
        self.layer = self._made()
        self._follow()

    def stop(self) -> None:
        """Follow no more, and let the tiles go that are wanted for it alone."""
        for emitter, callback in self._connections:
            emitter.disconnect(callback)
        self._connections = []
        for level in self._levels(self.layer):
            if isinstance(level, ShownLevel):
                level.feed.forget(self._canvas)

    def _made(self) -> Any:  # noqa: ANN401 - a napari layer
        from napari.layers import Layer

        data, state, kind = self.original.as_layer_data_tuple()
        if levels := self._levels(self.original):
            data = [level.beside(self._canvas) if isinstance(level, ShownLevel) else level for level in levels]
        layer = Layer.create(data, {**state, "visible": not self.original.metadata.get(BLINDFOLDED, False)}, kind)
        if hasattr(layer, "contrast_limits_range"):
            layer.contrast_limits_range = self.original.contrast_limits_range
            layer.contrast_limits = self.original.contrast_limits
        if hasattr(layer, "colorbar"):
            layer.colorbar.visible = bool(self.original.metadata.get(COLOUR_BAR, self.original.colorbar.visible))
        return layer

    def _follow(self) -> None:
        for name in LOOKS:
            self._connect(name, partial(self._take_over, name))
        for name in REMAKING:
            self._connect(name, lambda _event: self._outdated(self))
        self._connect("data", self._data_changed)
        self._connect("metadata", lambda _event: self._take_metadata())
        if self._is_image:
            for name in PAINTED:
                self._connect(name, lambda _event: self.layer.refresh(extent=False, thumbnail=False))

    @property
    def _is_image(self) -> bool:
        """Whether the data is one array, which may be written into."""
        return type(self.original).__name__ in ("Image", "Labels") and not self._levels(self.original)

    def _connect(self, name: str, callback: Callable[[Any], None]) -> None:
        emitter = self.original.events.emitters.get(name)
        if emitter is not None:
            emitter.connect(callback)
            self._connections.append((emitter, callback))

    def _take_over(self, name: str, _event: Any) -> None:  # noqa: ANN401 - napari's event
        if name == "contrast_limits":
            self.layer.contrast_limits_range = self.original.contrast_limits_range
        setattr(self.layer, name, getattr(self.original, name))

    def _data_changed(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        if self._is_image:
            self.layer.data = self.original.data
            self._take_metadata()
        elif str(getattr(event, "action", "changed")) not in ("adding", "removing", "changing"):
            self._outdated(self)

    def _take_metadata(self) -> None:
        """Take over what the original is; which of the two was hidden by the blindfold is each one's own."""
        own = {BLINDFOLDED: True} if self.layer.metadata.get(BLINDFOLDED) else {}
        self.layer.metadata = {**{k: v for k, v in self.original.metadata.items() if k != BLINDFOLDED}, **own}

    @staticmethod
    def _levels(layer: Any) -> list[Any]:  # noqa: ANN401 - a napari layer
        return list(layer.data) if getattr(layer, "multiscale", False) else []
