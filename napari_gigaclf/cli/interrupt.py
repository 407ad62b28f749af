"""Ctrl-C once: finish the tile, keep what there is and label it partial. Ctrl-C twice: stop at once.

A cluster that asks the program to end (SIGTERM) is answered in the same way.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from napari_gigaclf.cli.say import note


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets while the block runs; outside the main thread nothing can set it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        note("stopping; what there is will be kept (Ctrl-C again stops at once)")

    before = {number: signal.signal(number, on_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
