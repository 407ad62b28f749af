"""Examples of a slide whose micrometres per pixel were corrected: left out, then read again at the scale it has now.

Features of two scales are about two magnifications, and must not be learnt from together.
"""

import dataclasses
from collections.abc import Mapping

from napari_gigaclf.inference.teaching.lesson import Example, Lesson, Scale, Step, TaughtSlide
from napari_gigaclf.inference.teaching.painting import Canvas
from napari_gigaclf.inference.teaching.vectors import to_text


def at_scales(lesson: Lesson, scales: Mapping[str, Scale]) -> Lesson:
    """Return the lesson in which slides that have another scale now are outdated; itself if none changes.

    Parameters
    ----------
    scales
        Micrometres per pixel, (y, x), of slides that are open, by id.
    """
    slides = tuple(
        dataclasses.replace(each, outdated=scales.get(each.slide_id, each.um_per_px) != each.um_per_px)
        if each.slide_id in scales
        else each
        for each in lesson.slides
    )
    return lesson if slides == lesson.slides else dataclasses.replace(lesson, slides=slides)


def read_again(lesson: Lesson, about: TaughtSlide, canvas: Canvas) -> Lesson:
    """Return the lesson with the examples on a slide at the scale it has now; itself if none is of another.

    Those that lie where the slide has no features now stay as they are, and are left out of what is learnt. What was
    taken back or dropped is read again, too: undo brings it back.

    Parameters
    ----------
    about
        The slide at the scale that it has now.
    canvas
        Its features.
    """
    before = next((each for each in lesson.slides if each.slide_id == about.slide_id), None)
    if before is None or (before.um_per_px == about.um_per_px and not before.outdated):
        return lesson
    slides = tuple(about if each is before else each for each in lesson.slides)
    return dataclasses.replace(lesson, slides=slides, steps=tuple(_step(each, about, canvas) for each in lesson.steps))


def _step(step: Step, about: TaughtSlide, canvas: Canvas) -> Step:
    """Return a step about the cell that lies now where its example was."""
    example = step.example
    if example is None or example.slide_id != about.slide_id or example.um_per_px == about.um_per_px:
        return step
    cell = canvas.cell_at(example.place)
    if cell is None:
        return step
    again = Example(
        slide_id=example.slide_id,
        place=canvas.grid.centre_of(*cell),
        class_number=example.class_number,
        features=to_text(canvas.features[canvas.number_of(cell)]),
        um_per_px=about.um_per_px,
    )
    return dataclasses.replace(step, example=again)
