"""The slide that is taught on: its features are found, in memory or where they are kept, and said to be there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.lesson import BaseModel
from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.controllers import teach_jobs as jobs
from napari_gigaclf.viewer.controllers.teach_painter import TeachPainter
from napari_gigaclf.viewer.controllers.teach_reader import TeachReader
from napari_gigaclf.viewer.controllers.teach_view import TeachView
from napari_gigaclf.viewer.worker import Job, Worker

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide


class TeachSlide:
    """One slide at a time; an answer for one that is not shown any more is dropped.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick, long
        Workers for finding features, and for keeping those of a result that is open.
    kept
        Where features are kept.
    painter, reader
        Paint the slide's map and stream it.
    repaint
        Called when features have come or gone.
    """

    def __init__(
        self,
        view: TeachView,
        *,
        quick: Worker,
        long: Worker,
        kept: KeptFeatures,
        painter: TeachPainter,
        reader: TeachReader,
        repaint: Callable[[], None],
    ) -> None:
        self._view = view
        self._quick, self._long = quick, long
        self._kept = kept
        self._painter, self._reader = painter, reader
        self._repaint = repaint
        self.slide: Slide | None = None
        self.opened: jobs.Opened | None = None
        self.results: dict[str, Prediction] = {}
        """Results that are open, by slide id; their features need not be made again."""
        self.base: BaseModel | None = None
        """The model on whose features one teaches."""
        self._generation = 0
        self._job: Job[tuple[jobs.Opened | None, str]] | None = None

    def open(self) -> None:
        """Find the features of the slide."""
        self.drop()
        if self._job is not None:
            self._job.cancel()
            self._job = None
        generation, slide, base = self._generation, self.slide, self.base
        self.opened = None
        self._painter.drop()
        self._view.show_suggestions(slide, [])
        if slide is None or base is None:
            self.show_features()
            return
        result = self.results.get(slide.id)
        kept_from = result if result is not None and jobs.fits(result, slide, base) else None

        def found(answer: tuple[jobs.Opened | None, str]) -> None:
            if generation == self._generation:
                self._job = None  # it holds the result
                self.take_features(answer[0], answer[1])
                if kept_from is not None and jobs.whole_slide(kept_from):
                    self._long.submit(
                        lambda _job: jobs.keep_once(self._kept, kept_from), lambda _done: None, self._painter.problem
                    )

        self.show_features("looking for the slide's features...")
        self._job = self._quick.submit(
            lambda _job: jobs.find_features(slide, base, result, self._kept), found, self._painter.problem
        )

    def take_features(self, opened: "jobs.Opened | None", problem: str = "") -> None:
        """Teach on these features from now on."""
        self.opened = opened
        self.show_features()
        if problem:
            self._view.show_note(problem)
        self._repaint()

    def show_features(self, text: str = "") -> None:
        """Say whether the features are there, and whether the slide can be read for them."""
        reading = self._reader.busy
        readable = self.slide is not None and self.base is not None and self.opened is None and not reading
        said = text or (
            texts.READING
            if reading and self.opened is None
            else texts.features_text(self.slide, self.base, self.opened)
        )
        self._view.show_features(said, ready=self.opened is not None, readable=readable, reading=reading)

    def forget_features(self) -> None:
        """Delete what is kept of the slide by the model; what is in memory stays until the slide is closed."""
        if self.slide is None or self.base is None:
            self._view.show_note(texts.features_text(self.slide, self.base, None))
        else:
            self._reader.forget(self.slide, self.base)

    def drop(self) -> None:
        """Let no answer through that is on its way."""
        self._generation += 1
