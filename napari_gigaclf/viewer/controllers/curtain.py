"""The curtain's state: where it hangs, and which layers are drawn on which side of it. No Qt and no drawing here.

Which side a layer is on is remembered here and not in the layer, so that nothing of it is saved or copied with the
layer.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any
from weakref import WeakKeyDictionary

from napari_gigaclf.viewer.layers import RULER

MIDDLE = 0.5
STEP = 0.02
"""A key moves the curtain by this share of the canvas."""
TOOL_KINDS = (RULER, "box being drawn")
"""What a person draws at this moment is never cut off."""


class Side(StrEnum):
    """Where a layer is drawn."""

    BOTH = "both sides"
    LEFT = "left"
    RIGHT = "right"


def is_slide(layer: Any) -> bool:  # noqa: ANN401 - a napari layer
    """Return whether a layer shows a slide and not something over it; other colour images count as slides."""
    plain = getattr(layer, "rgb", False) and "kind" not in layer.metadata
    return layer.metadata.get("slide") is not None or bool(plain)


def usual_side(layer: Any) -> Side:  # noqa: ANN401 - a napari layer
    """Return where a layer is drawn unless a person says otherwise: the slide everywhere, what lies over it right."""
    return Side.BOTH if is_slide(layer) or layer.metadata.get("kind") in TOOL_KINDS else Side.RIGHT


class Curtain:
    """A vertical line over one canvas; it keeps its place on the screen while the view moves under it.

    Attributes
    ----------
    on
        Whether it hangs.
    at
        Its place as a share of the canvas's width, 0 to 1.
    """

    def __init__(self) -> None:
        self.on = False
        self.at = MIDDLE
        self._sides: WeakKeyDictionary[Any, Side] = WeakKeyDictionary()
        self._listeners: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call back after every change; returns what ends this."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def switch(self, on: bool) -> None:
        """Hang the curtain or take it away; its place and the sides stay for the next time."""
        if on != self.on:
            self.on = on
            self._tell()

    def move_to(self, at: float) -> None:
        """Move the line to a share of the canvas's width; beyond the edges it stays at the edge."""
        at = min(max(float(at), 0.0), 1.0)
        if at != self.at:
            self.at = at
            self._tell()

    def step(self, steps: int) -> None:
        """Move the line by so many steps to the right, or to the left if negative."""
        self.move_to(self.at + steps * STEP)

    def side(self, layer: Any) -> Side:  # noqa: ANN401 - a napari layer
        """Return where a layer is drawn."""
        return self._sides.get(layer) or usual_side(layer)

    def put(self, layer: Any, side: Side) -> None:  # noqa: ANN401 - a napari layer
        """Draw a layer on this side from now on."""
        if side is not self.side(layer):
            self._sides[layer] = side
            self._tell()

    def swap(self, layers: Iterable[Any]) -> None:
        """Exchange left and right."""
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.BOTH: Side.BOTH}
        for layer in layers:
            self._sides[layer] = other[self.side(layer)]
        self._tell()

    def as_usual(self) -> None:
        """Forget what a person said: the slide alone on the left, everything on the right."""
        self._sides.clear()
        self._tell()

    def cuts(self, layers: Iterable[Any]) -> bool:
        """Return whether the two sides differ in anything one sees."""
        return any(layer.visible and self.side(layer) is not Side.BOTH for layer in layers)

    def caption(self, layers: Iterable[Any]) -> str:
        """Return what is on which side, for a picture.

        The names of visible layers that are on one side only are listed.
        """
        seen = [layer for layer in layers if layer.visible]
        parts = []
        for side in (Side.LEFT, Side.RIGHT):
            names = [str(layer.name) for layer in seen if self.side(layer) is side]
            parts.append(f"{side}: {', '.join(names) or 'the slide alone'}")
        return "; ".join(parts)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()
