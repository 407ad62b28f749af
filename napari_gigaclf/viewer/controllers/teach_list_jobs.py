"""Pieces of work for applying what was taught to a list of slides: one slide at a time, opened, read, answered, kept.

Slides are opened anew from their files, so that which of them a person looks at meanwhile makes no difference.
"""

import contextlib
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import Cancelled, GigaclfError, OutputError, ResultError
from napari_gigaclf.inference.teaching.checking import cross_validate
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import Lesson
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.viewer.controllers import teach_jobs
from napari_gigaclf.viewer.controllers.worklist_jobs import WorkItem
from napari_gigaclf.viewer.reader import shown_class
from napari_gigaclf.viewer.returning import pieces
from napari_gigaclf.viewer.returning.given_scale import with_given_scale
from napari_gigaclf.viewer.returning.state import ResultShown

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.models import Classifier
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.shelf import Shelf
    from napari_gigaclf.viewer.controllers.wishes import Wishes

MAX_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is applied to which slides, and with what."""

    items: tuple[WorkItem, ...]
    lesson: Lesson
    class_name: str
    """The class whose map is shown first; empty: the likeliest of each slide."""
    wishes: "Wishes"
    shelf: "Shelf"
    kept: KeptFeatures
    results: Path
    """Folder where results are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProgress:
    """How far it is."""

    done: int
    """Slides that are through, also those that failed."""
    total: int
    name: str
    """The slide that is read now."""
    reading: Progress | None
    """How far the network is on it; None while it is not at work."""
    remaining_seconds: float | None
    """Expected until all are through; None before anything is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOutcome:
    """What became of a list of slides."""

    applied: int
    total: int
    failures: tuple[tuple[str, str], ...]
    """Name of a slide, and why nothing was applied to it."""
    stopped: bool


def apply_to_list(
    task: Task,
    job: CancelToken,
    report: Callable[[ListProgress], None],
    applied: Callable[[pieces.Applied], None],
) -> ListOutcome:
    """Apply what was taught to slides, one after the other; one that fails does not stop the others.

    Parameters
    ----------
    report
        Told how far it is.
    applied
        Told of each result once it is kept.

    Raises
    ------
    GigaclfError
        The taught model cannot be made: nothing was applied.
    """
    model = _model(task)
    clock = _Clock(len(task.items), report)
    failures: list[tuple[str, str]] = []
    written: list[Path] = []
    for item in task.items:
        if job.is_set():
            break
        clock.begin(item.name)
        try:
            found = _one(task, item, model, job, clock.follow, written)
        except Cancelled:
            break
        except MemoryError:
            failures.append((item.name, "not enough memory"))
        except (GigaclfError, OSError) as error:
            failures.append((item.name, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one slide must not cost the others
            failures.append((item.name, f"unexpected {type(error).__name__}: {error}"))
        else:
            written.append(Path(found.shown.path))
            applied(found)
        clock.end()
    return ListOutcome(
        applied=len(written), total=len(task.items), failures=tuple(failures), stopped=clock.done < len(task.items)
    )


def result_name(lesson: Lesson) -> str:
    """Return what the model of a lesson is called in results: a lesson of the same name on other features is another.

    Examples
    --------
    >>> from napari_gigaclf.inference.teaching.lesson import BaseModel
    >>> base = BaseModel(name="lymph-node", version="1", sha256="", source="m", num_features=1)
    >>> result_name(Lesson(name="Kerne, groß", base=base))
    'Kerne_ gro_ on lymph-node'
    """
    text = re.sub(r"[^A-Za-z0-9._ -]", "_", f"{lesson.name.strip()} on {lesson.base.name}")
    return (text if text[0].isalnum() else f"lesson {text}")[:MAX_NAME]


def _model(task: Task) -> "Classifier":
    base = task.shelf.model(task.lesson.base.source, task.wishes.threads)
    from napari_gigaclf.inference.teaching.taught_model import taught_model

    evidence = evidence_of(task.lesson)
    return taught_model(task.lesson, learn(evidence), cross_validate(evidence), base, result_name(task.lesson))


def _one(
    task: Task,
    item: WorkItem,
    model: "Classifier",
    job: CancelToken,
    progress: ProgressCallback,
    written: Collection[Path],
) -> pieces.Applied:
    """Apply the model to one slide, and keep the result."""
    from napari_gigaclf.inference.teaching.applying import apply_taught
    from napari_gigaclf.slides import open_slide

    with open_slide(item.path, item.um_per_px) as opened:
        slide = with_given_scale(opened)
        prediction = apply_taught(_features(task, slide, job, progress), model)
        if job.is_set():
            raise Cancelled("stopped")
        path = KeptFeatures(task.results, pieces.MAX_RESULT_BYTES).keep(prediction, spare=written)
        name = task.class_name if task.class_name in model.classes else shown_class(prediction)
        return pieces.Applied(
            slide_id=slide.id,
            slide_name=slide.name,
            slide_path=item.path,
            shown=ResultShown(path=str(path), class_name=name, model=model.name),
        )


def _features(task: Task, slide: "Slide", job: CancelToken, progress: ProgressCallback) -> "Prediction":
    """Return the result of the base model whose features are kept, made now where there is none."""
    from napari_gigaclf.slides.pyramid import ensure_coarse_levels

    base = task.lesson.base
    with contextlib.suppress(ResultError):  # damaged: made anew
        found = teach_jobs.find_kept(slide, base, task.kept)
        if found is not None:
            return found
    with contextlib.suppress(OutputError):  # as it is, then: its coarse levels cannot be kept
        slide = ensure_coarse_levels(slide, progress, job)
    try:
        prediction = teach_jobs.read_slide(slide, base, task.wishes, task.shelf, job, progress)
    finally:
        task.shelf.forget(slide.id)  # masks of thousands of slides are not to gather
    with contextlib.suppress(OutputError):  # it is applied all the same, and read again another time
        task.kept.keep(prediction)
    return prediction


class _Clock:
    """Says how far a list is, and how long the rest takes if the slides to come take as long as those so far."""

    def __init__(self, total: int, report: Callable[[ListProgress], None]) -> None:
        self._total = total
        self._report = report
        self.done = 0
        self._name = ""
        self._start = time.monotonic()

    def begin(self, name: str) -> None:
        """Say that a slide is begun."""
        self._name = name
        self._say(None)

    def follow(self, reading: Progress) -> None:
        """Say how far the network is on it."""
        self._say(reading)

    def end(self) -> None:
        """Count the slide."""
        self.done += 1
        self._say(None)

    def _say(self, reading: Progress | None) -> None:
        rest = None if reading is None else reading.remaining_seconds
        slides = self.done + (rest is not None)  # the one that is read is counted with the time that it will have taken
        each = (time.monotonic() - self._start + (rest or 0.0)) / max(slides, 1)
        remaining = (rest or 0.0) + (self._total - slides) * each if slides else None
        self._report(
            ListProgress(
                done=self.done, total=self._total, name=self._name, reading=reading, remaining_seconds=remaining
            )
        )
