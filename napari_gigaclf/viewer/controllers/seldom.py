"""Passes reports of progress on at a pace which a window can follow."""

import time
from collections.abc import Callable

from napari_gigaclf.progress import Progress, ProgressCallback

REPORT_SECONDS = 0.25
"""Least time between two redraws of the progress of what is soon done."""


def seldom(report: ProgressCallback, interval: Callable[[], float]) -> ProgressCallback:
    """Pass reports on with at least so many seconds in between, and always the last one: each costs a new layout."""
    last = 0.0

    def report_seldom(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.done >= progress.total or now - last >= interval():
            last = now
            report(progress)

    return report_seldom
