"""The controller of teaching without Qt: what is learnt, painted, kept and taken up again."""

import dataclasses
import threading
import time

import numpy as np
import pytest

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference import classify
from napari_gigaclf.inference.teaching import checking, lesson_file
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.learning import evidence_of, learn
from napari_gigaclf.inference.teaching.lesson_file import list_lessons
from napari_gigaclf.models import load_model
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.controllers import teach_jobs
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.teach import TeachController


class View:
    """Notes what the widget would show."""

    def __init__(self):
        self.lessons, self.chosen, self.shown, self.features = [], None, None, ("", {})
        self.maps, self.refreshed, self.hidden, self.checks = {}, 0, [], []
        self.suggestions, self.went, self.models, self.notes, self.saved = [], [], [], [], 0
        self.progress = []
        self.open = True
        self.box = Box(0, 64, 0, 64)

    def show_lessons(self, lessons, chosen):
        self.lessons, self.chosen = list(lessons), chosen

    def show_lesson(self, shown):
        self.shown = shown

    def show_features(self, text, **state):
        self.features = text, state

    def show_progress(self, progress):
        self.progress.append(progress)

    def show_map(self, slide, live):
        self.maps[slide.id] = live

    def refresh_map(self, slide):
        self.refreshed += 1

    def hide_map(self, slide_id):
        self.hidden.append(slide_id)
        self.maps.pop(slide_id, None)

    def show_check(self, check):
        self.checks.append(check)

    def show_suggestions(self, slide, places, current=None):
        self.suggestions, self.current = list(places), current

    def seen_box(self, slide):
        return self.box

    def go_to(self, slide_id, place):
        self.went.append((slide_id, place))
        return self.open

    def show_model(self, folder):
        self.models.append(folder)

    def show_note(self, text):
        self.notes.append(text)

    def show_saved(self):
        self.saved += 1


@pytest.fixture
def view():
    return View()


@pytest.fixture
def make(view, pump, make_worker, tmp_path, model_folder):
    """Return a function making a controller on the tiny model, as a program that is begun anew has it."""

    def controller():
        made = TeachController(
            view,
            quick=make_worker("quick"),
            saver=make_worker("saver"),
            long=make_worker("long"),
            post=pump,
            shelf=Shelf(),
            folder=tmp_path / "lessons",
            kept=KeptFeatures(tmp_path / "features"),
        )
        made.choose_model(str(model_folder))
        pump.until(lambda: made.lesson is not None)
        return made

    return controller


@pytest.fixture(scope="module")
def results(model_folder):
    """Return a function that runs the tiny model once per slide."""
    found = {}

    def result(slide):
        if slide.id not in found:
            found[slide.id] = classify(slide, str(model_folder), saliency=None, device="cpu")
        return found[slide.id]

    return result


class Held:
    """Holds up the reading of slides at its first report until it may go on."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def read(self, slide, base, wishes, shelf, job, progress, read=teach_jobs.read_slide):
        def report(each):
            progress(each)
            self.begun.set()
            assert self.go.wait(100)

        return read(slide, base, wishes, shelf, job, report)


@pytest.fixture
def held(monkeypatch):
    made = Held()
    monkeypatch.setattr(teach_jobs, "read_slide", made.read)
    yield made
    made.go.set()


@pytest.fixture
def other(pixels):
    """Another slide."""
    return open_slide([pixels[::-1].copy(), pixels[::-4, ::4].copy()], um_per_px=1.0)


def idle(worker):
    """Wait until a worker has nothing to do, without taking its answers."""
    end = time.monotonic() + 100
    while worker.busy:
        time.sleep(0.01)
        assert time.monotonic() < end


def checked(controller):
    return controller.painter.check is not None


def open_with(controller, pump, slide, results):
    controller.offer_results({slide.id: results(slide)})
    controller.choose_slide(slide)
    pump.until(lambda: controller.opened is not None and checked(controller))


def click(controller, pump, cells, number):
    """Click the middles of cells (row, column) of the map."""
    controller.choose_class(number)
    for cell in cells:
        controller.click(controller.slide, controller.opened.canvas.grid.centre_of(*cell))
        pump.until(lambda: checked(controller))


def canvas_cells(controller):
    return [tuple(map(int, each)) for each in np.argwhere(controller.opened.canvas.kept)]


def some_cells(controller):
    cells = canvas_cells(controller)
    return cells[:5], cells[-5:]


def test_teach_undo_and_come_back(make, view, pump, slide, results):
    first = make()
    open_with(first, pump, slide, results)
    ones, twos = some_cells(first)
    click(first, pump, ones, 0)
    assert slide.id not in view.maps
    click(first, pump, twos, 1)
    assert len(first.lesson.examples) == 10
    live = view.maps[slide.id]
    expected = first.opened.canvas.painted(learn(evidence_of(first.lesson)))
    assert np.array_equal(live.values, expected, equal_nan=True)
    assert np.array_equal(live.shown, expected[1], equal_nan=True)
    ten = first.lesson
    first.undo()
    first.undo()
    pump.until(lambda: checked(first))
    assert len(first.lesson.examples) == 8
    assert first.lesson == ten.undone().undone()
    eight = np.array(view.maps[slide.id].values)
    assert not np.array_equal(eight, expected, equal_nan=True)
    assert "Undone" in view.notes[-1]
    assert first.close()

    again = make()
    assert again.lesson == first.lesson
    again.choose_slide(slide)  # no result is open: its features were kept
    pump.until(lambda: again.opened is not None and checked(again))
    assert "kept from an earlier run" in view.features[0]
    assert np.array_equal(view.maps[slide.id].values, eight, equal_nan=True)


def test_the_taught_model_gives_the_painted_map_of_another_slide(make, view, pump, slide, results, pixels, tmp_path):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    click(controller, pump, twos, 1)
    other = open_slide([pixels[::-1].copy(), pixels[::-4, ::4].copy()], um_per_px=1.0)
    controller.apply([slide, other])  # streams the other one
    pump.until(lambda: other.id in view.maps)
    controller.save_model(tmp_path / "taught")
    pump.until(lambda: bool(view.models))
    streamed = classify(other, load_model(tmp_path / "taught"), saliency=None, device="cpu")
    assert streamed.classes == ("class 1", "class 2")
    assert np.isfinite(streamed.probability_map).any()
    assert streamed.probability_map == pytest.approx(view.maps[other.id].values, abs=2e-5, nan_ok=True)
    controller.save_model(tmp_path / "taught")
    pump.until(lambda: "exists already" in view.notes[-1])


def test_a_slide_without_features_is_read_and_kept(make, view, pump, slide):
    controller = make()
    controller.choose_slide(slide)
    pump.until(lambda: view.features[1].get("readable", False))
    controller.click(slide, (200.0, 200.0))
    assert "press Read slide" in view.notes[-1]
    controller.read()
    assert view.features[1]["reading"]
    pump.until(lambda: controller.opened is not None and not view.features[1]["reading"])
    assert view.features[1]["ready"]
    assert controller.kept.find(slide.id, controller.base.identity) is not None
    controller.forget_features()
    pump.until(lambda: "Deleted" in view.notes[-1])
    assert controller.kept.size() == 0
    controller.reader.forget_all()
    pump.until(lambda: view.notes[-1] == "No features were kept.")
    ones, _ = some_cells(controller)
    click(controller, pump, ones[:1], 0)  # what is in memory stays


def test_reading_can_be_stopped(make, view, pump, slide, held):
    controller = make()
    controller.choose_slide(slide)
    pump.until(lambda: view.features[1].get("readable", False))
    controller.read()
    pump.until(lambda: bool(view.progress))
    assert view.progress[0].done < view.progress[0].total
    controller.reader.cancel()
    held.go.set()
    pump.until(lambda: view.features[1]["readable"])
    assert view.notes[-1] == "Stopped."
    assert controller.kept.size() == 0


def test_what_cannot_be_read_is_said(make, view, pump, slide, results, held):
    controller = make()
    controller.read()
    assert view.notes[-1] == "Open a slide first."
    controller.reader.cancel()
    assert view.notes[-1] == "No slide is being read."
    controller.choose_slide(slide)
    pump.until(lambda: view.features[1].get("readable", False))
    controller.read()
    controller.read()
    assert view.notes[-1] == "A slide is being read already."
    assert held.begun.wait(100)
    held.go.set()
    pump.until(lambda: controller.opened is not None and not controller.reader.busy)
    controller.read()
    assert view.notes[-1] == "The slide's features are there already: click."
    assert not controller.reader.busy


def test_stopping_stops_all_reading_and_nothing_else(make, view, pump, slide, results, other, pixels, tmp_path, held):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    click(controller, pump, twos, 1)
    third = open_slide([pixels[:, ::-1].copy(), pixels[::4, ::-4].copy()], um_per_px=1.0)
    controller.apply([other, third])
    assert held.begun.wait(100)
    controller.save_model(tmp_path / "taught")
    controller.reader.cancel()
    held.go.set()
    pump.until(lambda: bool(view.models))
    assert load_model(tmp_path / "taught").classes == ("class 1", "class 2")
    assert not view.features[1]["reading"]
    assert view.maps.keys() == {slide.id}
    assert all(controller.kept.find(each.id, controller.base.identity) is None for each in (other, third))


def test_closing_a_slide_stops_its_reading(make, view, pump, slide, other, held):
    controller = make()
    controller.choose_slide(other)
    pump.until(lambda: view.features[1].get("readable", False))
    controller.read()
    assert held.begun.wait(100)
    controller.slide_gone(other.id)
    held.go.set()
    pump.until(lambda: not view.features[1]["reading"])
    assert controller.kept.size() == 0
    assert "Stopped." not in view.notes  # nobody pressed it
    controller.choose_slide(slide)
    pump.until(lambda: view.features[1]["readable"])
    controller.read()
    pump.until(lambda: controller.opened is not None)


@pytest.mark.parametrize("until", ["read", "painted"])
def test_a_slide_that_has_gone_is_not_painted(make, view, pump, slide, results, other, until):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    click(controller, pump, twos, 1)
    controller.apply([other])
    idle(controller._long)
    if until == "painted":
        go = threading.Event()
        controller._quick.submit(lambda _job: go.wait(100), lambda _done: None, pytest.fail)
        pump.until(lambda: not view.features[1]["reading"])
        go.set()
        idle(controller._quick)
    controller.slide_gone(other.id)
    pump.drain()
    idle(controller._quick)
    pump.drain()
    assert view.maps.keys() == controller.painter.maps.keys() == {slide.id}


def test_a_click_does_not_wait_for_the_check_of_the_one_before(make, view, pump, slide, results, monkeypatch):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    click(controller, pump, twos[:4], 1)
    begun, go, fitted, fit = threading.Event(), threading.Event(), [], checking.fit_softmax

    def waits(x, *others):
        fitted.append(len(x))
        begun.set()
        assert go.wait(100)
        return fit(x, *others)

    monkeypatch.setattr(checking, "fit_softmax", waits)
    canvas = controller.opened.canvas
    controller.choose_class(1)
    controller.click(slide, canvas.grid.centre_of(*twos[4]))
    pump.until(begun.is_set)  # ten examples are checked
    controller.click(slide, canvas.grid.centre_of(*canvas_cells(controller)[6]))
    go.set()
    pump.until(lambda: checked(controller))
    assert controller.painter.check.num_asked == 11
    assert fitted == [9] + 11 * [10]


def test_only_the_slide_that_is_chosen_last_is_looked_up(make, view, pump, slide, other, monkeypatch):
    controller = make()
    idle(controller._quick)
    looked, find, go = [], teach_jobs.find_features, threading.Event()
    monkeypatch.setattr(teach_jobs, "find_features", lambda *args: looked.append(args[0]) or find(*args))
    controller._quick.submit(lambda _job: go.wait(100), lambda _done: None, pytest.fail)
    for each in (slide, other, slide, other):
        controller.choose_slide(each)
    go.set()
    pump.until(lambda: view.features[1]["readable"])
    idle(controller._quick)
    assert looked == [other]


def test_a_result_with_rounded_features_is_not_taken(make, view, pump, slide, results, tmp_path):
    from napari_gigaclf.inference import Prediction

    rounded = Prediction.load(results(slide).save(tmp_path / "half.gigaclf"))
    controller = make()
    controller.offer_results({slide.id: rounded})
    controller.choose_slide(slide)
    pump.until(lambda: view.features[1].get("readable", False))
    assert controller.opened is None


def test_another_scale_or_other_weights_are_not_taken(make, view, pump, slide, results):
    controller = make()
    record = results(slide).record
    for other in (
        dataclasses.replace(record, slide=dataclasses.replace(record.slide, um_per_px=(2.0, 2.0))),
        dataclasses.replace(record, model=dataclasses.replace(record.model, sha256="0")),
    ):
        controller.choose_slide(None)
        controller.offer_results({slide.id: dataclasses.replace(results(slide), record=other)})
        controller.choose_slide(slide)
        pump.until(lambda: view.features[1].get("readable", False))
        assert controller.opened is None


def test_clicks_on_glass_and_twice_on_a_cell(make, view, pump, slide, results):
    controller = make()
    open_with(controller, pump, slide, results)
    controller.click(slide, (2.0, 2.0))
    assert "no features here" in view.notes[-1]
    ones, _ = some_cells(controller)
    click(controller, pump, [ones[0], ones[0]], 0)
    assert len(controller.lesson.steps) == 3
    click(controller, pump, [ones[0]], 1)
    assert controller.lesson.counts() == {0: 0, 1: 1}
    controller.undo()
    assert controller.lesson.counts() == {0: 1, 1: 0}


def test_classes_are_added_renamed_removed_and_brought_back(make, view, pump, slide, results):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    controller.add_class("third")
    assert controller.current_class == 2
    controller.choose_class_at(0)
    assert controller.current_class == 0
    click(controller, pump, ones, 0)
    click(controller, pump, twos, 2)
    assert view.maps[slide.id].classes == ("class 1", "third")
    controller.rename_class(2, "dense")
    pump.until(lambda: view.maps[slide.id].classes == ("class 1", "dense"))
    controller.rename_class(2, "class 1")
    assert "already" in view.notes[-1]
    controller.remove_class(2)
    pump.until(lambda: slide.id in view.hidden)
    assert len(controller.lesson.examples) == 5
    controller.undo()
    pump.until(lambda: slide.id in view.maps)
    assert len(controller.lesson.examples) == 10


def test_contested_examples_and_suggestions(make, view, pump, slide, results):
    controller = make()
    open_with(controller, pump, slide, results)
    assert len(view.suggestions) > 0  # before anything is taught
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    click(controller, pump, twos, 1)
    check = controller.painter.check
    assert check.num_asked == 10
    assert set(view.shown.contested) == {each.example.key for each in check.contested}
    first = list(controller.painter.suggestions)
    assert view.suggestions == [controller.opened.canvas.grid.centre_of(*cell) for cell in first]
    controller.next_suggestion()
    assert view.went[-1] == (slide.id, controller.opened.canvas.grid.centre_of(*first[0]))
    assert first[0] not in controller.painter.suggestions
    assert view.current == view.went[-1][1]
    click(controller, pump, [first[1]], 1)
    assert first[0] not in controller.painter.suggestions  # it was passed
    assert first[1] not in controller.painter.suggestions  # it is an example
    while controller.painter.suggestions:
        controller.next_suggestion()
    controller.next_suggestion()
    assert "no more suggestions" in view.notes[-1]


def test_what_is_in_view_is_painted_first(make, view, pump, slide, results, monkeypatch):
    from napari_gigaclf.inference.teaching import painting

    monkeypatch.setattr(painting, "BLOCK_CELLS", 10)
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    view.box = Box(300, 340, 0, 640)
    seen = []
    painted = controller.painter._painted

    def note(generation, at, head, updates):
        seen.append([update.y0 for update in updates])
        painted(generation, at, head, updates)

    monkeypatch.setattr(controller.painter, "_painted", note)
    click(controller, pump, ones[:1], 0)
    click(controller, pump, twos[:1], 1)
    assert len(seen) == 2
    assert set(seen[0]) <= {9, 10}
    assert set(seen[1]).isdisjoint({9, 10})
    expected = controller.opened.canvas.painted(learn(evidence_of(controller.lesson)))
    assert np.array_equal(view.maps[slide.id].values, expected, equal_nan=True)


def test_an_example_on_a_closed_slide_still_teaches(make, view, pump, slide, results, pixels):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, _twos = some_cells(controller)
    click(controller, pump, ones, 0)
    example = controller.lesson.examples[0]
    controller.slide_gone(slide.id)
    assert controller.slide is None
    view.open = False
    controller.go_to(example)
    assert "is not open" in view.notes[-1]
    other = open_slide([pixels[::-1].copy(), pixels[::-4, ::4].copy()], um_per_px=1.0)
    open_with(controller, pump, other, results)
    click(controller, pump, some_cells(controller)[1], 1)
    assert other.id in view.maps
    assert {each.slide_id for each in controller.lesson.examples} == {slide.id, other.id}
    controller.remove(example)
    pump.until(lambda: checked(controller))
    assert example not in controller.lesson.examples


def test_lessons_are_listed_and_chosen(make, view, pump, slide, results, tmp_path):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, twos = some_cells(controller)
    click(controller, pump, ones, 0)
    first = view.chosen
    controller.choose_lesson(None)
    pump.until(lambda: checked(controller))
    assert controller.lesson.examples == ()
    click(controller, pump, twos[:2], 1)
    second = view.chosen
    controller.choose_lesson(first)
    pump.until(lambda: checked(controller))
    assert len(controller.lesson.examples) == 5
    assert [name for name, _ in view.lessons] == ["lesson 1", "lesson 2"]
    assert {path for _, path in view.lessons} == {first, second}
    pump.until(lambda: len(list_lessons(tmp_path / "lessons", controller.base.identity)[0]) == 2)


def test_a_lesson_is_renamed_and_found_again_under_its_name(make, view, pump, slide, results, tmp_path):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, _ = some_cells(controller)
    controller.rename_lesson("lesson 1")
    assert not (tmp_path / "lessons").exists(), "nothing has changed"
    controller.rename_lesson("  nuclei: dense or not ")
    path = view.chosen
    assert view.lessons == [("nuclei: dense or not", path)]
    pump.until(lambda: view.saved == 1)
    click(controller, pump, ones[:1], 0)
    controller.undo()
    assert controller.lesson.name == "nuclei: dense or not"
    controller.choose_lesson(None)
    controller.rename_lesson("lesson 3")
    controller.choose_lesson(None)
    assert controller.lesson.name == "lesson 4", "the next number is taken"
    controller.choose_lesson(path)
    assert controller.close()
    assert {each.name for each in on_disk(tmp_path, controller)} == {"nuclei: dense or not", "lesson 3"}
    again = make()
    assert sorted(name for name, _ in view.lessons) == ["lesson 3", "nuclei: dense or not"]
    again.choose_lesson(path)
    assert again.lesson.name == "nuclei: dense or not"


def on_disk(folder, controller):
    """Return the lessons on the disk."""
    found, problems = list_lessons(folder / "lessons", controller.base.identity)
    assert not problems
    return [lesson for _, lesson in found]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (" ", "needs a name of one line"),
        ("two\nlines", "needs a name of one line"),
        ("x" * 101, "up to 100 letters"),
        ("lesson 1", "there is a lesson 'lesson 1' already"),
    ],
)
def test_what_is_no_name_or_taken_is_refused_and_nothing_is_written(
    make, view, pump, slide, results, tmp_path, name, why
):
    controller = make()
    open_with(controller, pump, slide, results)
    ones, _ = some_cells(controller)
    click(controller, pump, ones[:1], 0)
    controller.choose_lesson(None)
    before = list(view.lessons)
    controller.rename_lesson(name)
    assert view.notes[-1].startswith("Not renamed: ")
    assert why in view.notes[-1]
    assert controller.lesson.name == "lesson 2"
    assert view.lessons == before
    assert controller.close()
    assert [each.name for each in on_disk(tmp_path, controller)] == ["lesson 1"]


def test_lessons_are_read_once_and_not_by_the_window(make, view, pump, slide, results, monkeypatch):
    first = make()
    open_with(first, pump, slide, results)
    ones, twos = some_cells(first)
    click(first, pump, ones[:1], 0)
    first.choose_lesson(None)
    click(first, pump, twos[:2], 1)
    assert first.close()
    read, threads = lesson_file.read_lesson, []

    def noted(path):
        threads.append((threading.current_thread().name, path))
        return read(path)

    monkeypatch.setattr(lesson_file, "read_lesson", noted)
    again = make()
    assert len(again.lesson.examples) == 2
    for path in [path for _, path in view.lessons]:
        again.choose_lesson(path)
    assert len(again.lesson.examples) == 1
    assert again.lesson.base.source == again.base.source
    again.undo()
    pump.until(lambda: view.saved >= 3)
    assert {name for name, _ in threads} == {"saver"}
    assert len(threads) == len({path for _, path in threads}) == 2


def test_an_empty_lesson_is_chosen_again(make, view, pump):
    controller = make()
    (entry,) = view.lessons
    lesson = controller.lesson
    controller.choose_lesson(entry[1])
    assert controller.lesson is lesson
    assert view.lessons == [entry]


def test_a_lesson_that_another_window_changed_is_not_overwritten(make, view, pump, slide, results, tmp_path):
    one = make()
    open_with(one, pump, slide, results)
    ones, twos = some_cells(one)
    click(one, pump, ones[:1], 0)
    assert one.close()
    one, two = make(), make()
    for each in (one, two):
        open_with(each, pump, slide, results)
    click(one, pump, ones[1:2], 0)
    pump.until(lambda: view.saved >= 2)
    click(two, pump, twos[:1], 1)
    pump.until(lambda: any("another window has changed this lesson" in note for note in view.notes))
    ((_, kept),) = list_lessons(tmp_path / "lessons", one.base.identity)[0]
    assert kept == one.lesson


def test_too_little_is_neither_saved_nor_applied(make, view, pump, slide, results, tmp_path):
    controller = make()
    open_with(controller, pump, slide, results)
    controller.save_model(tmp_path / "taught")
    assert "Teach two classes first" in view.notes[-1]
    controller.apply([slide])
    assert "Teach two classes first" in view.notes[-1]
    assert not (tmp_path / "taught").exists()


def test_closing_writes_the_last_click(make, view, pump, slide, results, tmp_path, monkeypatch):
    from napari_gigaclf.inference import own_file

    controller = make()
    open_with(controller, pump, slide, results)
    ones, _ = some_cells(controller)
    slow, write = threading.Event(), own_file.write_record

    def waits(path, record):
        slow.wait(0.3)
        write(path, record)

    monkeypatch.setattr(own_file, "write_record", waits)
    controller.choose_class(0)
    for cell in ones:
        controller.click(slide, controller.opened.canvas.grid.centre_of(*cell))
    assert controller.close()
    ((_, kept),) = list_lessons(tmp_path / "lessons", controller.base.identity)[0]
    assert len(kept.examples) == 5
