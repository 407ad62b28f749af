"""The click-to-classify tool: watches the mouse over the canvas and reports clicks, never drags."""

from collections.abc import Callable, Iterator
from typing import Any

from napari_gigaclf.viewer.controllers.probe import ClickGesture
from napari_gigaclf.viewer.mouse_tool import MouseTool, world_position

PAN_ZOOM = "pan_zoom"


class ClickTool(MouseTool):
    """Reports clicks on the canvas while it is on.

    Parameters
    ----------
    viewer
        A napari viewer.
    clicked
        Called with the world position (y, x) of each click.

    Notes
    -----
    It suppresses nothing, so dragging pans as always. While a person draws (the selected layer is in a drawing mode)
    clicks belong to the drawing.
    """

    def __init__(self, viewer: Any, clicked: Callable[[tuple[float, float]], None]) -> None:  # noqa: ANN401
        super().__init__(viewer)
        self._clicked = clicked

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        active = viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", PAN_ZOOM)) != PAN_ZOOM:
            return
        gesture = ClickGesture()
        gesture.press(_screen(event), getattr(event, "button", None))
        position = world_position(event)
        yield
        while event.type == "mouse_move":
            gesture.move(_screen(event))
            yield
        if gesture.release():
            self._clicked(position)


def _screen(event: Any) -> tuple[float, float]:  # noqa: ANN401
    return float(event.pos[0]), float(event.pos[1])
