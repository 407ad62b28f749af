"""The click-to-classify tool: watches the mouse over the canvas and reports clicks, never drags."""

from collections.abc import Callable, Iterator
from typing import Any

from napari_gigaclf.viewer.controllers.probe import ClickGesture

PAN_ZOOM = "pan_zoom"


class ClickTool:
    """Reports clicks on the canvas while it is on.

    Parameters
    ----------
    viewer
        A napari viewer.
    clicked
        Called with the world position (y, x) of each click.

    Notes
    -----
    The callback belongs to the viewer and not to a layer: it works whichever layer is selected. It suppresses nothing,
    so dragging pans as always. While a person draws (the selected layer is in a drawing mode) clicks belong to the
    drawing.
    """

    def __init__(self, viewer: Any, clicked: Callable[[tuple[float, float]], None]) -> None:  # noqa: ANN401
        self._viewer = viewer
        self._clicked = clicked
        self._on = False

    @property
    def on(self) -> bool:
        """True while clicks are reported."""
        return self._on

    def switch(self, on: bool) -> None:
        """Switch the tool on or off."""
        if on == self._on:
            return
        self._on = on
        if on:
            self._viewer.mouse_drag_callbacks.append(self._on_press)
        else:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        active = viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", PAN_ZOOM)) != PAN_ZOOM:
            return
        gesture = ClickGesture()
        gesture.press(_screen(event), getattr(event, "button", None))
        position = (float(event.position[-2]), float(event.position[-1]))
        yield
        while event.type == "mouse_move":
            gesture.move(_screen(event))
            yield
        if gesture.release():
            self._clicked(position)


def _screen(event: Any) -> tuple[float, float]:  # noqa: ANN401
    return float(event.pos[0]), float(event.pos[1])
