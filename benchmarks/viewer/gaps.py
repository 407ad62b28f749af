"""Measures by how much the event loop of the window comes late while something is done, and what held it meanwhile."""

import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

TICK_MS = 10
LOOK_SECONDS = 0.02
STALL_SECONDS = 0.1
"""What holds the window for longer is looked at, if wanted."""
REST_SECONDS = 0.5


class Gaps:
    """A timer in the window's thread; each tick notes how late it comes.

    Parameters
    ----------
    stacks
        Say, on stderr, where the window's thread is while it is held for longer than a tenth of a second.
    """

    def __init__(self, *, stacks: bool = False) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._late: list[float] = []
        self._last = time.perf_counter()
        self._busy: list[float] = []
        self._worked = time.thread_time()
        self._found: dict[str, dict[str, float]] = {}
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._seen: Counter[str] = Counter()
        self._thread = threading.main_thread().ident
        if stacks:
            threading.Thread(target=self._watch, daemon=True).start()

    def during(self, step: str, act: Callable[[], Any], until: Callable[[], object] | None = None) -> Any:  # noqa: ANN401
        """Do something, wait until it has happened and half a second more; note the longest gap."""
        from window import milliseconds_until

        self._late.clear()
        self._busy.clear()
        self._seen.clear()
        self._last = begin = time.perf_counter()
        self._worked = time.thread_time()
        result = act()
        if until is not None:
            milliseconds_until(until)
        done = time.perf_counter()
        milliseconds_until(lambda: time.perf_counter() > done + REST_SECONDS)
        found = {
            "p95": float(np.percentile(self._late, 95)),
            "longest": max(self._late),
            "longest_cpu": max(self._busy),
            "done": 1000 * (done - begin),
        }
        found = {name: round(value) for name, value in found.items()}
        print(f"{step}: {found}", file=sys.stderr, flush=True)
        worse = found if step not in self._found else max(found, self._found[step], key=lambda each: each["longest"])
        self._found[step] = worse
        for stack, count in self._seen.most_common(3):
            print(f"--- {count} times\n{stack}", file=sys.stderr, flush=True)
        return result

    @property
    def found(self) -> dict[str, dict[str, float]]:
        """Of each step in milliseconds: gaps' 95th percentile, the longest, the thread's own work in one, done."""
        return dict(self._found)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._late.append(max(0.0, 1000 * (now - self._last) - TICK_MS))
        self._last = now
        worked = time.thread_time()
        self._busy.append(1000 * (worked - self._worked))
        self._worked = worked

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            if time.perf_counter() - self._last > STALL_SECONDS and self._thread is not None:
                frame = sys._current_frames().get(self._thread)
                lines = traceback.format_stack(frame) if frame is not None else []
                self._seen["".join(lines[-14:])] += 1
