"""Why a place got its answer: the gradient of its logit, made in the background, shown signed or unsigned at will."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.giving_way import GivingWay
from napari_gigaclf.viewer.controllers.probe import LOADING, PLANNING
from napari_gigaclf.viewer.controllers.seldom import REPORT_SECONDS, seldom
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.layers import Frame, LayerData
from napari_gigaclf.viewer.why_layer import why_layer
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import PlaceGradient, PreparedRun
    from napari_gigaclf.inference.asked import Place
    from napari_gigaclf.slides import Slide


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyChoices:
    """How a gradient is to be made."""

    class_name: str
    of: Literal["answer", "cells"] = "answer"
    """The logit of the place's answer, or the sum of those of its cells."""
    smooth: bool = False
    """Whether it is averaged over noisy copies (SmoothGrad)."""
    noise: float = 0.1
    samples: int = 16
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Why:
    """A gradient that was made, with its two ways to be seen."""

    found: "PlaceGradient"
    signed: LayerData
    unsigned: LayerData


class WhyView(Protocol):
    """What the controller asks of the widget; all calls come on the GUI thread."""

    def show_working(self, stage: str) -> None:
        """Show that a gradient is being made, and the stage; an empty one when it has ended."""
        ...

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        ...

    def show_why(self, slide: "Slide", why: "Why") -> None:
        """Show the gradient over its slide."""
        ...

    def show_no_why(self, text: str) -> None:
        """Show one line that says why there is none, where the gradient would be described."""
        ...


class WhyController:
    """Makes one gradient at a time; a new wish replaces the one before.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    worker
        A worker for gradients alone.
    post
        Carries calls to the GUI thread.
    giving_way
        Lets the work wait while the view moves.
    """

    def __init__(self, view: WhyView, *, worker: Worker, post: Post, shelf: Shelf, giving_way: GivingWay) -> None:
        self._view = view
        self._worker = worker
        self._post = post
        self._shelf = shelf
        self._giving_way = giving_way
        self._generation = 0
        self._job: Job[Why] | None = None
        self._slide_id = ""

    @property
    def working(self) -> bool:
        """True while a gradient is being made."""
        return self._job is not None

    def explain(
        self,
        slide: "Slide",
        wishes: Wishes,
        place: "Place",
        choices: WhyChoices,
        *,
        prepared: "PreparedRun | None" = None,
    ) -> None:
        """Make the gradient of a place's logit.

        Parameters
        ----------
        place
            Point (y, x), box or geometry in (x, y), level-0 corner coordinates.
        prepared
            Plan for these wishes, if there is one already.
        """
        self._drop()
        generation, self._slide_id = self._generation, slide.id

        def work(job: Job[Why]) -> Why:
            return self._work(job, generation, slide, wishes, place, choices, prepared)

        self._job = self._worker.submit(
            work,
            done=lambda why: self._made(generation, slide, why),
            failed=lambda text: self._failed(generation, text),
        )
        self._view.show_working("waiting...")

    def cancel(self) -> None:
        """Stop; nothing is shown of what was not finished."""
        if self._job is not None:
            self._job.cancel()
            self._view.show_working("cancelling...")

    def slide_gone(self, slide_id: str) -> None:
        """Stop what is made for a slide that was closed."""
        if self._job is not None and self._slide_id == slide_id:
            self._drop()
            self._view.show_working("")

    # --- on the worker ----------------------------------------------------------------------------------------------

    def _work(
        self,
        job: Job[Why],
        generation: int,
        slide: "Slide",
        wishes: Wishes,
        place: "Place",
        choices: WhyChoices,
        prepared: "PreparedRun | None",
    ) -> Why:
        def staged(text: str) -> None:
            self._post(lambda: self._staged(generation, text))

        plan = self._shelf.plan(slide, wishes, prepared, staged, loading=LOADING, planning=PLANNING)
        from napari_gigaclf.inference import SmoothGrad, place_gradient

        smooth = None
        if choices.smooth:
            smooth = SmoothGrad(noise=choices.noise, samples=choices.samples, seed=choices.seed)
        report = seldom(
            lambda progress: self._post(lambda: self._progressed(generation, progress)), lambda: REPORT_SECONDS
        )

        give_way = self._giving_way.waiter()

        def after_tile(progress: Progress) -> None:
            report(progress)
            give_way(job)

        staged("gradient...")
        found = place_gradient(
            plan, place, choices.class_name, of=choices.of, smooth=smooth, progress=after_tile, cancel=job
        )
        frame = Frame.of_slide(slide)
        return Why(
            found=found, signed=why_layer(found, frame, signed=True), unsigned=why_layer(found, frame, signed=False)
        )

    # --- answers, on the GUI thread ---------------------------------------------------------------------------------

    def _staged(self, generation: int, text: str) -> None:
        if generation == self._generation and self._job is not None and not self._job.is_set():
            self._view.show_working(text)

    def _progressed(self, generation: int, progress: Progress) -> None:
        if generation == self._generation:
            self._view.show_progress(progress)

    def _made(self, generation: int, slide: "Slide", why: Why) -> None:
        if generation == self._generation:
            self._job = None
            self._view.show_working("")
            self._view.show_why(slide, why)

    def _failed(self, generation: int, text: str) -> None:
        if generation == self._generation:
            self._job = None
            self._view.show_working("")
            self._view.show_no_why(text or "cancelled: no gradient was made")

    def _drop(self) -> None:
        """Stop what is being made and let none of its answers through."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._generation += 1
