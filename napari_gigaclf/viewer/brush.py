"""Says when a mask that is being painted is to be looked at: once a stroke, not at each movement of the brush."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

RESTS_MS = 200
"""Without the end of a stroke (after an undo) a mask is looked at so long after it was last drawn: looking at that of a
gigapixel slide takes some 50 ms, a movement of the brush 10."""


class Brush:
    """Watches what is painted; all methods belong to the GUI thread.

    Parameters
    ----------
    parent
        Owner of the timer.
    look
        Called when there may be something to see.
    """

    def __init__(self, parent: QObject, look: Callable[[], None]) -> None:
        self._look = look
        self._rest = QTimer(parent)
        self._rest.setSingleShot(True)
        self._rest.setInterval(RESTS_MS)
        self._rest.timeout.connect(look)

    def drawn(self, event: Any) -> None:  # noqa: ANN401 - napari's event
        """Look at the end of a stroke; while the brush moves, and after an undo, once it rests.

        That a mask was painted is noted at once: a slide that is closed before the brush rests keeps it.
        """
        if event.type == "labels_update":
            event.source.metadata["painted"] = True
        if event.type == "paint":
            self.stop()
            self._look()
        else:
            self._rest.start()

    def look_now(self) -> None:
        """Look at what was drawn a moment ago, before something is decided by it."""
        if self._rest.isActive():
            self.stop()
            self._look()

    def stop(self) -> None:
        """Look no more at what was drawn."""
        self._rest.stop()
