"""The state machine with a fake window and the real core: plans, runs, cancels, late answers, slides that go away."""

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_gigaclf.geometry import Box
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.controllers.giving_way import GivingWay
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.run import RunController
from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, RegionChoice, Wishes


class FakeView:
    """Remembers what it was told to show, and on which thread."""

    def __init__(self):
        self.states = []
        self.plans = []
        self.problems = []
        self.progress = []
        self.maps = []
        self.refreshes = 0
        self.looks = 0
        self.results = []
        self.tissues = []
        self.threads = set()

    def show_state(self, state):
        self.threads.add(threading.current_thread())
        self.states.append(state)

    def show_plan(self, prepared):
        self.plans.append(prepared)

    def show_problem(self, text):
        self.problems.append(text)

    def show_progress(self, progress):
        self.progress.append(progress)

    def show_map(self, slide, live, layers):
        self.threads.add(threading.current_thread())
        self.maps.append((slide, live))

    def refresh_map(self, slide):
        self.refreshes += 1

    def show_look(self, slide, live):
        self.looks += 1

    def show_result(self, slide, prediction, live, layers):
        self.layers = layers
        self.results.append((slide, prediction, live))

    def show_tissue(self, slide, layers):
        self.tissues.append(layers)


@pytest.fixture
def view():
    return FakeView()


@pytest.fixture
def runs(view, pump, make_worker):
    return RunController(view, quick=make_worker("quick"), long=make_worker("long"), post=pump, shelf=Shelf())


@pytest.fixture
def wishes(model_folder: Path):
    return Wishes(model=str(model_folder), device="cpu", saliency=NO_SALIENCY)


def test_choosing_plans_and_running_fills_the_map(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    assert runs.state is State.PREPARING
    pump.until(lambda: runs.state is State.READY)
    (plan,) = view.plans
    assert plan.estimate.tiles >= 1
    runs.run()
    assert runs.state is State.RUNNING
    pump.until(lambda: bool(view.results))
    assert runs.state is State.READY
    ((shown_slide, prediction, live),) = view.results
    assert shown_slide is slide
    assert prediction.complete
    computed = np.isfinite(np.asarray(prediction.probability_map[1]))
    assert computed.any()
    assert not computed.all()  # glass
    assert np.array_equal(live.shown, np.asarray(prediction.probability_map[1]), equal_nan=True)
    assert view.maps[0][1] is live
    assert view.progress[-1].done == view.progress[-1].total
    assert view.threads == {threading.main_thread()}


def test_the_map_that_filled_in_is_the_map_of_the_result(runs, view, pump, slide, wishes, monkeypatch):
    filled: list[np.ndarray] = []
    fill = LiveMap.fill
    monkeypatch.setattr(LiveMap, "fill", lambda self, values: (filled.append(self.values.copy()), fill(self, values)))
    runs.choose(slide, wishes)
    runs.run()  # before the plan is there: it is made in the run
    pump.until(lambda: bool(view.results))
    prediction = view.results[0][1]
    assert np.array_equal(filled[0], np.asarray(prediction.probability_map), equal_nan=True)


def test_another_choice_replaces_the_plan_and_a_late_plan_is_dropped(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    second = dataclasses.replace(wishes, choice=RegionChoice.VIEW, area=Box(96, 224, 96, 224))
    runs.choose(slide, second)
    pump.until(lambda: runs.state is State.READY)
    pump.drain()
    assert len(view.plans) == 1
    assert runs.prepared is view.plans[0]
    assert runs.prepared.region is not None
    runs.choose(slide, second)  # the same again changes nothing
    assert runs.state is State.READY


def test_a_refusal_names_what_to_do_and_can_be_repaired(runs, view, pump, pixels, wishes):
    unknown = open_slide(pixels)
    runs.choose(unknown, wishes)
    pump.until(lambda: runs.state is State.REFUSED)
    assert "um_per_px" in view.problems[0]
    runs.choose(unknown, dataclasses.replace(wishes, level=0))
    pump.until(lambda: runs.state is State.READY)


def test_fluorescence_is_refused_by_name(runs, view, pump, wishes):
    runs.choose(open_slide(np.zeros((200, 200, 2), np.uint16), um_per_px=1.0), wishes)
    pump.until(lambda: runs.state is State.REFUSED)
    assert "brightfield" in view.problems[0]


def test_an_unknown_model_is_one_line(runs, view, pump, slide):
    runs.choose(slide, Wishes(model="no-such-model", device="cpu"))
    pump.until(lambda: runs.state is State.REFUSED)
    assert "no-such-model" in view.problems[0]


@pytest.fixture
def large(pixels):
    """A slide that takes seconds."""
    return open_slide([np.tile(pixels, (7, 6, 1)), np.tile(pixels[::4, ::4], (7, 6, 1))], um_per_px=1.0)


def test_cancel_answers_after_the_tile_at_work_and_keeps_what_was_found(runs, view, pump, large, wishes):
    runs.choose(large, wishes)
    pump.until(lambda: runs.state is State.READY)
    runs.run()
    pump.until(lambda: view.refreshes >= 1 and bool(view.progress))
    done = view.progress[-1].done
    runs.cancel()
    assert runs.state is State.CANCELLING
    pump.until(lambda: not runs.running)
    assert view.progress[-1].done <= done + 2  # the tile that was running, and one whose report was on its way
    ((_, prediction, live),) = view.results
    assert not prediction.complete
    assert 0 < live.share_done < 1
    assert runs.state is State.READY


def test_a_run_gives_way_and_goes_on_while_the_view_moves_all_the_time(runs, view, pump, pixels, wishes):
    slide = open_slide(np.tile(pixels, (2, 2, 1)), um_per_px=1.0)
    waits = []
    runs.giving_way = GivingWay(sleep=lambda seconds: (waits.append(seconds), time.sleep(seconds)))
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: runs.giving_way.moved() or bool(view.results), timeout=120)
    assert view.results[0][1].complete
    assert sum(waits) > 0


def test_a_slide_that_goes_away_while_running_gets_no_answer(runs, view, pump, large, slide, wishes):
    runs.choose(large, wishes)
    runs.run()
    pump.until(lambda: bool(view.maps))
    runs.slide_gone(large.id)
    assert runs.state is State.NO_SLIDE
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: bool(view.results))
    pump.drain()
    assert [each.id for each, _, _ in view.results] == [slide.id]
    assert large.id not in runs.results


def test_closing_while_running_joins_at_once(runs, view, pump, large, wishes):
    runs.choose(large, wishes)
    runs.run()
    pump.until(lambda: bool(view.maps))
    assert runs.close()
    count = len(view.states)
    pump.drain()
    assert not view.results
    assert len(view.states) == count


def test_switching_to_another_slide_does_not_disturb_the_run(runs, view, pump, pixels, slide, wishes):
    large = open_slide([np.tile(pixels, (3, 2, 1)), np.tile(pixels[::4, ::4], (3, 2, 1))], um_per_px=1.0)
    runs.choose(large, wishes)
    runs.run()
    pump.until(lambda: bool(view.maps))
    runs.choose(slide, wishes)
    assert runs.state is State.RUNNING
    pump.until(lambda: bool(view.results), timeout=120)
    assert view.results[0][0] is large
    pump.until(lambda: runs.state is State.READY)
    assert runs.slide is slide


def test_planning_while_another_slide_runs_disturbs_neither(runs, view, pump, large, slide, wishes):
    """``torch.fx``, which plans with, patches modules for the whole process while it traces."""
    runs.choose(large, wishes)
    runs.run()
    pump.until(lambda: bool(view.maps))
    for number in range(12):
        runs.choose((slide, large)[number % 2], wishes)
        pump.until(lambda: runs.prepared is not None or not runs.running)
    assert runs.running
    runs.cancel()
    pump.until(lambda: not runs.running)
    assert view.problems == []
    assert len(view.results) == 1


def test_looking_at_another_class_or_threshold_computes_nothing(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: bool(view.results))
    prediction, live = runs.results[slide.id]
    runs.look("normal", 0.0)
    normal = np.asarray(prediction.probability_map[0])
    assert np.array_equal(live.shown, normal, equal_nan=True)
    cut = float(np.nanmedian(normal))
    runs.look("normal", cut)
    assert np.array_equal(np.isfinite(live.shown), np.nan_to_num(normal, nan=-1) >= np.float32(cut))
    runs.look("no such class", 0.5)
    assert live.class_name == "normal"
    assert view.looks == 2


def test_a_painted_mask_is_what_is_looked_at(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    runs.preview_tissue()
    pump.until(lambda: bool(view.tissues) and runs.state is State.READY)
    assert [data[1]["metadata"]["kind"] for data in view.tissues[0]] == ["tissue", "mask"]
    tissue = runs.shelf.tissue(slide)
    cells = runs.prepared.estimate.cells
    painted = tissue.mask.copy()
    painted[: painted.shape[0] // 2] = False
    runs.paint(runs.slide, type(tissue).from_array(painted, tissue.grid))
    pump.until(lambda: runs.state is State.READY)
    assert 0 < runs.prepared.estimate.cells < cells
    runs.run()
    pump.until(lambda: bool(view.results))
    assert np.isfinite(np.asarray(view.results[0][1].probability_map[0])).sum() == runs.prepared.estimate.cells
    runs.paint(runs.slide, None)
    pump.until(lambda: runs.state is State.READY)
    assert runs.prepared.estimate.cells == cells


def test_a_slide_of_glass_gives_an_answer_that_says_so(runs, view, pump, wishes):
    runs.choose(open_slide(np.full((512, 512, 3), 245, np.uint8), um_per_px=1.0), wishes)
    runs.run()
    pump.until(lambda: bool(view.results) or bool(view.problems))
    assert not view.problems
    assert "tissue" in view.results[0][1].message
    assert view.results[0][1].probabilities == {}


def test_a_model_that_was_written_anew_is_loaded_anew(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: bool(view.results))
    assert runs.fitting_result(slide, wishes) is not None
    before, plans = runs.shelf.model(wishes.model), len(view.plans)
    runs.model_changed("another")
    assert runs.fitting_result(slide, wishes) is not None
    runs.shelf.forget_model(wishes.model)
    runs.model_changed(wishes.model)
    assert runs.fitting_result(slide, wishes) is None  # a click is answered by the new one
    pump.until(lambda: len(view.plans) > plans)
    assert runs.shelf.model(wishes.model) is not before


def test_a_result_that_was_being_taken_for_a_slide_that_is_closed_is_not_shown(runs, view, pump, slide, wishes):
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: bool(view.results))
    prediction = view.results.pop()[1]
    runs.adopt(slide, prediction, "tumour")
    runs.slide_gone(slide.id)
    again = open_slide([level[:] for level in slide.levels], um_per_px=1.0)
    assert again.id == slide.id
    runs.adopt(again, prediction, "tumour")
    pump.until(lambda: bool(view.results))
    pump.drain()
    assert [shown is again for shown, _, _ in view.results] == [True]


def test_a_result_that_was_being_taken_when_a_run_began_does_not_draw_over_it(view, pump, make_worker, slide, wishes):
    quick = make_worker("quick")
    runs = RunController(view, quick=quick, long=make_worker("long"), post=pump, shelf=Shelf())
    runs.choose(slide, wishes)
    runs.run()
    pump.until(lambda: bool(view.results))
    earlier = view.results.pop()[1]
    runs.adopt(slide, earlier, "tumour")
    while quick.busy:  # it has been read, and waits for the window
        time.sleep(0.01)
    runs.run()
    pump.until(lambda: bool(view.results))
    pump.drain()
    ((_, shown, _),) = view.results
    assert shown.record is not earlier.record
    assert "a run on array has begun" in view.problems[-1]
    assert runs.results[slide.id][0] is shown
