"""Follows the mouse over one canvas while no button is pressed."""

from collections.abc import Callable
from typing import Any

from napari_gigaclf.viewer.mouse_tool import world_position


class Hover:
    """Says where the mouse is.

    Parameters
    ----------
    viewer
        A napari viewer, or what stands beside one.
    moved
        Called with the viewer and the world position (y, x) after each movement.
    """

    def __init__(self, viewer: Any, moved: Callable[[Any, tuple[float, float]], None]) -> None:  # noqa: ANN401
        self._viewer = viewer
        self._moved = moved
        viewer.mouse_move_callbacks.append(self._follow)

    def stop(self) -> None:
        """Let go of the viewer."""
        if self._follow in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._follow)

    def _follow(self, _viewer: Any, event: Any) -> None:  # noqa: ANN401 - napari's mouse event
        self._moved(self._viewer, world_position(event))
