"""An answer wherever one asks: the field around a click, a box, a drawn area; the same before and after a run.

Where a run has computed the place, its stored features answer, on a worker that does nothing else. Elsewhere the
network looks at what the place sees alone, on a second worker, with progress and a way to stop. A press that moved is a
drag (it pans the slide) and never a question.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.progress import CancelToken, Progress
from napari_gigaclf.viewer.controllers.question_cost import refuse_dear
from napari_gigaclf.viewer.controllers.seldom import REPORT_SECONDS, seldom
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.thumbnails import thumbnail
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction, PreparedRun, RegionAnswer
    from napari_gigaclf.inference.asked import Place
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.slide_notes import AskedPlace

LOADING = "loading the model..."
PLANNING = "finding the tissue, planning..."
LOOKING = "the network looks at this place..."
STORED = "stored features"
NETWORK = "the network on this place alone"
Kind = Literal["field", "area"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Question:
    """What was asked."""

    kind: Kind
    """``"field"`` for a click, ``"area"`` for a box or drawn shapes."""
    place: "Place"
    """Point (y, x), box or geometry in (x, y), level-0 corner coordinates."""
    position: tuple[float, float]
    """The point, or the centroid of the area, (y, x), level-0 corner coordinates."""
    threshold: float = 0.5
    """Probability from which tissue counts as the class."""
    label: str = ""
    """What the area is, for a person, such as "3 annotations of tumour"."""
    asked_on: str = ""
    """The canvas it was asked on, for a person; empty for napari's own."""
    returned: "AskedPlace | None" = None
    """The place that this asks about again, if it was asked about when the slide was open before."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProbeRow:
    """One row of the table of answers."""

    number: int
    slide_id: str
    question: Question
    position_um: tuple[float, float] | None
    """Where it was, (y, x), micrometres; None where the scale is unknown."""
    answer: "RegionAnswer"
    model: str
    """Name of the model that answered."""
    wishes: Wishes | None
    """What was chosen then; None without a model that could be run."""
    source: str
    """Where the answer comes from: ``STORED`` or ``NETWORK``."""
    seconds: float
    """From the question to the answer, waiting included."""

    @property
    def where(self) -> str:
        """The canvas it was asked on and the model that answered there; empty for napari's own canvas."""
        return f"{self.question.asked_on}, {self.model}" if self.question.asked_on else ""

    @property
    def kind(self) -> Kind:
        """``"field"`` or ``"area"``."""
        return self.question.kind

    @property
    def position(self) -> tuple[float, float]:
        """Place of the click, or centroid of the area, (y, x), level-0 corner coordinates."""
        return self.question.position


class ProbeView(Protocol):
    """What the controller asks of the table; all calls come on the GUI thread."""

    def add_row(self, slide: "Slide", row: ProbeRow) -> None:
        """Add an answer to the table and outline its place on the slide."""
        ...

    def show_picture(self, number: int, picture: NDArray[np.uint8]) -> None:
        """Show what the place of a row looks like, (h, w, 3)."""
        ...

    def show_problem(self, text: str) -> None:
        """Show one line that says why there is no answer."""
        ...

    def show_unanswered(self, slide: "Slide", question: Question) -> None:
        """Show that what is there does not cover a place that was asked about before."""
        ...

    def show_looking(self, num_questions: int, stage: str) -> None:
        """Show for how many questions the network is wanted, and what is being done; ``cancel`` stops it."""
        ...


class ProbeController:
    """Answers questions about places.

    Parameters
    ----------
    view
        The table, or a fake of it.
    stored, network, pictures
        Workers for answers from stored features, for those that need the network, and for thumbnails.
    post
        Carries calls to the GUI thread.
    shelf
        Models and tissue masks.
    """

    def __init__(
        self, view: ProbeView, *, stored: Worker, network: Worker, pictures: Worker, post: Post, shelf: Shelf
    ) -> None:
        self._view = view
        self._stored = stored
        self._network = network
        self._pictures = pictures
        self._post = post
        self._shelf = shelf
        self._generation: dict[str, int] = {}
        self._jobs: dict[Job[Any], tuple[str, bool]] = {}
        """Slide, and whether the network is needed, of each question that waits."""
        self._stage = ""
        self._num_rows = 0

    @property
    def num_waiting(self) -> int:
        """Questions that are not answered yet."""
        return len(self._jobs)

    def ask(
        self,
        slide: "Slide",
        wishes: Wishes | None,
        question: Question,
        *,
        prepared: "PreparedRun | None" = None,
        prediction: "Prediction | None" = None,
        stored_only: bool = False,
    ) -> None:
        """Ask what the model says about a place.

        Parameters
        ----------
        wishes
            What is chosen: the model for the network, if it is needed; None if there is none.
        prepared
            Plan for these wishes, if there is one already.
        prediction
            Result whose stored features answer where they cover the place.
        stored_only
            Never ask the network: where the stored features do not cover the place, there is no answer.
        """
        height, width = slide.levels[0].height, slide.levels[0].width
        inside = 0 <= question.position[0] < height and 0 <= question.position[1] < width
        if question.kind == "field" and not inside:
            return  # beside the slide there is nothing to ask about
        asked = _Asked(slide, wishes, question, self._generation.get(slide.id, 0), time.perf_counter())
        if prediction is None:
            self._ask_network(asked, prepared)
            return

        def answered(found: "RegionAnswer | None") -> None:
            if found is None and stored_only:
                self._view.show_unanswered(slide, question)
            elif found is None and wishes is not None:
                self._ask_network(asked, prepared)
            else:
                self._answered(asked, found, prediction.record.model.name, STORED)

        def work(_job: CancelToken) -> "RegionAnswer | None":
            answer = prediction.query(question.place, threshold=question.threshold)
            return None if answer.num_missing and (stored_only or wishes is not None) else answer

        self._submit(asked, self._stored, work, answered, needs_network=False)

    def cancel(self) -> None:
        """Stop what the network looks at for questions; answers from stored features come all the same."""
        for job, (_, needs_network) in self._jobs.items():
            if needs_network:
                job.cancel()

    def slide_gone(self, slide_id: str) -> None:
        """Drop the answers that are still on their way for a slide."""
        self._generation[slide_id] = self._generation.get(slide_id, 0) + 1
        for job, (about, _) in self._jobs.items():
            if about == slide_id:
                job.cancel()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _ask_network(self, asked: "_Asked", prepared: "PreparedRun | None") -> None:
        wishes, question = asked.wishes, asked.question
        if wishes is None:
            self._view.show_problem("choose a model first: nothing that has run covers this place")
            return

        def work(job: CancelToken) -> "tuple[RegionAnswer, str]":
            def staged(text: str) -> None:
                self._post(lambda: self._staged(asked, text))

            plan = self._shelf.plan(asked.slide, wishes, prepared, staged, loading=LOADING, planning=PLANNING)
            refuse_dear(plan, question.place)
            staged(LOOKING)
            report = seldom(lambda progress: staged(looking_text(progress)), lambda: REPORT_SECONDS)
            answer = plan.ask(question.place, threshold=question.threshold, cancel=job, progress=report)
            return answer, plan.model.name

        def answered(found: "tuple[RegionAnswer, str]") -> None:
            self._answered(asked, found[0], found[1], NETWORK)

        self._submit(asked, self._network, work, answered, needs_network=True)

    def _submit(
        self,
        asked: "_Asked",
        worker: Worker,
        work: Callable[[Any], Any],
        done: Callable[[Any], None],
        *,
        needs_network: bool,
    ) -> None:
        job = worker.submit(
            work,
            done=lambda found: done(found) if self._is_current(asked) else None,
            failed=lambda text: self._failed(asked, text),
            finished=lambda: self._finished(job),
        )
        self._jobs[job] = (asked.slide.id, needs_network)
        if needs_network:  # stored features answer before a window could be drawn that says so
            self._show_looking()

    def _is_current(self, asked: "_Asked") -> bool:
        return asked.generation == self._generation.get(asked.slide.id, 0)

    def _answered(self, asked: "_Asked", answer: "RegionAnswer | None", model: str, source: str) -> None:
        assert answer is not None
        self._num_rows += 1
        question, unit = asked.question, asked.slide.um_per_px
        y, x = question.position
        row = ProbeRow(
            number=self._num_rows,
            slide_id=asked.slide.id,
            question=question,
            position_um=None if unit is None else (y * unit[0], x * unit[1]),
            answer=answer,
            model=model,
            wishes=asked.wishes,
            source=source,
            seconds=time.perf_counter() - asked.since,
        )
        self._view.add_row(asked.slide, row)
        self._pictures.submit(
            lambda _job: thumbnail(asked.slide, answer.outline),
            lambda picture: self._view.show_picture(row.number, picture) if self._is_current(asked) else None,
            lambda _text: None,  # a row without a picture is still an answer
        )

    def _staged(self, asked: "_Asked", text: str) -> None:
        if self._is_current(asked):
            self._stage = text
            self._show_looking()

    def _failed(self, asked: "_Asked", text: str) -> None:
        if text and self._is_current(asked):
            self._view.show_problem(text)

    def _finished(self, job: Job[Any]) -> None:
        _, needed_network = self._jobs.pop(job, ("", True))
        if not any(needs_network for _, needs_network in self._jobs.values()):
            self._stage = ""
        if needed_network:
            self._show_looking()

    def _show_looking(self) -> None:
        self._view.show_looking(sum(needs_network for _, needs_network in self._jobs.values()), self._stage)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question on its way."""

    slide: "Slide"
    wishes: Wishes | None
    question: Question
    generation: int
    since: float


def looking_text(progress: Progress) -> str:
    """Return how far the network is with a place.

    Examples
    --------
    >>> looking_text(Progress(done=3, total=12, unit="tile", phase="forward", seconds=0.5))
    'the network looks at this place: 3 of 12 tiles'
    """
    return f"{LOOKING.removesuffix('...')}: {progress.done} of {progress.total} {progress.unit}s"


def whole_slide_wishes(wishes: Wishes) -> Wishes:
    """Return the wishes of a question: those of a run, wherever that was to look."""
    from napari_gigaclf.viewer.controllers.wishes import RegionChoice

    choice = RegionChoice.SLIDE if wishes.choice is RegionChoice.SLIDE else RegionChoice.TISSUE
    return dataclasses.replace(wishes, choice=choice, area=None)
