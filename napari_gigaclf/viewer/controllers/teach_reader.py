"""Has the features of slides found or made, one after the other; a reading can be stopped, and goes with its slide.

All methods belong to the GUI thread. The worker does other work as well, which stopping leaves alone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.lesson import BaseModel
from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.controllers import teach_jobs as jobs
from napari_gigaclf.viewer.controllers.seldom import seldom
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.teach_view import TeachView
from napari_gigaclf.viewer.controllers.wishes import Wishes
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

PROGRESS_SECONDS = 0.25
Read = tuple[jobs.Opened, str]
"""Features, and a problem in one line."""


class TeachReader:
    """Reads for the controller of teaching.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    long
        The worker that streams slides.
    post
        Carries calls to the GUI thread.
    shelf
        Models and tissue masks.
    kept
        Where features are kept.
    ended
        Called when nothing is read any more.
    """

    def __init__(
        self,
        view: TeachView,
        *,
        long: Worker,
        post: Post,
        shelf: Shelf,
        kept: KeptFeatures,
        ended: Callable[[], None],
    ) -> None:
        self._view = view
        self._long = long
        self._post = post
        self._shelf = shelf
        self._kept = kept
        self._ended = ended
        self._jobs: dict[Job[Read], str] = {}
        """Slide of each reading that waits or is under way."""
        self._generation: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a slide is read, or waits to be."""
        return bool(self._jobs)

    def reads(self, slide_id: str) -> bool:
        """Whether a slide is read, or waits to be, and was not told to stop."""
        return any(about == slide_id and not job.is_set() for job, about in self._jobs.items())

    def read(
        self,
        slide: "Slide",
        base: BaseModel,
        wishes: Wishes,
        done: Callable[[jobs.Opened, str], None],
        *,
        here: jobs.Opened | None,
        result: "Prediction | None",
    ) -> None:
        """Have a slide's features found or made.

        Parameters
        ----------
        wishes
            How it is read; the model is the base's.
        done
            Called with the features and a problem in one line; not for a slide that was closed meanwhile.
        here
            Features that are in memory, of this slide or another.
        result
            Result of the slide that is open.
        """
        generation = self._generation.get(slide.id, 0)
        report = seldom(lambda each: self._post(lambda: self._view.show_progress(each)), lambda: PROGRESS_SECONDS)

        def work(job: Job[Read]) -> Read:
            if here is not None and here.slide.id == slide.id:
                return here, ""
            found, _ = jobs.find_features(slide, base, result, self._kept)
            if found is not None:
                return found, ""
            prediction = jobs.read_slide(slide, base, wishes, self._shelf, job, report)
            problem = ""
            try:
                self._kept.keep(prediction)
            except GigaclfError as error:  # not kept is no reason not to teach
                problem = str(error)
            return jobs.opened(prediction, slide, "read just now"), problem

        def is_current() -> bool:
            return generation == self._generation.get(slide.id, 0)

        job = self._long.submit(
            work,
            done=lambda read: done(*read) if is_current() else None,
            failed=lambda text: self._view.show_note(text or "Stopped.") if is_current() else None,
            finished=lambda: self._finished(job),
        )
        self._jobs[job] = slide.id

    def cancel(self) -> None:
        """Stop all reading; what else the worker is to do, such as saving, it does."""
        if not self.busy:
            self._view.show_note(texts.NOTHING_READ)
        for job in self._jobs:
            job.cancel()

    def slide_gone(self, slide_id: str) -> None:
        """Stop reading a slide, and drop what is on its way for it."""
        self._generation[slide_id] = self._generation.get(slide_id, 0) + 1
        for job, about in self._jobs.items():
            if about == slide_id:
                job.cancel()

    def forget(self, slide: "Slide", base: BaseModel) -> None:
        """Delete what is kept of a slide by a model; what is in memory stays until the slide is closed."""
        slide_id, identity = slide.id, base.identity
        self._long.submit(lambda _job: self._kept.forget(slide_id, identity), self._forgotten, self._view.show_note)

    def forget_all(self) -> None:
        """Delete what is kept of all slides."""
        self._long.submit(lambda _job: self._kept.forget_all(), self._forgotten, self._view.show_note)

    def _forgotten(self, num_bytes: int) -> None:
        said = f"Deleted {num_bytes / 1e6:.0f} MB of kept features." if num_bytes else "No features were kept."
        self._view.show_note(said)

    def _finished(self, job: Job[Read]) -> None:
        self._jobs.pop(job, None)
        if not self._jobs:
            self._ended()
