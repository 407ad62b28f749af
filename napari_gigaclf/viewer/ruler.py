"""A ruler: press, drag, read the length. It lies in the world of the slide, so it reads the same at every zoom."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.mouse_tool import MouseTool, world_position
from napari_gigaclf.viewer.viewpoint import Viewpoint

COLOUR = (0.0, 0.75, 0.25, 1.0)
KIND = "ruler"
SCREEN_WIDTH = 3.0
"""Width of the line in pixels of the screen when it is drawn."""
TEXT_SIZE = 14


def length_text(begin: tuple[float, float], end: tuple[float, float], *, in_um: bool) -> str:
    """Return the distance of two world positions, (y, x) in micrometres or else in level-0 pixels, for a person.

    Examples
    --------
    >>> length_text((0.0, 0.0), (600.0, 800.0), in_um=True), length_text((0.0, 0.0), (3.0, 4.0), in_um=False)
    ('1.000 mm', '5.0 px')
    """
    length = math.dist(begin, end)
    if not in_um:
        return f"{length:.1f} px"
    return f"{length / UM_PER_MM:.3f} mm" if length >= UM_PER_MM / 10 else f"{length:.1f} µm"


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
        """Switch measuring on or off; the last line stays until its layer is removed."""
        if on != self.on:
            self._viewer.scene.camera.mouse_pan = not on
        super().switch(on)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:  # noqa: ANN401 - napari's mouse event
        viewer.scene.camera.mouse_pan = False  # a layer that was selected meanwhile has switched it on again
        begin = world_position(event)
        yield
        while event.type == "mouse_move":
            self._show(begin, world_position(event))
            yield
        end = world_position(event)
        if end != begin:
            self._show(begin, end)

    def _show(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        slide = Viewpoint(self._viewer).slide()
        if slide is None:
            return
        text = length_text(begin, end, in_um=slide.um_per_px is not None)
        frame = Frame.of_slide(slide)
        unit = np.asarray(frame.place()["scale"])
        line = np.array([begin, end]) / unit
        width = SCREEN_WIDTH / self._viewer.scene.camera.zoom / float(unit.mean())
        layer = next((each for each in self._viewer.layers if each.metadata.get("kind") == KIND), None)
        if layer is None:
            active = self._viewer.layers.selection.active
            layer = self._add(frame, line, width)
            self._viewer.layers.selection.active = active
            self._viewer.scene.camera.mouse_pan = False
        layer.data = [line]
        layer.edge_width = [width]
        layer.features = {"length": [text]}
        self._measured(text)

    def _add(self, frame: Frame, line: Any, width: float) -> Any:  # noqa: ANN401 - an array; a napari layer
        return self._viewer.add_shapes(
            [line],
            shape_type="line",
            edge_color=np.array([COLOUR]),
            edge_width=width,
            features={"length": [""]},
            text={"string": "{length}", "color": COLOUR, "size": TEXT_SIZE, "anchor": "upper_left"},
            name="ruler",
            metadata={"kind": KIND},
            **frame.place(),
        )
