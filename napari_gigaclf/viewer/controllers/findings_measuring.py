"""Measures a list of hotspots at a threshold, and takes the pictures of its places, in the background."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.inference.findings.comparison import Comparison
from napari_gigaclf.inference.findings.foci import Tally
from napari_gigaclf.inference.findings.lesions import Lesion
from napari_gigaclf.inference.findings.ranking import Entry
from napari_gigaclf.inference.findings.reviews import ReaderCall
from napari_gigaclf.viewer.controllers.findings_jobs import Found, later, measure, widened
from napari_gigaclf.viewer.controllers.thumbnails import thumbnail
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

Counted = Callable[[Tally], None]
Measured = Callable[[list[Lesion], ReaderCall | None, Comparison | None], None]


class Measuring:
    """One measurement at a time; of wishes that come faster than that, the last one counts.

    Parameters
    ----------
    worker
        Measures.
    post
        Carries calls to the GUI thread.
    failed
        Told in one sentence why something could not be measured.
    """

    def __init__(self, worker: Worker, post: Post, failed: Callable[[str], None]) -> None:
        self._worker = worker
        self._post = post
        self._failed = failed
        self._busy = False
        self._next: Callable[[], None] | None = None

    def measure(
        self, found: Found, threshold: float, call: ReaderCall | None, counted: Counted, measured: Measured
    ) -> None:
        """Measure what reaches a threshold; ``counted`` is called first, ``measured`` in the end."""
        if self._busy:
            self._next = lambda: self.measure(found, threshold, call, counted, measured)
            return
        self._busy = True

        def work(_job: object) -> tuple[list[Lesion], Comparison | None]:
            return measure(found, threshold, call, lambda result: self._post(lambda: counted(result)))

        def finished() -> None:
            self._busy, following, self._next = False, self._next, None
            if following is not None:
                following()

        self._worker.submit(work, lambda both: measured(both[0], call, both[1]), self._failed, finished)

    def forget(self) -> None:
        """Drop the wish that waits: its list is not shown any more."""
        self._next = None


class Gallery:
    """The thumbnails of one list at a time.

    Parameters
    ----------
    worker
        Reads the slide.
    post
        Carries calls to the GUI thread.
    failed
        Told in one sentence why a picture could not be read.
    """

    def __init__(self, worker: Worker, post: Post, failed: Callable[[str], None]) -> None:
        self._worker = worker
        self._post = post
        self._failed = failed
        self._job: Job[None] | None = None

    def take(
        self, slide: "Slide", todo: Sequence[tuple[int, Entry]], taken: Callable[[int, NDArray[np.uint8]], None]
    ) -> None:
        """Read the thumbnails of numbered entries in this order."""

        def work(job: Any) -> None:  # noqa: ANN401 - a Job
            for index, entry in todo:
                if job.is_set():
                    return
                self._post(later(taken, index, thumbnail(slide, widened(entry.outline))))

        self._job = self._worker.submit(work, lambda _done: None, self._failed)

    def stop(self) -> None:
        """Read no more of them."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
