"""Draws layers on one side of a vertical line only: a few words in the shader of what napari draws for them.

napari's clipping planes work in three dimensions only and lie in the data, so they would move with the slide. A filter
of vispy runs for every pixel of the screen instead, whatever the layer is (multiscale, colours, labels, shapes), and
costs no reading: moving the line draws the canvas again and nothing else. Nothing of it is part of a layer.
"""

from collections.abc import Iterator
from typing import Any

from napari_gigaclf.viewer.controllers.curtain import Curtain, Side

SHADER = """
    void gigaclf_half() {
        if ($direction * (gl_FragCoord.x - $edge) < 0.0) {
            discard;
        }
    }
"""
DIRECTION = {Side.LEFT: -1.0, Side.RIGHT: 1.0}


class HalfClips:
    """The filters of a curtain over one canvas.

    Parameters
    ----------
    canvas
        What napari draws on, a ``VispyCanvas``.
    curtain
        Where the line is and which layers are cut.

    Notes
    -----
    napari makes new drawings for a layer when its data or the dimensions change, so the filters are looked after
    whenever the canvas is about to be drawn, while the curtain is on.
    """

    def __init__(self, canvas: Any, curtain: Curtain) -> None:  # noqa: ANN401 - napari has no stubs
        self._canvas = canvas
        self._curtain = curtain
        self._filters: dict[Any, tuple[Side, Any]] = {}
        self._started = False

    def start(self) -> None:
        """Clip from now on."""
        if not self._started:
            self._started = True
            self._canvas.events.draw.connect(self._before_drawing, position="first")
        self.draw()

    def stop(self) -> None:
        """Take every filter away; layers are drawn as if there had never been a curtain."""
        if self._started:
            self._started = False
            self._canvas.events.draw.disconnect(self._before_drawing)
        for drawing in list(self._filters):
            self._let_go(drawing)
        self.draw()

    def draw(self) -> None:
        """Draw the canvas again soon."""
        self._canvas.native.update()

    def _before_drawing(self, _event: Any = None) -> None:  # noqa: ANN401 - vispy's event
        wanted: dict[Any, Side] = {}
        for layer, visual in self._canvas.layer_to_visual.items():
            side = self._curtain.side(layer)
            if side is not Side.BOTH:
                wanted.update(dict.fromkeys(_drawings(visual.node), side))
        for drawing, (side, _) in list(self._filters.items()):
            if wanted.get(drawing) is not side:
                self._let_go(drawing)
        for drawing, side in wanted.items():
            if drawing not in self._filters:
                self._filters[drawing] = (side, _attached(drawing, side))
        edge = float(self.edge())
        for _, clip in self._filters.values():
            clip.fshader["edge"] = edge

    def edge(self) -> int:
        """Return the first column right of the line, in pixels of the screen (dense screens have more)."""
        return round(self._curtain.at * int(self._canvas.native.width() * self._canvas.native.devicePixelRatioF()))

    def _let_go(self, drawing: Any) -> None:  # noqa: ANN401 - a visual of vispy
        _, clip = self._filters.pop(drawing)
        drawing.detach(clip)


def _attached(drawing: Any, side: Side) -> Any:  # noqa: ANN401 - a visual and a filter of vispy
    from vispy.visuals.filters.base_filter import Filter

    clip = Filter(fcode=SHADER, fhook="pre", fpos=1)
    clip.fshader["direction"] = DIRECTION[side]
    clip.fshader["edge"] = 0.0
    drawing.attach(clip)
    return clip


def _drawings(node: Any) -> Iterator[Any]:  # noqa: ANN401 - a node of vispy
    """Yield what a layer's node is drawn by: itself, or its parts (shapes, points, images of several textures)."""
    parts = getattr(node, "_subvisuals", None)
    if parts is None:
        yield node
        return
    for part in parts:
        yield from _drawings(part)
