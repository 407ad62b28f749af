"""Work in the background: one thread of low priority per worker, jobs one by one, answers posted to the window.

What makes a window stutter is contention for the processor, not Python's lock: with the network on one core less than
there are and its thread niced (Linux has priorities per thread), the lag of the event loop while panning and
classifying stays at p95 32 ms where an un-niced thread has 59 and two torch threads have 78 (measured, two cores).
The thread is ours and not one of Qt's pool: a niced thread cannot raise its priority again.

No Qt here: a ``Post`` carries a call to the thread of the window (``bridge.GuiPost``), or into a list in tests.
"""

import atexit
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from napari_gigaclf.errors import Cancelled, GigaclfError

Post = Callable[[Callable[[], None]], None]
"""Runs a call on the GUI thread, soon; may be called from any thread and drops the call once the window is gone."""

T = TypeVar("T")
NICENESS = 10
CLOSE_TIMEOUT = 5.0
FLUSH_SECONDS = 10.0
"""So long the end of the program waits for the last thing that a person did to be written."""


class Job(Generic[T]):
    """One piece of work that was handed in; also the cancel token which the work watches."""

    def __init__(
        self,
        work: Callable[["Job[T]"], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
        finished: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._done = done
        self._failed = failed
        self._finished = finished
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; it answers at its next tile."""
        self._cancelled.set()

    def is_set(self) -> bool:
        """Return True once the work should stop (``CancelToken``)."""
        return self._cancelled.is_set()

    def run(self, post: Post) -> None:
        """Do the work on the calling thread and post its outcome: ``done`` or ``failed``, then ``finished``."""
        outcome = _call(self._failed, "the program failed inside; the details are in napari's notification")
        try:
            if self.is_set():
                raise Cancelled("cancelled before it began")
            outcome = _call(self._done, self._work(self))
        except Cancelled:
            outcome = _call(self._failed, "")
        except MemoryError:
            outcome = _call(self._failed, "not enough memory: choose a coarser level or a smaller region")
        except (GigaclfError, OSError) as error:
            outcome = _call(self._failed, str(error))
        finally:
            # Also after a fault of ours, which goes on to threading.excepthook: the window must not wait for ever.
            post(outcome)
            if self._finished is not None:
                post(self._finished)


class Worker:
    """A background thread for jobs, started on the first one.

    Parameters
    ----------
    name
        Of the thread.
    post
        Carries calls to the GUI thread.
    gives_way
        Whether it has a low priority; False for jobs of some milliseconds that a person waits for.
    """

    def __init__(self, name: str, post: Post, *, gives_way: bool = True) -> None:
        self.name = name
        self._gives_way = gives_way
        self._post = post
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._pending: set[Job[Any]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = self._finishing = False

    def submit(
        self,
        work: Callable[[Job[T]], T],
        done: Callable[[T], None],
        failed: Callable[[str], None],
        finished: Callable[[], None] | None = None,
    ) -> Job[T]:
        """Queue a piece of work.

        Parameters
        ----------
        work
            Called on the background thread with its job, whose ``is_set`` it should watch.
        done
            Called on the GUI thread with what ``work`` returned.
        failed
            Called on the GUI thread with one line for a person; with an empty one if the work was cancelled.
        finished
            Called on the GUI thread after either.
        """
        job = Job(work, done, failed, finished)
        with self._lock:
            if self._closed:
                job.cancel()
                return job
            self._pending.add(job)
            self._jobs.put(job)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name=self.name, daemon=True)
                self._thread.start()
        return job

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        return bool(self._pending)

    def cancel_all(self) -> None:
        """Ask the running job and the waiting ones to stop."""
        with self._lock:
            for job in self._pending:
                job.cancel()

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until everything that was handed in is done; True if it was in time. Not for a worker's own jobs."""
        reached = threading.Event()
        self.submit(lambda _job: reached.set(), lambda _done: None, lambda _text: None)
        return reached.wait(0.0 if self._closed else timeout)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Cancel everything, end the thread and wait for it; True if it ended in time. May be called twice.

        After ``finish`` nothing is cancelled.
        """
        with self._lock:
            self._closed = True
            for job in () if self._finishing else self._pending:
                job.cancel()
            self._jobs.put(None)
        return self._ended(timeout)

    def finish(self, timeout: float) -> bool:
        """Take no more work, and end once all that was handed in is done; True if that was in time.

        What takes longer goes on while the window is gone already, and the program does not end before it is done.
        """
        with self._lock:
            self._closed = self._finishing = True
            self._jobs.put(None)
        if self._ended(timeout):
            return True
        assert self._thread is not None
        atexit.register(self._thread.join)  # it is a daemon: else the end of the program would cut it off
        return False

    def _ended(self, timeout: float) -> bool:
        """Wait a while for the thread to end; True if it has."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _loop(self) -> None:
        if self._gives_way:
            lower_priority()
        while (job := self._jobs.get()) is not None:
            try:
                job.run(self._post)
            finally:
                with self._lock:
                    self._pending.discard(job)
                del job  # what it holds (a viewer, a slide) must not outlive it while the thread waits


def lower_priority(niceness: int = NICENESS) -> None:
    """Make the calling thread give way to the window; Linux only, elsewhere a priority belongs to the process."""
    if sys.platform == "linux":
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(own, niceness))  # it cannot be raised again


def use_torch(threads: int = 0) -> None:
    """Import torch on the calling thread (1.5 s at first) and bound its threads; 0 leaves one core to the window."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: idle threads must not spin
    import torch

    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))


def _call(function: Callable[[T], None], argument: T) -> Callable[[], None]:
    return lambda: function(argument)
