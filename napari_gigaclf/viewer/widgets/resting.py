"""Does what is too slow for every step of a slider once the slider rests."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

REST_MS = 120
"""A slider rests when nothing has come from it for so long; one that is dragged sends something every 30 ms."""


def when_resting(parent: QObject, call: Callable[[], None]) -> QTimer:
    """Return a timer that calls once after its last ``start``."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(REST_MS)
    timer.timeout.connect(call)
    return timer
