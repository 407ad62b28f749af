"""What was said of the places of one result: read once, and written after every verdict, in order."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.inference.findings.review_file import ReviewStore, reviews_folder
from napari_gigaclf.inference.findings.reviews import Review, ReviewKey, ReviewLog
from napari_gigaclf.viewer.controllers.findings_jobs import load
from napari_gigaclf.viewer.controllers.findings_view import FindingsView
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference.record import RunRecord


class ReviewBook:
    """The log of one result at a time.

    Parameters
    ----------
    saver
        Reads and writes the files.
    folder
        Where they lie; None takes the user's own folder.
    view
        Told what was saved, and why something was not.
    """

    def __init__(self, saver: Worker, folder: Path | None, view: FindingsView) -> None:
        self._saver = saver
        self._folder = folder
        self._view = view
        self._store: ReviewStore | None = None
        self._generation = 0
        self.log: ReviewLog | None = None
        self.why_not = ""
        """Why nothing can be said; empty if it can."""

    def open(self, record: "RunRecord", loaded: Callable[[], None]) -> None:
        """Read what was said of a result; ``loaded`` is called unless another one was opened meanwhile."""
        self.close()
        generation = self._generation
        key = ReviewKey(
            slide_id=record.slide.id,
            model=record.model.name,
            version=record.model.version,
            sha256=record.model.sha256,
        )

        def done(answer: tuple[ReviewStore, ReviewLog, str]) -> None:
            if generation == self._generation:
                self._store, self.log, self.why_not = answer
                loaded()

        self._saver.submit(
            lambda _job: load(self._folder or reviews_folder(), key, record.slide.name), done, self._view.show_note
        )

    def write(self, log: ReviewLog) -> None:
        """Let a log stand for what was said, and write it."""
        store = self._store
        assert store is not None
        self.log = log

        def saved(_done: None) -> None:
            if self._store is store:
                self._view.show_saved(log)

        self._saver.submit(lambda _job: store.save(log), saved, self._view.show_note)

    def close(self) -> None:
        """Forget the log; what was said is on the disk, or soon will be."""
        self._generation += 1
        self._store, self.log, self.why_not = None, None, ""


def says(review: Review) -> tuple[str, str, str]:
    """Return what a person said, whoever and whenever."""
    return review.verdict, review.new_class, review.note
