"""Examples and suggestions over the slides, and the painted map: what the Teach widget puts on the canvas.

Points keep a size that can be seen on the whole slide. An example has the colour of its class; one that the others
speak against is a cross. Layers that are there are given other points instead of being taken out, which costs more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.geometry import corner_to_napari_data
from napari_gigaclf.viewer.canvas import BLINDFOLDED, SlideCanvas
from napari_gigaclf.viewer.colour_bars import colour_bars_of
from napari_gigaclf.viewer.controllers.teach_view import Shown
from napari_gigaclf.viewer.layers import Frame, LayerData, probability_layer
from napari_gigaclf.viewer.returning.laying_over import cover

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.mapping import LiveMap

MAP, EXAMPLES, SUGGESTIONS = "taught", "examples", "suggestions"
"""Kinds of layers."""
SIDES_PX = {EXAMPLES: 14.0, SUGGESTIONS: 18.0}
"""Points are so large on the screen. (napari's own limit of a point's size would make its line half as thick.)"""
LINE = 0.12
"""Width of a point's line against its size."""
SIZE_STEP = 1.25
"""Sizes follow the zoom in steps, so that not every turn of the wheel changes the layers."""
AGREED, CONTESTED = "disc", "x"
SEEN_PX = 160.0
"""Going to a place zooms in until so many pixels of the screen show ``SEEN_CELLS`` cells' worth of it."""
SEEN_SIDE_PX = 400.0
"""Side of what must then be seen, level-0 pixels."""


class TeachMarks:
    """Puts map, examples and suggestions on a canvas; all methods belong to the GUI thread."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas

    # --- the map ----------------------------------------------------------------------------------------------------

    def show_map(self, slide: "Slide", live: "LiveMap") -> None:
        """Show a painted map; the first one hides the map of the model that was taught on, which it would cover."""
        data, kwargs, kind = probability_layer(
            live.shown, live.grid, Frame.of_slide(slide), class_name=live.class_name, partial=False
        )
        kwargs["name"] = f"taught: probability of {live.class_name}"
        kwargs["metadata"] |= {"kind": MAP, "live": live}
        if self._canvas.overlay(slide.id, MAP) is None:
            for covered in ("probability", "saliency"):
                for layer in self._canvas.overlays(slide.id, covered):
                    cover(layer)
        colour_bars_of(self._canvas.viewer).show(self._canvas.put(slide.id, (data, kwargs, kind)))

    def refresh_map(self, slide: "Slide") -> bool:
        """Redraw a map, whose array has changed; False if it is not there."""
        layer = self._canvas.overlay(slide.id, MAP)
        if layer is not None:
            layer.refresh(extent=False, thumbnail=False)
        return layer is not None

    def map_waits_for_call(self, slide_id: str) -> bool:
        """Return whether a map is there but hidden until the slide's reader has made a call."""
        layer = self._canvas.overlay(slide_id, MAP)
        return layer is not None and not layer.visible and bool(layer.metadata.get(BLINDFOLDED))

    def hide_map(self, slide_id: str) -> None:
        """Take a map away."""
        self._canvas.remove(slide_id, MAP)

    # --- points -----------------------------------------------------------------------------------------------------

    def show_examples(self, slides: "Sequence[Slide]", shown: Shown | None) -> None:
        """Show the examples on the slides that are open."""
        for slide in slides:
            examples = [] if shown is None else [e for e in shown.lesson.examples if e.slide_id == slide.id]
            if shown is None or not examples:
                self._clear(slide.id, EXAMPLES)
                continue
            colours = {each.number: each.colour for each in shown.lesson.classes}
            self._points(
                slide,
                EXAMPLES,
                [example.place for example in examples],
                symbol=[CONTESTED if each.key in shown.contested else AGREED for each in examples],
                colour=np.array([(*(v / 255 for v in colours[each.class_number]), 1.0) for each in examples]),
            )

    def show_suggestions(
        self, slide: "Slide", places: Sequence[tuple[float, float]], current: tuple[float, float] | None
    ) -> None:
        """Show where to click next; the place that a person has gone to is a star."""
        every = [*places, *([] if current is None else [current])]
        if not every:
            self._clear(slide.id, SUGGESTIONS)
            return
        symbols = ["diamond"] * len(places) + ["star"] * (len(every) - len(places))
        white = np.tile(np.ones(4), (len(every), 1))
        self._points(slide, SUGGESTIONS, every, symbol=symbols, colour=white)

    def follow_zoom(self) -> None:
        """Keep the points as large as they were on the screen."""
        zoom = float(self._canvas.viewer.scene.camera.zoom)
        for layer in self._canvas.viewer.layers:
            px = SIDES_PX.get(str(layer.metadata.get("kind")))
            if px is not None and len(layer.data):
                side = SIZE_STEP ** round(np.log(px / (zoom * float(layer.scale[-2]))) / np.log(SIZE_STEP))
                if not np.allclose(layer.size, side):
                    layer.size = side

    def go_to(self, slide: "Slide", place: tuple[float, float]) -> None:
        """Look at a place, near enough to see it."""
        camera = self._canvas.viewer.scene.camera
        side = SEEN_SIDE_PX * (slide.um_per_px or (1.0, 1.0))[0]
        camera.zoom = max(float(camera.zoom), SEEN_PX / side)
        self._canvas.look_at(slide, place)

    def remove_from(self, slide_id: str) -> None:
        """Take all that lies over a slide away: it was closed."""
        for kind in (MAP, EXAMPLES, SUGGESTIONS):
            self._canvas.remove(slide_id, kind)

    def remove(self) -> None:
        """Take points away; painted maps stay, they are results."""
        for layer in list(self._canvas.viewer.layers):
            if layer.metadata.get("kind") in (EXAMPLES, SUGGESTIONS):
                self._canvas.viewer.layers.remove(layer)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _points(
        self,
        slide: "Slide",
        kind: str,
        places: Sequence[tuple[float, float]],
        *,
        symbol: list[str],
        colour: Any,  # noqa: ANN401 - an array
    ) -> None:
        data = corner_to_napari_data(np.array(places))
        layer = self._canvas.overlay(slide.id, kind)
        if layer is not None:
            layer.data = data
            layer.symbol, layer.face_color = symbol, colour
            self.follow_zoom()
            return
        kwargs: dict[str, Any] = {
            **Frame.of_slide(slide).place(),
            "name": kind,
            "symbol": symbol,
            "face_color": colour,
            "border_color": "black",
            "border_width": LINE,
            "opacity": 1.0,
            "blending": "translucent_no_depth",
            "metadata": {"kind": kind},
        }
        found: LayerData = (data, kwargs, "points")
        self._canvas.put(slide.id, found)
        self.follow_zoom()

    def _clear(self, slide_id: str, kind: str) -> None:
        layer = self._canvas.overlay(slide_id, kind)
        if layer is not None and len(layer.data):
            layer.data = np.empty((0, 2))
