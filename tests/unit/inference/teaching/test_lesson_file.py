"""Lessons on disk: what is loaded is what was saved, and what is damaged is refused in one line."""

import dataclasses
import json
import os

import pytest

from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.inference.teaching.lesson_file import LessonFile, list_lessons, read_lesson


def test_round_trip(teach, tmp_path):
    lesson = teach()
    file = LessonFile.new(tmp_path / "not" / "there")
    file.save(lesson)
    file.save(lesson.undone())
    again = LessonFile(file.path)
    assert again.load() == lesson.undone()
    again.save(lesson)
    assert read_lesson(file.path) == lesson


def test_a_second_window_is_refused(teach, tmp_path):
    lesson = teach()
    one = LessonFile.new(tmp_path)
    one.save(lesson)
    two = LessonFile(one.path)
    two.load()
    two.save(lesson.undone())
    with pytest.raises(OutputError, match="another window has changed this lesson"):
        one.save(lesson)
    assert read_lesson(one.path) == lesson.undone()


def test_they_are_listed_the_latest_first_and_damaged_ones_are_named(teach, tmp_path):
    lesson = teach()
    paths = []
    for number in range(3):
        file = LessonFile.new(tmp_path)
        file.save(lesson)
        os.utime(file.path, (number, number))
        paths.append(file.path)
    paths[1].write_text("{")
    (tmp_path / "notes.json").write_text("{}")
    found, problems = list_lessons(tmp_path, lesson.base.identity)
    assert [(file.path, each) for file, each in found] == [(paths[2], lesson), (paths[0], lesson)]
    assert len(problems) == 1
    assert str(paths[1]) in problems[0]
    assert list_lessons(tmp_path / "none", lesson.base.identity) == ([], [])


def test_lessons_about_other_models_are_not_listed(teach, tmp_path):
    lesson = teach()
    other = dataclasses.replace(lesson, base=dataclasses.replace(lesson.base, sha256="f" * 64))
    for each in (lesson, other):
        LessonFile.new(tmp_path).save(each)
    assert [each for _, each in list_lessons(tmp_path, other.base.identity)[0]] == [other]


def test_a_lesson_that_was_listed_is_written_in_its_place_unless_it_has_changed(teach, tmp_path):
    lesson = teach()
    first = LessonFile.new(tmp_path)
    first.save(lesson)
    (((one, _),), _), (((two, _),), _) = (list_lessons(tmp_path, lesson.base.identity) for _ in range(2))
    one.save(lesson.undone())
    with pytest.raises(OutputError, match="another window has changed this lesson"):
        two.save(lesson)
    assert read_lesson(first.path) == lesson.undone()


def damage(raw, *keys, value):
    place = raw["lesson"]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("name",), "", "a lesson needs a name"),
        (("name",), 3, "lesson.name must be of type str"),
        (("surplus",), 1, "unknown key 'surplus'"),
        (("base", "num_features"), 13, "features have 48 bytes"),
        (("base", "num_features"), 10**9, "num_features is 1000000000"),
        (("slides", 0, "mean"), "AAAA", "features have 3 bytes"),
        (("slides", 0, "num_cells"), 0, "at least one cell"),
        (("steps", 5, "example", "place"), [1.0], "must have 2 entries"),
        (("steps", 5, "example", "features"), "?", "not base64"),
        (("steps", 5, "kind"), "burn", "known are example"),
        (("steps", 5, "example"), None, "lacks what it is about"),
        (("steps",), [0] * 20_001, "more than the 20000 that are read"),
    ],
)
def test_damage_is_refused_in_one_line(teach, tmp_path, keys, value, words):
    path = tmp_path / "lesson.json"
    LessonFile(path).save(teach())
    raw = json.loads(path.read_text())
    damage(raw, *keys, value=value)
    path.write_text(json.dumps(raw))
    with pytest.raises(ResultError, match=words) as error:
        read_lesson(path)
    assert "\n" not in str(error.value)
    assert "move it away" in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "napari-gigaclf lesson 2"}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "lesson.json"
    path.write_text(text)
    with pytest.raises(ResultError):
        read_lesson(path)
