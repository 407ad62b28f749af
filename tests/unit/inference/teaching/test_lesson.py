"""What a person taught: everything can be taken back, and what a file says is checked."""

import dataclasses

import numpy as np
import pytest

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.inference.teaching import lesson as module
from napari_gigaclf.inference.teaching.lesson import Example, Lesson, Step, TaughtClass, new_lesson
from napari_gigaclf.inference.teaching.vectors import from_text, to_text

FEATURES = to_text(np.zeros(12, np.float32))


def example(place=(1.0, 2.0), number=0, slide="s"):
    return Example(slide_id=slide, place=place, class_number=number, features=FEATURES)


def names(lesson):
    return [each.name for each in lesson.classes]


def test_every_step_is_undone_one_by_one(base):
    lesson = new_lesson("l", base)
    steps = [
        lambda at: at.with_example(example()),
        lambda at: at.with_class("third"),
        lambda at: at.with_example(example((5.0, 5.0), 2)),
        lambda at: at.with_example(example((1.0, 2.0), 1)),
        lambda at: at.renamed(0, "nuclei"),
        lambda at: at.without_example(example((5.0, 5.0), 2)),
        lambda at: at.without_class(1),
    ]
    history = [lesson]
    for step in steps:
        history.append(step(history[-1]))
        assert history[-1] != history[-2]
    assert names(history[-1]) == ["nuclei", "third"]
    assert history[-1].examples == ()
    for before, after in zip(history[-2::-1], history[:0:-1], strict=True):
        assert after.undone() == before
    assert history[0].undone() is history[0]
    assert not history[0].can_undo


def test_a_cell_has_one_class_and_the_last_one_counts(base):
    lesson = new_lesson("l", base).with_example(example())
    assert lesson.with_example(example()) is lesson
    again = lesson.with_example(example(number=1))
    assert [each.class_number for each in again.examples] == [1]
    assert again.counts() == {0: 0, 1: 1}
    assert again.undone().counts() == {0: 1, 1: 0}
    elsewhere = again.with_example(example(slide="t"))
    assert elsewhere.counts() == {0: 1, 1: 1}


def test_numbers_and_colours_of_classes_that_went_are_not_mixed_up(base):
    lesson = new_lesson("l", base).with_example(example(number=1)).without_class(1).with_class("other")
    assert [each.number for each in lesson.classes] == [0, 2]
    assert lesson.examples == ()
    assert len({each.colour for each in lesson.classes}) == 2
    with pytest.raises(TrainingError, match="not there any more"):
        lesson.with_example(example(number=1))


def test_names_are_refused(base):
    lesson = new_lesson("l", base)
    with pytest.raises(TrainingError, match="a class 'class 1' already"):
        lesson.with_class(" class 1 ")
    with pytest.raises(TrainingError, match="already"):
        lesson.renamed(1, "class 1")
    assert lesson.renamed(0, "class 1 ") is lesson
    for name in ("", "  ", "x" * 101, "two\nlines"):
        with pytest.raises(ValueError, match="a class needs a name"):
            lesson.with_class(name)
    with pytest.raises(ValueError, match="a lesson needs a name"):
        dataclasses.replace(lesson, name=" ")


def test_limits(base, monkeypatch):
    lesson = new_lesson("l", base, tuple("abcdefghi"))
    with pytest.raises(TrainingError, match="9 classes"):
        lesson.with_class("j")
    monkeypatch.setattr(module, "MAX_EXAMPLES", 2)
    full = lesson.with_example(example()).with_example(example((9.0, 9.0)))
    with pytest.raises(TrainingError, match="2 examples"):
        full.with_example(example((7.0, 7.0)))
    assert full.with_example(example((9.0, 9.0))) is full
    monkeypatch.setattr(module, "MAX_STEPS", len(full.steps))
    with pytest.raises(TrainingError, match="steps are all"):
        full.renamed(0, "z")


def test_what_was_learnt_of_a_slide_does_not_change(teach):
    lesson = teach()
    other = dataclasses.replace(lesson.slides[0], num_cells=3)
    assert lesson.with_slide(other) is lesson


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step(kind="example"),
        lambda: Step(kind="class"),
        lambda: TaughtClass(number=0, name="a", colour=(0, 0, 256)),
        lambda: example(place=(float("nan"), 0.0)),
        lambda: from_text("no base64!", 3),
        lambda: from_text(to_text(np.ones(2)), 3),
        lambda: from_text(to_text(np.array([1.0, np.inf, 2.0])), 3),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError):
        make()


def test_vectors_come_back_to_the_last_bit():
    vector = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    assert np.array_equal(from_text(to_text(vector), 100), vector)


def test_a_lesson_is_not_longer_than_allowed(base):
    with pytest.raises(ValueError, match="up to 20000 steps"):
        Lesson(name="l", base=base, steps=(Step(kind="drop", class_number=0),) * 20_001)
