"""Gradients made in the background, with a fake view and the real core."""

import numpy as np
import pytest
import shapely

from napari_gigaclf.inference import SmoothGrad, place_gradient
from napari_gigaclf.viewer.ask_texts import why_text
from napari_gigaclf.viewer.controllers.giving_way import GivingWay
from napari_gigaclf.viewer.controllers.probe import LOADING, PLANNING
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.why import WhyChoices, WhyController
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, Wishes
from napari_gigaclf.viewer.layers import Frame
from napari_gigaclf.viewer.why_layer import diverging, rising, why_layer

TISSUE = (250.0, 420.0)
AREA = shapely.box(150, 150, 500, 380)


class FakeWhy:
    """Remembers stages, progress, gradients and problems."""

    def __init__(self):
        self.stages = []
        self.reports = []
        self.shown = []
        self.problems = []

    def show_working(self, stage):
        self.stages.append(stage)

    def show_progress(self, progress):
        self.reports.append(progress)

    def show_why(self, slide, why):
        self.shown.append((slide, why))

    def show_no_why(self, text):
        self.problems.append(text)


@pytest.fixture
def view():
    return FakeWhy()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def whys(view, make_worker, shelf, pump):
    return WhyController(view, worker=make_worker("why"), post=pump, shelf=shelf, giving_way=GivingWay())


@pytest.fixture
def wishes(model_folder):
    return Wishes(model=str(model_folder), device="cpu", saliency=NO_SALIENCY)


def test_it_shows_the_gradient_of_the_chosen_class(whys, view, pump, shelf, slide, wishes):
    choices = WhyChoices(class_name="normal", of="cells")
    whys.explain(slide, wishes, AREA, choices)
    assert whys.working
    pump.until(lambda: bool(view.shown))
    assert not whys.working
    stages = list(dict.fromkeys(view.stages))
    assert stages.index(LOADING) < stages.index(PLANNING)
    assert view.stages[-1] == ""
    assert view.reports[-1].done == view.reports[-1].total
    ((shown_slide, why),) = view.shown
    assert shown_slide is slide
    expected = place_gradient(shelf.prepare(slide, wishes), AREA, "normal", of="cells")
    assert np.array_equal(why.found.gradient, expected.gradient)
    assert why.found.logit == expected.logit
    for (values, kwargs, kind), of in ((why.signed, expected.signed()), (why.unsigned, expected.unsigned())):
        assert kind == "image"
        assert np.array_equal(values, of)
        assert "why normal" in kwargs["name"]
    assert "normal" in why_text(why.found)
    assert "cells, summed" in why_text(why.found)


def test_smoothgrad_takes_the_settings(whys, view, pump, shelf, slide, wishes):
    whys.explain(slide, wishes, TISSUE, WhyChoices(class_name="tumour", smooth=True, noise=0.05, samples=2, seed=4))
    pump.until(lambda: bool(view.shown))
    found = view.shown[0][1].found
    assert found.smooth == SmoothGrad(noise=0.05, samples=2, seed=4)
    assert "SmoothGrad: 2 copies, noise 0.05, seed 4" in why_text(found)


def test_a_new_wish_replaces_the_one_before(whys, view, pump, slide, wishes):
    whys.explain(slide, wishes, AREA, WhyChoices(class_name="tumour", smooth=True, samples=500))
    whys.explain(slide, wishes, TISSUE, WhyChoices(class_name="normal"))
    pump.until(lambda: bool(view.shown))
    pump.drain()
    assert [why.found.class_name for _, why in view.shown] == ["normal"]
    assert view.problems == []


def test_cancel_says_so_and_shows_nothing(whys, view, pump, slide, wishes):
    whys.explain(slide, wishes, AREA, WhyChoices(class_name="tumour", smooth=True, samples=500))
    pump.until(lambda: bool(view.reports))
    whys.cancel()
    assert view.stages[-1] == "cancelling..."
    pump.until(lambda: not whys.working)
    assert view.shown == []
    assert "cancelled" in view.problems[0]
    assert view.stages[-1] == ""


def test_a_slide_that_is_gone_gets_none(whys, view, pump, slide, wishes):
    whys.explain(slide, wishes, AREA, WhyChoices(class_name="tumour", smooth=True, samples=500))
    pump.until(lambda: bool(view.reports))
    whys.slide_gone("another")
    assert whys.working
    whys.slide_gone(slide.id)
    assert not whys.working
    pump.drain()
    assert view.shown == []
    assert view.problems == []


def test_glass_has_nothing_to_explain(whys, view, pump, slide, wishes):
    whys.explain(slide, wishes, (20.0, 20.0), WhyChoices(class_name="tumour"))
    pump.until(lambda: bool(view.problems))
    assert "no tissue" in view.problems[0]


def test_colours_are_centred_at_zero_and_ours(shelf, slide, wishes):
    found = place_gradient(shelf.prepare(slide, wishes), AREA, "tumour")
    frame = Frame.of_slide(slide)
    values, kwargs, _ = why_layer(found, frame, signed=True)
    low, high = kwargs["contrast_limits"]
    assert low == -high
    percentile = np.percentile(np.abs(values[values != 0]), 99)
    assert percentile <= high <= 2 * percentile, "a round number near it"
    below, zero, above = diverging().map(np.array([0.0, 0.5, 1.0]))
    assert zero[3] == 0
    assert below[3] == above[3] == 1
    assert below[2] > below[0]  # blue
    assert above[0] > above[2]  # vermilion
    values, kwargs, _ = why_layer(found, frame, signed=False)
    assert values.min() >= 0
    assert kwargs["contrast_limits"][0] == 0
    assert rising().map(np.array([0.0]))[0, 3] == 0
    y0, x0 = found.grid.origin
    assert kwargs["translate"] == pytest.approx((y0, x0))
