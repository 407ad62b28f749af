"""Examples of a slide that was given another scale: left out, then read again where there are features."""

import dataclasses

import numpy as np

from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson import TaughtSlide
from napari_gigaclf.inference.teaching.rereading import at_scales, read_again
from napari_gigaclf.inference.teaching.vectors import to_text

OLD, NEW = (0.5, 0.5), (0.25, 0.25)


def scaled(lesson, slide_id="s"):
    """Return a lesson whose examples on a slide were read at the old scale."""
    slides = [dataclasses.replace(each, um_per_px=OLD) if each.slide_id == slide_id else each for each in lesson.slides]
    steps = [
        dataclasses.replace(each, example=dataclasses.replace(each.example, um_per_px=OLD))
        if each.example is not None and each.example.slide_id == slide_id
        else each
        for each in lesson.steps
    ]
    return dataclasses.replace(lesson, slides=tuple(slides), steps=tuple(steps))


def at_new(canvas):
    mean, deviation = map(to_text, canvas.moments())
    return TaughtSlide(
        slide_id="s", name="s.svs", num_cells=len(canvas.features), mean=mean, deviation=deviation, um_per_px=NEW
    )


def test_those_of_a_corrected_scale_are_learnt_from_no_more_and_again_when_it_is_set_back(teach):
    lesson = scaled(teach())
    assert at_scales(lesson, {"s": OLD, "u": NEW}) is lesson
    corrected = at_scales(lesson, {"s": NEW})
    assert {each.slide_id for each in corrected.used} == {"t"}
    assert len(corrected.examples) == len(lesson.examples)
    only = lesson
    for each in lesson.examples:
        only = only.without_example(each) if each.slide_id == "s" else only
    assert np.array_equal(evidence_of(corrected).mean, evidence_of(only).mean), "nor do the old cells spread it"
    assert np.array_equal(learn(evidence_of(corrected)).weights, learn(evidence_of(only)).weights)
    assert at_scales(corrected, {"s": OLD}) == lesson


def test_what_has_no_features_now_stays_out_and_all_else_is_read_again(teach, make_canvas):
    lesson = scaled(teach())
    canvas, _ = make_canvas(5)
    again = read_again(at_scales(lesson, {"s": NEW}), at_new(canvas), canvas)
    here = [each for each in lesson.examples if each.slide_id == "s"]
    found = [canvas.cell_at(each.place) for each in here]
    assert None in found, "some lie on what is glass now"
    now = {each.place: each for each in again.examples if each.slide_id == "s"}
    for each, cell in zip(here, found, strict=True):
        if cell is None:
            assert now[each.place] == each
            assert now[each.place] not in again.used
        else:
            taken = now[canvas.grid.centre_of(*cell)]
            assert np.array_equal(taken.vector(12), canvas.features[canvas.number_of(cell)])
            assert taken in again.used
            assert taken.class_number == each.class_number
    assert read_again(again, at_new(canvas), canvas) is again
    assert len(learn(evidence_of(again)).classes) == 3


def test_what_was_taken_back_is_read_again_too(teach, make_canvas):
    lesson = scaled(teach(slides=("s",)))
    canvas, _ = make_canvas(0)
    last = lesson.examples[-1]
    removed = read_again(at_scales(lesson.without_example(last), {"s": NEW}), at_new(canvas), canvas)
    back = removed.undone()
    assert len(back.used) == len(removed.used) + 1 == len(lesson.examples)
    assert {each.um_per_px for each in back.used} == {NEW}
