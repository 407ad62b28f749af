"""Lets a run wait a little between its tiles while a person moves the view.

A low priority does not do this alone: the window's redraws and the network share caches and, where the window is drawn
by the processor, cores. A view that moves stops moving soon, so the run loses little; and as it waits in proportion
to what it worked, it goes on however long somebody pans.
"""

import time
from collections.abc import Callable

from napari_gigaclf.progress import CancelToken

MOVING_SECONDS = 0.25
"""The view counts as moving for this long after its last movement; a window that lags moves it in jumps."""
LONGEST_WAIT_SECONDS = 1.0
"""Most that a run waits between two tiles: *Cancel* is seen sooner, but progress should be, too."""
WAIT_SHARE = 5.0
"""Most that a run waits, in seconds per second of work: a sixth of the speed is left, and glass is passed quickly. With
a third of the speed, one redraw in three still met a tile at work, which is what a person notices."""
STEP_SECONDS = 0.02
"""How often a waiting run looks whether the view stands still, or the run is cancelled."""


class GivingWay:
    """Knows when the view last moved, which the window tells it; every run takes a waiter of its own.

    Parameters
    ----------
    clock, sleep
        Seconds now, and waiting; tests give their own.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._moved_at = float("-inf")

    def moved(self) -> None:
        """Note that the view has just moved."""
        self._moved_at = self._clock()

    @property
    def moving(self) -> bool:
        """True while the view moves."""
        return self._clock() - self._moved_at < MOVING_SECONDS

    def waiter(self) -> Callable[[CancelToken], None]:
        """Return what a run that begins now calls between its tiles.

        It returns when the view stands still, the run is cancelled, or it has waited long enough for its work.
        """
        worked_since = self._clock()

        def wait(cancel: CancelToken) -> None:
            nonlocal worked_since
            begin = self._clock()
            end = begin + min(LONGEST_WAIT_SECONDS, WAIT_SHARE * (begin - worked_since))
            while self.moving and not cancel.is_set() and (left := end - self._clock()) > 0:
                self._sleep(min(STEP_SECONDS, left))
            worked_since = self._clock()

        return wait
