"""The places that a reader marks before seeing what the model found: a layer of points that is clicked on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_gigaclf.geometry import corner_to_napari_data, napari_data_to_corner
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame

KIND = "own call"
NAME = "my own call"
COLOUR = (0.0, 0.0, 0.0, 1.0)
"""One colour: napari 0.9.2 draws the border of points whose size on the screen is fixed over all of them."""
SIZE_PX = 10
"""Stars are drawn two and a half times as wide."""


class OwnMarks:
    """A reader's marks on a canvas; all methods belong to the GUI thread."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas

    def begin(self, slide_id: str, frame: Frame) -> None:
        """Let places be clicked on the slide."""
        self._begun(slide_id, frame)

    def add(self, slide_id: str, frame: Frame, place: tuple[float, float]) -> None:
        """Mark a place, (y, x), level-0 pixels, corner convention, without a click."""
        self._begun(slide_id, frame).add(corner_to_napari_data(np.array([place], dtype=np.float64)))

    def places(self, slide_id: str) -> list[tuple[float, float]]:
        """Return the marks, (y, x), level-0 pixels, corner convention."""
        layer = self._layer(slide_id)
        points = [] if layer is None else napari_data_to_corner(np.asarray(layer.data).reshape(-1, 2)).tolist()
        return [(float(y), float(x)) for y, x in points]

    def end(self, slide_id: str, frame: Frame, places: Sequence[tuple[float, float]]) -> None:
        """Show the marks that were recorded, which cannot be moved any more."""
        layer = self._layer(slide_id)
        if layer is None and places:
            layer = self._add(slide_id, frame, places)
        if layer is not None:
            layer.mode = "pan_zoom"
            layer.selected_data = set()
            layer.editable = False

    def remove(self, slide_id: str) -> None:
        """Take the marks away."""
        self._canvas.remove(slide_id, KIND)

    def _begun(self, slide_id: str, frame: Frame) -> Any:  # noqa: ANN401 - a napari layer
        layer = self._layer(slide_id) or self._add(slide_id, frame, ())
        layer.mode = "add"
        self._canvas.viewer.layers.selection.active = layer
        return layer

    def _layer(self, slide_id: str) -> Any | None:  # noqa: ANN401 - a napari layer
        return self._canvas.overlay(slide_id, KIND)

    def _add(self, slide_id: str, frame: Frame, places: Sequence[tuple[float, float]]) -> Any:  # noqa: ANN401
        data = corner_to_napari_data(np.array(places, dtype=np.float64)) if places else None
        return self._canvas.viewer.add_points(
            data,
            ndim=2,
            name=NAME,
            symbol="star",
            size=SIZE_PX,
            face_color=np.array(COLOUR),
            border_color=np.array(COLOUR),
            canvas_size_limits=(SIZE_PX, SIZE_PX),
            metadata={"kind": KIND, "slide_id": slide_id},
            **frame.place(),
        )
