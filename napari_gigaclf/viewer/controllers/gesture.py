"""Tells a click from a drag."""

import math

DRAG_PIXELS = 4.0
"""A press that moves further on the screen is a drag."""
LEFT_BUTTON = 1


class ClickGesture:
    """Tells a click from a drag.

    Examples
    --------
    >>> gesture = ClickGesture()
    >>> gesture.press((10.0, 10.0), button=1)
    >>> gesture.move((11.0, 12.0))
    >>> gesture.release()
    True
    """

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def press(self, position: tuple[float, float], button: int | None) -> None:
        """Begin with a press at a place on the screen (pixels)."""
        self._start = position if button in (None, LEFT_BUTTON) else None

    def move(self, position: tuple[float, float]) -> None:
        """Follow the mouse; too far, and it is no click any more."""
        if self._start is not None and math.dist(self._start, position) > DRAG_PIXELS:
            self._start = None

    def release(self) -> bool:
        """End; True if it was a click."""
        clicked = self._start is not None
        self._start = None
        return clicked
