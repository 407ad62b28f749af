"""What tools that use the mouse over the canvas have in common: they can be switched on and off.

The callback belongs to the viewer and not to a layer, so a tool works whichever layer is selected.
"""

from collections.abc import Iterator
from typing import Any


class MouseTool:
    """Follows presses of the mouse over the canvas while it is on.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self._viewer = viewer
        self._on = False

    @property
    def on(self) -> bool:
        """True while the mouse is followed."""
        return self._on

    @property
    def takes_clicks(self) -> bool:
        """Whether a click over the canvas is this tool's now."""
        return self._on

    def switch(self, on: bool) -> None:
        """Switch the tool on or off."""
        if on == self._on:
            return
        self._on = on
        callbacks = self._viewer.mouse_drag_callbacks
        (callbacks.append if on else callbacks.remove)(self._pressed)

    def stop(self) -> None:
        """Switch the tool off and let go of the viewer."""
        self.switch(False)

    @property
    def _left_to_others(self) -> bool:
        """Whether a click over the canvas is another tool's now."""
        tools = (getattr(each, "__self__", None) for each in self._viewer.mouse_drag_callbacks)
        return any(isinstance(each, MouseTool) and each is not self and each.takes_clicks for each in tools)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        """Follow one press until the button is released, in napari's way: yield after each event."""
        raise NotImplementedError


def world_position(event: Any) -> tuple[float, float]:  # noqa: ANN401 - napari's mouse event
    """Return where in the world the mouse is, (y, x)."""
    return float(event.position[-2]), float(event.position[-1])
