"""Decides what happens when what was taught is applied to the worklist: one list at a time, in the background.

No Qt here. All methods belong to the GUI thread. The list has a worker of its own, so that slides can be read, taught
on and saved as models meanwhile. What is applied is the lesson as it was when the list was begun.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.controllers.teach_list_jobs import ListOutcome, ListProgress, Task, apply_to_list
from napari_gigaclf.viewer.returning import pieces
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.viewer.controllers.returning import ReturningController
    from napari_gigaclf.viewer.controllers.teach import TeachController
    from napari_gigaclf.viewer.controllers.worklist_jobs import Worklist

PROGRESS_SECONDS = 0.25


class TeachListView(Protocol):
    """What the controller asks of its panel."""

    def show_list_progress(self, progress: ListProgress) -> None:
        """Show how far the list is."""
        ...

    def show_list_note(self, text: str, *, busy: bool) -> None:
        """Say what was done, or why it cannot be, and whether a list is under way."""
        ...


class TeachListController:
    """Applies to lists of slides.

    Parameters
    ----------
    view
        The panel, or a fake of it.
    teaching
        What is taught, with which models and features.
    worker
        For the list alone.
    post
        Carries calls to the GUI thread.
    """

    def __init__(self, view: TeachListView, teaching: "TeachController", *, worker: Worker, post: Post) -> None:
        self._view = view
        self._teaching = teaching
        self._worker = worker
        self._post = post
        self._job: Job[ListOutcome] | None = None

    def apply(self, worklist: "Worklist | None", returning: "ReturningController | None", class_name: str) -> None:
        """Apply the lesson to every slide of a list.

        Parameters
        ----------
        worklist
            The list; None where none is chosen.
        returning
            Lets slides return with their results; None where a person does not want that.
        class_name
            The class whose map is shown when a slide is opened.
        """
        teaching, lesson = self._teaching, self._teaching.lesson
        problem = ""
        if self._job is not None:
            problem = texts.APPLYING
        elif lesson is None or not lesson.can_learn:
            problem = texts.TOO_FEW
        elif worklist is None:
            problem = texts.NO_WORKLIST
        elif returning is None:
            problem = texts.NOT_RETURNING
        if problem or lesson is None or worklist is None or returning is None:
            self._view.show_list_note(problem, busy=self._job is not None)
            return
        task = Task(
            items=worklist.items,
            lesson=lesson,
            class_name=class_name,
            wishes=dataclasses.replace(teaching.wishes, model=lesson.base.source),
            shelf=teaching.shelf,
            kept=teaching.kept,
            results=pieces.results_folder(),
        )
        self._view.show_list_note(texts.PREPARING, busy=True)
        self._begin(task, returning.take_result)

    def cancel(self) -> None:
        """Stop at the next tile; what is done stays."""
        if self._job is not None:
            self._job.cancel()

    def _begin(self, task: Task, take: Callable[[pieces.Applied], None]) -> None:
        report = _paced(lambda each: self._post(lambda: self._view.show_list_progress(each)))

        def applied(found: pieces.Applied) -> None:
            self._post(lambda: take(found))

        def done(outcome: ListOutcome) -> None:
            self._view.show_list_note(texts.list_outcome_text(outcome), busy=False)

        self._job = self._worker.submit(
            lambda job: apply_to_list(task, job, report, applied),
            done,
            lambda text: self._view.show_list_note(text or "Stopped.", busy=False),
            self._finished,
        )

    def _finished(self) -> None:
        self._job = None


def _paced(report: Callable[[ListProgress], None]) -> Callable[[ListProgress], None]:
    """Pass on where a slide begins or ends, and what lies between at a pace that a window can follow."""
    last = 0.0

    def paced(progress: ListProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.reading is None or now - last >= PROGRESS_SECONDS:
            last = now
            report(progress)

    return paced
