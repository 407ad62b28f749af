"""One colour bar for each colour map in sight: of layers that are drawn in the same colours, one has the bar.

A person may switch a bar on or off by hand, in napari's layer controls; it is left alone from then on.
"""

import weakref
from typing import Any

from napari_gigaclf.viewer.proxied import key_of, model_of

COLOUR_BAR = "colour_bar"
"""In the metadata of a layer whose colours are to be explained while one sees it."""
CHANGES = ("inserted", "removed", "reordered", "visible", "colormap", "contrast_limits", "gamma")
"""Events of layers after which bars may have to come or go."""


class ColourBars:
    """The colour bars of a viewer; all methods belong to the GUI thread.

    Parameters
    ----------
    viewer
        A napari viewer, which this does not keep alive.
    """

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self._viewer = weakref.ref(model_of(viewer))
        self._left: dict[Any, bool] = {}
        """Whether the bar of a layer was left visible, by the layer's unique id."""
        model_of(viewer).layers.events.connect(self._changed)

    def show(self, layer: Any) -> None:  # noqa: ANN401 - a napari layer
        """Have a layer's colours explained while one sees it, by its bar or by that of one with the same colours."""
        layer.metadata[COLOUR_BAR] = True
        self.update()

    def update(self) -> None:
        """Switch bars on and off as the layers are now."""
        viewer = self._viewer()
        layers = [] if viewer is None else [each for each in viewer.layers if each.metadata.get(COLOUR_BAR)]
        for layer in layers:
            self._leave_alone_if_switched(layer, layers)
        explained = set()
        for layer in reversed([each for each in layers if each.metadata.get(COLOUR_BAR)]):
            visible = not layer.visible or _colours(layer) not in explained
            if layer.visible:
                explained.add(_colours(layer))
            layer.colorbar.visible = self._left[layer.unique_id] = visible

    def _leave_alone_if_switched(self, layer: Any, layers: list[Any]) -> None:  # noqa: ANN401 - a napari layer
        """Notice that a person has switched a bar; one that they do not want is not to come back with another layer."""
        before = self._left.get(layer.unique_id, layer.colorbar.visible)
        if before == layer.colorbar.visible:
            return
        alike = [each for each in layers if before and _colours(each) == _colours(layer)]
        for each in [layer, *alike]:
            each.metadata.pop(COLOUR_BAR, None)
            self._left.pop(each.unique_id, None)

    def _changed(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        if event.type == "removed":
            self._left.pop(event.value.unique_id, None)
        if event.type in CHANGES:
            self.update()


def _colours(layer: Any) -> tuple[object, ...]:  # noqa: ANN401 - a napari layer
    """Return what a bar says: colours, and the numbers that they stand for."""
    colormap = layer.colormap
    return colormap.name, colormap.colors.tobytes(), tuple(layer.contrast_limits), layer.gamma


_BARS: dict[int, ColourBars] = {}


def colour_bars_of(viewer: Any) -> ColourBars:  # noqa: ANN401 - a napari viewer, or the proxy that plugins get
    """Return the colour bars of a viewer, which go with it."""
    key = key_of(viewer)
    if key not in _BARS:
        _BARS[key] = ColourBars(viewer)
        weakref.finalize(model_of(viewer), _BARS.pop, key, None)
    return _BARS[key]
