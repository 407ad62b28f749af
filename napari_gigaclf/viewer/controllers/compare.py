"""Decides what the second canvas shows: which slide, which of its overlays, linked with the first one or not.

No Qt here. All methods belong to the GUI thread. The second canvas shows twins of the first one's layers, which share
their arrays, tiles and threads, so that nothing is read twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from napari_gigaclf.viewer.camera_link import CameraLink
from napari_gigaclf.viewer.canvas import SlideCanvas, layer_key
from napari_gigaclf.viewer.colour_bars import colour_bars_of
from napari_gigaclf.viewer.constant_width import keep_outlines_thin
from napari_gigaclf.viewer.controllers.curtain import TOOL_KINDS, is_slide
from napari_gigaclf.viewer.twin import Twin
from napari_gigaclf.viewer.viewpoint import Viewpoint

NO_SLIDE = "no slide is open: open one, and it is shown here, too"
SCALE_UNKNOWN = (
    "the views cannot be linked: only one of the two slides says how large a pixel is "
    "(give the other's under µm per pixel in Classify slide)"
)
CANVAS = "compare"
"""Name of the second canvas, for tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One overlay that can be laid over the slide."""

    key: str
    name: str
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a person chose, and where the second canvas looked, for a canvas that takes its place."""

    chosen: str | None
    wanted: frozenset[str]
    kinds: frozenset[str]
    pair: tuple[object, object]
    link_wanted: bool
    offset: tuple[float, float]
    centre: tuple[float, float]
    zoom: float


class CompareView(Protocol):
    """What the controller asks of the widget."""

    def show_slides(self, slides: list[tuple[str, str]], chosen: str | None) -> None:
        """List the open slides, (name, key), and which of them is shown."""
        ...

    def show_link(self, *, possible: bool, on: bool, text: str) -> None:
        """Show whether the views are linked, and one line for a person, or ""."""
        ...

    def soon(self, call: Callable[[], None]) -> None:
        """Call back when napari has done what it is at, once for many wishes."""
        ...


class CompareController:
    """The second canvas of a viewer.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    first
        The viewer itself, a ``Viewer`` or ``ViewerModel``, and no proxy of it.
    second
        The ``ViewerModel`` of the second canvas.
    before
        What was shown on the canvas before this one, if there was one.
    """

    def __init__(self, view: CompareView, first: Any, second: Any, before: Kept | None = None) -> None:  # noqa: ANN401
        self._view = view
        self._first, self._second = first, second
        self._twins: dict[str, Twin] = {}
        self._outdated: set[str] = set()
        self._wanted: set[str] = set()
        self._kinds: set[str] = set()
        """Kinds of overlays of which each that comes is shown."""
        self._gone: set[tuple[object, ...]] = set()
        self._chosen: str | None = None
        self._pair: tuple[object, object] = (None, None)
        self._link_wanted = True
        self.link = CameraLink(first, second)
        colour_bars_of(second)  # watches the layers that come
        events = first.layers.events
        events.inserted.connect(self._inserted)
        events.removed.connect(self._removed)
        events.connect(self._changed)  # those of the layers, too
        if before is not None:
            self._chosen, self._wanted, self._kinds = before.chosen, set(before.wanted), set(before.kinds)
            self._pair, self._link_wanted = before.pair, before.link_wanted
            self.link.shift(before.offset)
        self.update()
        keep_outlines_thin(second)
        if before is not None and not self.link.on:
            Viewpoint(second).set_world(before.centre, before.zoom)

    @property
    def kept(self) -> Kept:
        """What a canvas that takes the place of this one needs to know."""
        return Kept(
            chosen=self._chosen,
            wanted=frozenset(self._wanted),
            kinds=frozenset(self._kinds),
            pair=self._pair,
            link_wanted=self._link_wanted,
            offset=self.link.offset,
            centre=Viewpoint(self._second).world_centre,
            zoom=float(self._second.scene.camera.zoom),
        )

    # --- what a person wants ----------------------------------------------------------------------------------------

    def choose_slide(self, key: str) -> None:
        """Show another slide, without overlays at first."""
        if key != self._chosen:
            self._chosen = key
            self._wanted, self._kinds, self._gone = set(), set(), set()
            self.update()

    def overlays(self) -> list[Choice]:
        """Return what can be laid over the slide that is shown, the topmost first."""
        found = [layer for layer in self._first.layers if self._lies_over(layer)]
        keys = [(layer, _key(layer)) for layer in reversed(found)]
        return [Choice(key=key, name=str(layer.name), shown=key in self._wanted) for layer, key in keys]

    def show_overlay(self, key: str, on: bool) -> None:
        """Lay an overlay over the slide, or take it away."""
        (self._wanted.add if on else self._wanted.discard)(key)
        if not on:
            self._kinds -= {layer.metadata.get("kind") for layer in self._first.layers if _key(layer) == key}
        self.update()

    def show_kind(self, kind: str) -> None:
        """Lay the overlays of a kind over the slide that is shown, and those that come later, until one is taken away.

        What is done on this canvas is seen on it.
        """
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._wanted |= {_key(layer) for layer in self._first.layers if self._is_wished_for(layer)}
            self._view.soon(self.update)

    def switch_link(self, on: bool) -> None:
        """Link the views or leave each to itself; of two slides, the places in the middle now belong together."""
        self._link_wanted = on
        if on and not self.link.on and not self._same_slide():
            self.link.shift_to_what_is_seen()
        self._show_link()

    def shut_down(self) -> None:
        """Let go of both canvases."""
        events = self._first.layers.events
        events.inserted.disconnect(self._inserted)
        events.removed.disconnect(self._removed)
        events.disconnect(self._changed)
        self.link.switch(False)
        with self._second.layers.batched_update():
            for key in list(self._twins):
                self._take_away(key)

    # --- layers -----------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Show what is wanted of the layers that are there now."""
        slides = {layer_key(layer): layer for layer in SlideCanvas(self._first).slide_layers()}
        if self._chosen not in slides:
            top = Viewpoint(self._first).layer()
            self._chosen = layer_key(top) if top is not None else next(iter(slides), None)
        with self.link.standing_still():
            self._update_twins()
        self._view.show_slides([(str(layer.name), key) for key, layer in slides.items()], self._chosen)
        self._bring_together()
        self._show_link()

    def _update_twins(self) -> None:
        shown = {_key(layer): layer for layer in self._first.layers if self._is_shown(layer)}
        for key in [key for key in self._twins if key not in shown or key in self._outdated]:
            self._take_away(key)
        self._outdated = set()
        layers = self._second.layers
        for number, (key, layer) in enumerate(shown.items()):
            twin = self._twins.get(key)
            if twin is None:
                twin = self._twins[key] = Twin(layer, CANVAS, self._make_anew)
                layers.insert(number, twin.layer)
            elif layers.index(twin.layer) != number:
                layers.move(layers.index(twin.layer), number)
        layers.selection.clear()  # a selected layer would take keys and the mouse

    def _is_shown(self, layer: Any) -> bool:  # noqa: ANN401 - a napari layer
        if is_slide(layer):
            return layer_key(layer) == self._chosen
        return _key(layer) in self._wanted and self._lies_over(layer)

    def _lies_over(self, layer: Any) -> bool:  # noqa: ANN401 - a napari layer
        """Return whether a layer lies over the chosen slide: an overlay of it, or something a person drew."""
        slide_id = layer.metadata.get("slide_id")
        return (
            self._chosen is not None
            and not is_slide(layer)
            and layer.metadata.get("kind") not in TOOL_KINDS
            and slide_id in (None, self._chosen)
        )

    def _is_wished_for(self, layer: Any) -> bool:  # noqa: ANN401 - a napari layer
        return layer.metadata.get("kind") in self._kinds and self._lies_over(layer)

    def _take_away(self, key: str) -> None:
        twin = self._twins.pop(key)
        twin.stop()
        if twin.layer in self._second.layers:
            self._second.layers.remove(twin.layer)

    def _make_anew(self, twin: Twin) -> None:
        self._outdated.add(_key(twin.original))
        self._view.soon(self.update)

    def _inserted(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        """Show an overlay that took the place of one which was shown, or is of a kind that is."""
        likeness = _likeness(event.value)
        if likeness in self._gone or self._is_wished_for(event.value):
            self._gone.discard(likeness)
            self._wanted.add(_key(event.value))
        self._view.soon(self.update)

    def _removed(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        key = _key(event.value)
        if key in self._wanted:
            self._wanted.discard(key)
            self._gone.add(_likeness(event.value))
        if key in self._twins:
            with self.link.standing_still():
                self._take_away(key)
        self._view.soon(self.update)

    def _changed(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        if event.type in ("reordered", "visible"):
            self._view.soon(self.update)

    # --- the link ---------------------------------------------------------------------------------------------------

    def _slides(self) -> tuple[Any, Any]:
        """Return the slide on top of each canvas."""
        return Viewpoint(self._first).slide(), Viewpoint(self._second).slide()

    def _same_slide(self) -> bool:
        first, second = self._slides()
        return first is not None and second is not None and first.id == second.id

    def _bring_together(self) -> None:
        """Look at the same place of the same slide, or let the middles of two slides belong together."""
        first, second = self._slides()
        pair = (None if first is None else first.id, None if second is None else second.id)
        if pair == self._pair or first is None or second is None:
            return
        self._pair = pair
        if first.id == second.id:
            self.link.shift((0.0, 0.0))
        else:
            (y1, x1), (y2, x2) = _middle(first), _middle(second)
            self.link.shift((y2 - y1, x2 - x1))
        if not self._linkable():
            Viewpoint(self._second).fit(second)

    def _linkable(self) -> bool:
        first, second = self._slides()
        return first is None or second is None or (first.um_per_px is None) == (second.um_per_px is None)

    def _show_link(self) -> None:
        possible = self._linkable()
        self.link.switch(possible and self._link_wanted and self._chosen is not None)
        text = NO_SLIDE if self._chosen is None else "" if possible else SCALE_UNKNOWN
        self._view.show_link(possible=possible, on=self.link.on, text=text)


def _key(layer: Any) -> str:  # noqa: ANN401 - a napari layer
    return str(layer.unique_id)


def _likeness(layer: Any) -> tuple[object, ...]:  # noqa: ANN401 - a napari layer
    """Return what a layer has in common with the one that takes its place when a run or a question is made again."""
    return layer.metadata.get("slide_id"), layer.metadata.get("kind"), str(layer.name)


def _middle(slide: Any) -> tuple[float, float]:  # noqa: ANN401 - a Slide
    """Return the middle of a slide, (y, x) in the unit of the world."""
    finest, unit = slide.levels[0], slide.um_per_px or (1.0, 1.0)
    return finest.height / 2 * unit[0], finest.width / 2 * unit[1]
