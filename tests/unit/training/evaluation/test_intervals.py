"""Intervals are of patients, hold the truth as often as they say, and repeat themselves."""

import dataclasses

import numpy as np
import pytest

from napari_gigaclf.training.evaluation import bootstrap, figures_of
from napari_gigaclf.training.evaluation.figures import ranking_figures


def permuted(predictions, seed):
    order = np.random.default_rng(seed).permutation(len(predictions))
    return dataclasses.replace(
        predictions,
        slides=tuple(predictions.slides[n] for n in order),
        groups=tuple(predictions.groups[n] for n in order),
        truth=predictions.truth[order],
        values=predictions.values[order],
    )


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_order_of_rows_changes_nothing_and_seeds_decide(made_up, task):
    p = made_up(task=task)
    one = bootstrap(p, draws=40, seed=1)
    other = bootstrap(permuted(p, 5), draws=40, seed=1)
    assert one.keys() == other.keys() == figures_of(p).keys()
    for name, interval in one.items():
        assert dataclasses.astuple(interval) == pytest.approx(dataclasses.astuple(other[name]), abs=1e-9)
        assert interval.low <= interval.high
    assert bootstrap(p, draws=40, seed=2) != one


def test_copies_of_a_slide_within_a_patient_add_nothing(made_up):
    """Four equal slides per patient: drawn as slides, the interval would be half as wide."""
    single = made_up(num=90, slides_per_group=1, classes=("a", "b"))
    copied = dataclasses.replace(
        single,
        slides=tuple(f"{copy}-{slide}" for slide in single.slides for copy in range(4)),
        groups=tuple(group for group in single.groups for _ in range(4)),
        truth=np.repeat(single.truth, 4),
        values=np.repeat(single.values, 4, axis=0),
    )
    one, other = (bootstrap(p, draws=200, seed=0, figures=ranking_figures)["auc:b"] for p in (single, copied))
    assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.05)


def test_a_class_of_three_patients_is_in_every_draw(made_up):
    p = made_up(num=60, slides_per_group=1, classes=("a", "b"))
    p.truth[:] = [1] * 3 + [0] * 57
    counts = []

    def count(task, classes, truth, values):
        counts.append(int(truth.sum()))
        return {"positives": float(truth.sum())}

    found = bootstrap(p, draws=100, seed=0, figures=count)["positives"]
    assert (found.low, found.high) == (3, 3)
    assert set(counts) == {3}


def test_coverage_of_the_mean(made_up):
    """The 95 % interval of a mean holds the true mean in about 95 of 100 samples."""
    p = made_up(num=60, task="regression", slides_per_group=1)
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(60):
        p.truth[:] = rng.normal(size=60)
        interval = bootstrap(p, draws=150, seed=seed, figures=lambda t, c, truth, v: {"mean": float(truth.mean())})
        held += interval["mean"].low <= 0 <= interval["mean"].high
    assert 52 <= held <= 60


def test_a_figure_that_cannot_be_told_has_no_interval(made_up):
    p = made_up(num=9)
    p.truth[:] = 0
    found = bootstrap(p, draws=10, seed=0)["auc:itc"]
    assert np.isnan([found.value, found.low, found.high]).all()
