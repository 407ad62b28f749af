"""A ruler: press, drag, read the length. It lies in the world of the slide, so it reads the same at every zoom."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.constant_width import width_at
from napari_gigaclf.viewer.layers import RULER, Frame, ruler_layer
from napari_gigaclf.viewer.mouse_tool import MouseTool, world_position
from napari_gigaclf.viewer.ruler_on_canvas import SCREEN_WIDTH, add_ruler
from napari_gigaclf.viewer.viewpoint import Viewpoint


class Ruler(MouseTool):
    """Measures with the mouse while it is on; dragging then measures instead of moving the view.

    Parameters
    ----------
    viewer
        A napari viewer.
    measured
        Called with the length, for a person, whenever it changes.
    """

    def __init__(self, viewer: Any, measured: Callable[[str], None]) -> None:  # noqa: ANN401 - napari has no stubs
        super().__init__(viewer)
        self._measured = measured

    def switch(self, on: bool) -> None:
        """Switch measuring on or off; the last line of a slide stays until it is removed, or the slide is."""
        if on != self.on:
            self._viewer.scene.camera.mouse_pan = not on
        super().switch(on)

    def show(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Show the line between two world positions, (y, x), on the slide that one sees, in place of its last one."""
        slide = Viewpoint(self._viewer).slide()
        if slide is None:
            return
        unit = np.asarray(Frame.of_slide(slide).place()["scale"])
        width = width_at(self._viewer, float(unit.mean()), SCREEN_WIDTH)
        data, kwargs, _ = ruler_layer(slide, np.array([begin, end]) / unit, width)
        layer = SlideCanvas(self._viewer).overlay(slide.id, RULER)
        if layer is None:
            self._add(data, kwargs)
        else:
            layer.data = data
            layer.edge_width = [width]
            layer.features = kwargs["features"]
        self._measured(kwargs["features"]["length"][0])

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        viewer.scene.camera.mouse_pan = False  # a layer that was selected meanwhile has switched it on again
        begin = world_position(event)
        yield
        while event.type == "mouse_move":
            self.show(begin, world_position(event))
            yield
        end = world_position(event)
        if end != begin:
            self.show(begin, end)

    def _add(self, data: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401 - a list of an array
        active, panned = self._viewer.layers.selection.active, self._viewer.scene.camera.mouse_pan
        add_ruler(self._viewer, data, kwargs)
        self._viewer.layers.selection.active = active
        self._viewer.scene.camera.mouse_pan = panned
