"""Pieces of work of the Teach widget for its workers: find features, stream a slide for them, learn, save a model."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gigaclf.errors import Cancelled, GigaclfError, ModelError
from napari_gigaclf.inference.map_update import MapUpdate
from napari_gigaclf.inference.teaching.base import describe_base
from napari_gigaclf.inference.teaching.checking import Check, cross_validate
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.learning import Head, evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import BaseModel, Lesson, Scale, TaughtSlide
from napari_gigaclf.inference.teaching.lesson_file import list_lessons
from napari_gigaclf.inference.teaching.painting import Canvas
from napari_gigaclf.inference.teaching.rereading import at_scales, read_again
from napari_gigaclf.inference.teaching.suggesting import suggest
from napari_gigaclf.inference.teaching.vectors import to_text
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.viewer import teach_texts as texts
from napari_gigaclf.viewer.controllers.teach_lessons import Lessons

if TYPE_CHECKING:
    from napari_gigaclf.geometry import Box
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.shelf import Shelf
    from napari_gigaclf.viewer.controllers.wishes import Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A slide whose features are in memory."""

    slide: "Slide"
    canvas: Canvas
    about: TaughtSlide
    source: str
    """Where the features come from, in words."""
    level: str
    """The level that the network read, as it was asked for: "auto" or a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found beside the map."""

    check: Check
    suggestions: tuple[tuple[int, int], ...]


def look_up(source: str, folder: Path) -> tuple[BaseModel, Lessons, list[str]]:
    """Return what a model is, the lessons about it (the latest first), and what of the folder cannot be read."""
    import scipy.optimize  # noqa: F401 - the first click must not wait for it

    base = describe_base(source)
    listed, problems = list_lessons(folder, base.identity)
    # The model may lie elsewhere now than when a lesson was begun.
    lessons = {
        file.path: (file, dataclasses.replace(each, base=dataclasses.replace(each.base, source=base.source)))
        for file, each in listed
    }
    return base, lessons, problems


def fits(prediction: "Prediction", slide: "Slide", base: BaseModel) -> bool:
    """Return whether a result has the features of a slide, by a model, at the scale that the slide has now."""
    record = prediction.record
    same = (record.model.name, record.model.version, record.model.sha256) == base.identity
    there = prediction.store.whole and int(prediction.store.features.shape[0]) > 0
    return same and there and record.slide.id == slide.id and record.slide.um_per_px == slide.um_per_px


def opened(prediction: "Prediction", slide: "Slide", source: str) -> Opened:
    """Take the features of a result into memory."""
    canvas = Canvas.of(prediction.store, prediction.grid)
    mean, deviation = canvas.moments()
    return Opened(
        slide=slide,
        canvas=canvas,
        about=TaughtSlide(
            slide_id=slide.id,
            name=slide.name[:1000],
            num_cells=len(canvas.features),
            mean=to_text(mean),
            deviation=to_text(deviation),
            um_per_px=prediction.record.slide.um_per_px,
        ),
        source=source,
        level=prediction.record.parameters.get("level", "auto"),
    )


def find_features(
    slide: "Slide", base: BaseModel, result: "Prediction | None", kept: KeptFeatures
) -> tuple[Opened | None, str]:
    """Return the features of a slide from an open result or from the disk, or None; and a problem in one line."""
    if result is not None and fits(result, slide, base):
        return opened(result, slide, "from the result that is open"), ""
    try:
        found = find_kept(slide, base, kept)
        return (None, "") if found is None else (opened(found, slide, "kept from an earlier run"), "")
    except (GigaclfError, OSError) as error:
        return None, f"{error}; press Read slide to make them again"


def find_kept(slide: "Slide", base: BaseModel, kept: KeptFeatures) -> "Prediction | None":
    """Return the result with a slide's features that is kept; None where there is none at the scale it has now.

    Raises
    ------
    ResultError
        It is damaged.
    """
    found = kept.find(slide.id, base.identity)
    return found if found is not None and fits(found, slide, base) else None


def read_slide(
    slide: "Slide",
    base: BaseModel,
    wishes: "Wishes",
    shelf: "Shelf",
    job: CancelToken,
    progress: ProgressCallback,
) -> "Prediction":
    """Stream a slide through a model for its features.

    Raises
    ------
    GigaclfError
        The slide cannot be read by this model, or its weights are not those that were looked up.
    Cancelled
        It was stopped; part of a slide is not kept.
    """
    model = shelf.model(wishes.model, wishes.threads)
    if (model.name, model.version, model.sha256) != base.identity:
        raise ModelError(f"{base.source}: its weights have changed since it was chosen; choose the model again")
    prediction = shelf.prepare(slide, wishes).run(saliency=None, cancel=job, progress=progress)
    if not prediction.complete:
        raise Cancelled("stopped")
    if not len(prediction.store.features):
        raise GigaclfError(f"{slide.name}: {prediction.message or 'no tissue found'}")
    return prediction


def whole_slide(prediction: "Prediction") -> bool:
    """Return whether a result covers its slide, so that it is worth keeping."""
    return prediction.complete and not prediction.record.input.region


def keep_once(kept: KeptFeatures, prediction: "Prediction") -> None:
    """Keep the features of a result, unless those that are kept are its own."""
    record = prediction.record
    try:
        there = kept.find(record.slide.id, (record.model.name, record.model.version, record.model.sha256))
    except GigaclfError:  # damaged: written anew
        there = None
    if there is None or there.record.started != record.started:
        kept.keep(prediction)


def at_present(lesson: Lesson, scales: Mapping[str, Scale], at: Opened | None) -> tuple[Lesson, str]:
    """Return the lesson as it holds at the scales that slides have now, and what to say of it.

    Parameters
    ----------
    scales
        Of the slides that are open, by id.
    at
        The slide whose features are in memory; its examples are read again if they are of another scale.
    """
    now = at_scales(lesson, scales)
    if at is not None and scales.get(at.slide.id, at.about.um_per_px) == at.about.um_per_px:
        now = read_again(now, at.about, at.canvas)
    left_out = len(now.examples) - len(now.used)
    again = len({each.key for each in now.used} - {each.key for each in lesson.used})
    return now, texts.rescaled_text(again, left_out) if now is not lesson else ""


def seen_rows(canvas: Canvas, box: "Box | None") -> tuple[int, int] | None:
    """Return first and last row (exclusive) of the map in a box of level-0 pixels."""
    if box is None:
        return None
    first = canvas.grid.index_of((box.y0, box.x0))[0]
    return first, canvas.grid.index_of((box.y1, box.x1))[0] + 1


def repaint(
    lesson: Lesson,
    canvas: Canvas,
    seen: tuple[int, int] | None,
    job: CancelToken,
    show: Callable[[Head, list[MapUpdate]], None],
) -> Head | None:
    """Learn and paint: what is in view is handed to ``show`` first, then all the rest. None if there is too little."""
    evidence = evidence_of(lesson)
    if not evidence.can_learn:
        return None
    head = learn(evidence)
    waiting: list[MapUpdate] = []
    in_view = True
    for rows in canvas.row_blocks(seen):
        if job.is_set():
            return head
        inside = seen is not None and seen[0] <= rows[0] < seen[1]
        if in_view and not inside:
            in_view = False
            if waiting:
                show(head, waiting)
                waiting = []
        waiting.append(canvas.paint(head, rows))
    show(head, waiting)
    return head


def judge(
    lesson: Lesson,
    canvas: Canvas,
    values: "np.ndarray | None",
    skipped: frozenset[tuple[int, int]],
    job: CancelToken,
) -> Findings:
    """Cross-validate, and say where to click next on the slide that is open.

    Raises
    ------
    Cancelled
        Something else was taught meanwhile.
    """
    evidence = evidence_of(lesson)
    check = cross_validate(evidence, job)
    if job.is_set():
        raise Cancelled("stopped")
    cells = tuple(suggest(canvas, evidence, values, skipped=skipped))
    return Findings(check=check, suggestions=cells)


def paint_whole(lesson: Lesson, canvas: Canvas) -> "tuple[Head, np.ndarray]":
    """Learn, and return the head with the whole map (K, rows, columns)."""
    head = learn(evidence_of(lesson))
    return head, canvas.painted(head)


def save_model(lesson: Lesson, shelf: "Shelf", folder: Path, threads: int = 0) -> Path:
    """Learn, check, and write the taught model.

    Raises
    ------
    ModelError, OutputError
        See ``save_taught_model``.
    """
    base = shelf.model(lesson.base.source, threads)
    from napari_gigaclf.inference.teaching.taught_model import save_taught_model

    evidence = evidence_of(lesson)
    return save_taught_model(lesson, learn(evidence), cross_validate(evidence), base, folder)
