"""Hotspots over the slide: one ring per place, with its rank; symbol and colour both tell the verdict.

Points and not shapes: they keep a size that can be seen on the whole slide, and a verdict changes one value instead of
building the layer anew. Colours are those of Okabe and Ito (2008), which remain apart for people who do not see red or
green; the symbols differ as well. Places that are not shown are drawn transparent and without a number: napari 0.9
draws all points of a flat layer, whatever its ``shown`` says.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_gigaclf.geometry import corner_to_napari_data
from napari_gigaclf.inference.findings.exports import COLOURS
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame, LayerData

if TYPE_CHECKING:
    from napari_gigaclf.inference.findings.ranking import Entry

KIND = "hotspots"
NAME = "hotspots"
SYMBOLS = {"open": "disc", "accepted": "square", "rejected": "x", "relabelled": "diamond"}
LINE_PX, CURRENT_LINE_PX = 1.5, 3.0
"""Width of a ring in pixels of the screen, at every zoom: it must not hide what it surrounds."""
LEAST_PX = 20.0
"""A ring is about this large on the screen where it would be smaller. (napari's own limit of a point's size makes the
line half as thick as the point, and covers what is in it.)"""
TAKEN_OVER = ("size", "symbol", "border_color", "border_width", "features", "scale", "translate")
"""What a layer that is there is given for another list."""
SIZE_STEP = 1.25
"""Sizes follow the zoom in steps, so that not every turn of the wheel changes the layer."""
SEEN_PX = 96.0
"""Where a place is smaller than this on the screen, going there zooms in until it is so large."""


def marks_layer(entries: "Sequence[Entry]", shown: Sequence[int], frame: Frame) -> LayerData:
    """Return the rings of a list of places; how wide their lines are follows the zoom (``HotspotMarks``)."""
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": NAME,
        "opacity": 1.0,
        "blending": "translucent_no_depth",
        "border_width_is_relative": True,
        "metadata": {"kind": KIND},
    }
    if not entries:
        return None, {**kwargs, "ndim": 2}, "points"
    kwargs |= {
        "size": np.array([_side(entry) for entry in entries]),
        "symbol": symbols(entries),
        "face_color": "transparent",
        "border_color": colours(entries, shown),
        "border_width": np.full(len(entries), LINE_PX / LEAST_PX),
        "features": {"rank": ranks(entries, shown)},
        "text": {"string": "{rank}", "anchor": "upper_right", "size": 11, "color": "black"},
    }
    return corner_to_napari_data(np.array([entry.place for entry in entries])), kwargs, "points"


def symbols(entries: "Sequence[Entry]") -> list[str]:
    """Return the symbol of each verdict."""
    return [SYMBOLS[entry.verdict] for entry in entries]


def colours(entries: "Sequence[Entry]", shown: Sequence[int]) -> NDArray[np.float64]:
    """Return the colour of each verdict, (N, 4), 0 to 1; that of a place which is not shown is transparent."""
    found = np.array([(*(value / 255 for value in COLOURS[entry.verdict]), 0.0) for entry in entries])
    found[list(shown), 3] = 1.0
    return found


def ranks(entries: "Sequence[Entry]", shown: Sequence[int]) -> list[str]:
    """Return the numbers that are written beside the rings; none beside a place which is not shown."""
    there = set(shown)
    return [str(entry.rank) if index in there else "" for index, entry in enumerate(entries)]


def widths(on_screen: NDArray[np.float64], current: int | None) -> NDArray[np.float64]:
    """Return the width of each ring against its size, in pixels of the screen; the current one is bold."""
    lines = np.full(len(on_screen), LINE_PX)
    if current is not None:
        lines[current] = CURRENT_LINE_PX
    return np.minimum(lines / on_screen, 1.0)


class HotspotMarks:
    """Puts the rings on a canvas and changes them; all methods belong to the GUI thread."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas
        self._sides: NDArray[np.float64] | None = None
        self._pixel = 1.0
        """Pixels of the screen per level-0 pixel, in steps."""
        self._current: int | None = None

    def put(self, slide_id: str, frame: Frame, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Show the rings of a list in place of those that were there."""
        layer = self._canvas.overlay(slide_id, KIND)
        if not entries:
            if layer is not None:
                layer.data = np.empty((0, 2))
            return
        data, kwargs, kind = marks_layer(entries, shown, frame)
        if layer is None:
            self._canvas.put(slide_id, (data, kwargs, kind))
        else:  # to take a layer out of napari costs a second where much is in memory
            layer.data = data
            for name in TAKEN_OVER:
                setattr(layer, name, kwargs[name])
        self._sides, self._current = None, None
        self.follow_zoom(slide_id, frame, entries)

    def remove(self, slide_id: str) -> None:
        """Take the rings away."""
        self._canvas.remove(slide_id, KIND)

    def show(self, slide_id: str, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Draw other rings of the same list; the numbers beside them stay until ``number`` is called."""
        layer = self._layer(slide_id, entries)
        if layer is not None:
            layer.border_color = colours(entries, shown)

    def number(self, slide_id: str, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Write numbers beside the rings that are shown: 500 of them take the window as long as three redraws."""
        layer = self._layer(slide_id, entries)
        if layer is not None:
            layer.features = {"rank": ranks(entries, shown)}

    def judge(self, slide_id: str, entries: "Sequence[Entry]", shown: Sequence[int]) -> None:
        """Draw what was said."""
        layer = self._layer(slide_id, entries)
        if layer is not None:
            layer.symbol = symbols(entries)
            layer.border_color = colours(entries, shown)

    def point_out(self, slide_id: str, entries: "Sequence[Entry]", current: int) -> None:
        """Draw the current place bold."""
        layer = self._layer(slide_id, entries)
        self._current = current
        if layer is not None and self._sides is not None:
            layer.border_width = widths(self._sides * self._pixel, current)

    def follow_zoom(self, slide_id: str, frame: Frame, entries: "Sequence[Entry]") -> None:
        """Keep the rings large enough to be seen, and their lines as thin as they are."""
        layer = self._layer(slide_id, entries)
        if layer is None or not entries:
            return
        um = (frame.um_per_px or (1.0, 1.0))[0]
        pixel = float(self._canvas.viewer.scene.camera.zoom) * um
        pixel = SIZE_STEP ** round(np.log(pixel) / np.log(SIZE_STEP))
        if self._sides is not None and pixel == self._pixel:
            return
        self._pixel = pixel
        sides = np.maximum([_side(entry) for entry in entries], LEAST_PX / pixel)
        if self._sides is None or not np.array_equal(sides, self._sides):
            layer.size = sides
        self._sides = sides
        layer.border_width = widths(sides * pixel, self._current)

    def go_to(self, frame: Frame, entry: "Entry") -> None:
        """Look at a place, near enough to see it."""
        camera = self._canvas.viewer.scene.camera
        side = _side(entry) * (frame.um_per_px or (1.0, 1.0))[0]
        camera.zoom = max(float(camera.zoom), SEEN_PX / side)
        self._canvas.look_at(frame, entry.place)

    def _layer(self, slide_id: str, entries: "Sequence[Entry]") -> Any | None:  # noqa: ANN401 - a napari layer
        layer = self._canvas.overlay(slide_id, KIND)
        return layer if layer is not None and len(layer.data) == len(entries) else None


def _side(entry: "Entry") -> float:
    """Return the longer side of a place, level-0 pixels."""
    x0, y0, x1, y1 = shapely.bounds(entry.outline)
    return float(max(x1 - x0, y1 - y0))
