"""The tool that asks: a click asks about the field around it, Shift and a drag about a box; a plain drag still pans."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_gigaclf.viewer.controllers.gesture import ClickGesture
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.mouse_tool import MouseTool, world_position
from napari_gigaclf.viewer.viewpoint import Viewpoint

PAN_ZOOM = "pan_zoom"
KIND = "box being drawn"
COLOUR = (1.0, 0.85, 0.0, 1.0)
SCREEN_WIDTH = 2.0
"""Width of the box's outline in pixels of the screen."""


class ClickTool(MouseTool):
    """Reports clicks and boxes on the canvas while it is on.

    Parameters
    ----------
    viewer
        A napari viewer.
    clicked
        Called with the world position (y, x) of each click.
    boxed
        Called with two opposite corners of each box, world positions (y, x); None: Shift and a drag pan, too.
    acts
        Asked at each press; the mouse is napari's own where it is not so, such as while the tool is out of sight.
    idle
        Called after a click while it does not act, to say so, unless another tool took the click; None says nothing.

    Notes
    -----
    Without Shift it suppresses nothing, so dragging pans as always. While a person draws (the selected layer is in a
    drawing mode) the mouse belongs to the drawing.
    """

    def __init__(
        self,
        viewer: Any,  # noqa: ANN401 - napari has no stubs
        clicked: Callable[[tuple[float, float]], None],
        boxed: Callable[[tuple[float, float], tuple[float, float]], None] | None = None,
        *,
        acts: Callable[[], bool],
        idle: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(viewer)
        self._clicked = clicked
        self._boxed = boxed
        self._acts = acts
        self._idle = idle

    @property
    def takes_clicks(self) -> bool:
        """Whether a click over the canvas is this tool's now: it is on, acts, and nobody draws."""
        return self.on and self._acts() and not self._drawing

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        acts = self.takes_clicks
        if not acts and (self._idle is None or self._drawing or self._left_to_others):
            return
        if acts and self._boxed is not None and "Shift" in event.modifiers:
            yield from self._drag_box(viewer, event, self._boxed)
            return
        gesture = ClickGesture()
        gesture.press(_screen(event), getattr(event, "button", None))
        position = world_position(event)
        yield
        while event.type == "mouse_move":
            gesture.move(_screen(event))
            yield
        if not gesture.release():
            return
        if acts:
            self._clicked(position)
        elif self._idle is not None:
            self._idle()

    @property
    def _drawing(self) -> bool:
        active = self._viewer.layers.selection.active
        return active is not None and str(getattr(active, "mode", PAN_ZOOM)) != PAN_ZOOM

    def _drag_box(
        self,
        viewer: Any,  # noqa: ANN401
        event: Any,  # noqa: ANN401
        boxed: Callable[[tuple[float, float], tuple[float, float]], None],
    ) -> Iterator[None]:
        """Draw a box while the mouse moves; the view stands still meanwhile."""
        camera = viewer.scene.camera
        panned = camera.mouse_pan
        camera.mouse_pan = False
        begin = world_position(event)
        try:
            yield
            while event.type == "mouse_move":
                self._show(begin, world_position(event))
                camera.mouse_pan = False  # the layer that was just added has switched it on again
                yield
            end = world_position(event)
        finally:
            camera.mouse_pan = panned
            self._hide()
        if begin[0] != end[0] and begin[1] != end[1]:
            boxed(begin, end)

    def _show(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        slide = Viewpoint(self._viewer).slide()
        if slide is None:
            return
        frame = Frame.of_slide(slide)
        unit = np.asarray(frame.place()["scale"])
        box = np.array([begin, (begin[0], end[1]), end, (end[0], begin[1])]) / unit
        layer = self._layer()
        if layer is not None:
            layer.data = [box]
            return
        active = self._viewer.layers.selection.active
        self._viewer.add_shapes(
            [box],
            shape_type="rectangle",
            edge_color=np.array([COLOUR]),
            face_color="transparent",
            edge_width=SCREEN_WIDTH / self._viewer.scene.camera.zoom / float(unit.mean()),
            name="box",
            metadata={"kind": KIND},
            **frame.place(),
        )
        self._viewer.layers.selection.active = active

    def _hide(self) -> None:
        layer = self._layer()
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _layer(self) -> Any | None:  # noqa: ANN401 - a napari layer
        return next((each for each in self._viewer.layers if each.metadata.get("kind") == KIND), None)


def _screen(event: Any) -> tuple[float, float]:  # noqa: ANN401
    return float(event.pos[0]), float(event.pos[1])
