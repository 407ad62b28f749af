"""Keeps the painted maps in step with what is taught: learns, paints what is in view first, then checks and suggests.

All methods belong to the GUI thread; the work is done on the quick worker. A change gives up what is under way, so that
clicks which come faster than it do not queue.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.inference.map_update import MapUpdate
from napari_gigaclf.inference.teaching.checking import Check
from napari_gigaclf.inference.teaching.learning import Head
from napari_gigaclf.inference.teaching.lesson import Lesson
from napari_gigaclf.viewer.controllers import teach_jobs as jobs
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.teach_view import TeachView
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide


class TeachPainter:
    """Paints for the controller of teaching.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick
        The worker that learns and paints.
    post
        Carries calls to the GUI thread.
    judged
        Called when it is known how the examples agree.
    """

    def __init__(self, view: TeachView, *, quick: Worker, post: Post, judged: Callable[[], None]) -> None:
        self._view = view
        self._quick = quick
        self._post = post
        self._judged = judged
        self.maps: dict[str, LiveMap] = {}
        """Painted maps by slide id."""
        self.check: Check | None = None
        """How the examples agree; None while that is not known."""
        self.suggestions: list[tuple[int, int]] = []
        """Cells (row, column) to click next on the slide that is open."""
        self.current: tuple[int, int] | None = None
        """The suggestion that a person has gone to; None once something was taught since."""
        self._skipped: set[tuple[int, int]] = set()
        self._generation = 0
        self._job: Job[Any] | None = None
        """What is done for the slide that is open: painting, then checking."""
        self._wholes: dict[Job[tuple[Head, NDArray[np.float32]]], str] = {}
        """Slide of each whole map that waits or is painted."""

    def drop(self) -> None:
        """Give up what is under way: another slide or lesson is opened."""
        self._give_up()
        self.suggestions, self._skipped = [], set()

    def slide_gone(self, slide_id: str) -> None:
        """Forget the map of a slide that was closed, also one that is on its way."""
        self.maps.pop(slide_id, None)
        for job, about in self._wholes.items():
            if about == slide_id:
                job.cancel()

    def repaint(self, lesson: Lesson | None, at: "jobs.Opened | None") -> None:
        """Learn from a lesson as it is now, and paint the slide that is open."""
        self._give_up()
        self._view.show_check(None)
        if lesson is None or at is None:
            return
        generation = self._generation
        seen = jobs.seen_rows(at.canvas, self._view.seen_box(at.slide))

        def show(head: Head, updates: list[MapUpdate]) -> None:
            self._post(lambda: self._painted(generation, at, head, updates))

        def done(head: Head | None) -> None:
            if generation == self._generation:
                if head is None:
                    self.maps.pop(at.slide.id, None)
                    self._view.hide_map(at.slide.id)
                self._judge(generation, lesson, at)

        self._job = self._quick.submit(lambda job: jobs.repaint(lesson, at.canvas, seen, job, show), done, self.problem)

    def paint_whole(self, slide: "Slide", at: "jobs.Opened", lesson: Lesson, still: Callable[[Lesson], bool]) -> None:
        """Paint the map of a slide that is not the one in view, if the lesson is still the same then."""

        def painted(answer: tuple[Head, NDArray[np.float32]]) -> None:
            head, values = answer
            if still(lesson) and not job.is_set():
                live = self._live(at, head)
                live.fill(values)
                self._view.show_map(slide, live)
                self._view.show_note(f"Applied to {slide.name}.")

        def finished() -> None:
            self._wholes.pop(job, None)

        job = self._quick.submit(lambda _job: jobs.paint_whole(lesson, at.canvas), painted, self.problem, finished)
        self._wholes[job] = slide.id

    def look(self, slide: "Slide | None", class_name: str, threshold: float) -> None:
        """Show another class or threshold of all maps."""
        for slide_id, live in self.maps.items():
            if class_name in live.classes:
                live.look(class_name, threshold)
                if slide is not None and slide.id == slide_id:
                    self._view.show_map(slide, live)

    def take_suggestion(self, at: "jobs.Opened") -> tuple[int, int] | None:
        """Return the next cell to click, which is not suggested again; None without one."""
        if not self.suggestions:
            return None
        cell = self.suggestions.pop(0)
        self._skipped.add(cell)
        self.current = cell
        self._show_suggestions(at)
        return cell

    # --- inside -----------------------------------------------------------------------------------------------------

    def _give_up(self) -> None:
        self._generation += 1
        self.check, self.current = None, None
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _painted(self, generation: int, at: "jobs.Opened", head: Head, updates: list[MapUpdate]) -> None:
        if generation != self._generation:
            return
        before = self.maps.get(at.slide.id)
        live = self._live(at, head)
        for update in updates:
            live.update(update)
        if live is before:
            self._view.refresh_map(at.slide)
        else:
            self._view.show_map(at.slide, live)

    def _live(self, at: "jobs.Opened", head: Head) -> LiveMap:
        """Return the slide's map for these classes: the one that is there, or a new one."""
        names = tuple(each.name for each in head.classes)
        before = self.maps.get(at.slide.id)
        if before is not None and before.classes == names and before.grid == at.canvas.grid:
            return before
        looked_at = before or next(iter(self.maps.values()), None)
        shown = names[1] if looked_at is None or looked_at.class_name not in names else looked_at.class_name
        live = LiveMap(names, at.canvas.grid, shown, 0.0 if looked_at is None else looked_at.threshold)
        self.maps[at.slide.id] = live
        return live

    def _judge(self, generation: int, lesson: Lesson, at: "jobs.Opened") -> None:
        """Cross-validate and look for suggestions, behind the painting."""
        live, skipped = self.maps.get(at.slide.id), frozenset(self._skipped)
        values = None if live is None else live.values

        def judged(found: jobs.Findings) -> None:
            if generation == self._generation:
                self.check = found.check
                self.suggestions = list(found.suggestions)
                self._view.show_check(found.check)
                self._judged()
                self._show_suggestions(at)

        self._job = self._quick.submit(
            lambda job: jobs.judge(lesson, at.canvas, values, skipped, job), judged, self.problem
        )

    def _show_suggestions(self, at: "jobs.Opened") -> None:
        places = [at.canvas.grid.centre_of(*cell) for cell in self.suggestions]
        current = None if self.current is None else at.canvas.grid.centre_of(*self.current)
        self._view.show_suggestions(at.slide, places, current)

    def problem(self, text: str) -> None:
        """Show why something failed; what was given up says nothing."""
        if text:
            self._view.show_note(text)
