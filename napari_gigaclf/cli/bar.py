"""Shows how far work is: a bar with rate and remaining time on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from napari_gigaclf.progress import Progress, ProgressCallback

TERMINAL_SECONDS = 0.2
LOG_SECONDS = 10.0
"""A log file gets a line more seldom than a terminal."""


@contextmanager
def progress_bar(name: str) -> Iterator[ProgressCallback]:
    """Give a callback that shows reports as one bar per phase; the bars close with the block.

    Parameters
    ----------
    name
        What is worked on, shown before the phase.
    """
    bars: dict[str, tqdm[Any]] = {}

    def report(progress: Progress) -> None:
        if progress.phase not in bars:
            _close(bars)
            bars[progress.phase] = tqdm(
                total=progress.total,
                desc=f"{name}: {progress.phase}",
                unit=f" {progress.unit}s",
                file=sys.stderr,
                mininterval=TERMINAL_SECONDS if sys.stderr.isatty() else LOG_SECONDS,
                dynamic_ncols=True,
            )
        bar = bars[progress.phase]
        bar.total = progress.total
        if progress.note:
            bar.set_postfix_str(progress.note, refresh=False)
        bar.update(progress.done - bar.n)

    try:
        yield report
    finally:
        _close(bars)


def _close(bars: "dict[str, tqdm[Any]]") -> None:
    for bar in bars.values():
        bar.close()
