"""Temperatures and thresholds are found on some slides and hold on others."""

import dataclasses

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import expit, logit, softmax
from sklearn.calibration import calibration_curve

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.evaluation import (
    at_temperature,
    best_softmax_temperature,
    choose_threshold,
    figures_of,
    fit_temperature,
    operate,
    reliability,
)
from napari_gigaclf.training.evaluation.operating import share


def test_a_temperature_of_logits_is_found():
    """Classes drawn from softmax(z) are described best by z itself: logits three times too large need T = 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2.0, size=(20_000, 4))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert best_softmax_temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.03)
    assert best_softmax_temperature(3 * logits + rng.normal(size=(20_000, 1)), labels) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_a_temperature_mends_what_is_too_sure(made_up, task):
    p = made_up(num=600, task=task)
    if task == "classification":
        sure = dataclasses.replace(p, values=softmax(4 * np.log(p.values), axis=1))
    else:
        sure = dataclasses.replace(p, values=expit(4 * logit(p.values)))
    temperature = fit_temperature(sure)
    assert temperature == pytest.approx(4 * fit_temperature(p), rel=1e-3)
    mended = at_temperature(sure, temperature)
    before, after = figures_of(sure), figures_of(mended)
    assert after["log_loss"] < before["log_loss"]
    assert after["calibration_error"] < before["calibration_error"]
    assert after["accuracy"] == before["accuracy"], "no order of classes changes"
    np.testing.assert_allclose(at_temperature(sure, 1.0).values, sure.values, atol=1e-9)


def test_certain_answers_stay_finite(made_up):
    p = made_up(num=4, classes=("a", "b"))
    p.values[:] = [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert np.isfinite(at_temperature(p, 2.0).values).all()
    assert np.isfinite(fit_temperature(p))


def test_reliability_agrees_with_sklearn():
    rng = np.random.default_rng(1)
    probabilities = rng.random(500)
    labels = rng.random(500) < probabilities
    curve = reliability(probabilities, labels, num_bins=8)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=8)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.predicted, predicted)
    assert curve.counts.sum() == 500
    assert reliability(np.array([0.0, 1.0]), np.array([0, 1]), 10).counts.tolist() == [1, 1]


def test_threshold_for_a_sensitivity_is_the_highest_that_reaches_it():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    labels = np.array([0, 0, 1, 0, 1, 1, 0, 1, 0, 1], dtype=bool)
    assert [choose_threshold(scores, labels, s) for s in (0.2, 0.6, 0.8, 1.0)] == [1.0, 0.6, 0.5, 0.3]
    for wanted in (0.1, 0.37, 0.8, 0.999):
        point = operate(scores, labels, choose_threshold(scores, labels, wanted), "")
        assert point.sensitivity.value >= wanted


def test_youden():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.4
    scores = rng.normal(labels.astype(float))
    threshold = choose_threshold(scores, labels)
    best = max(sk.balanced_accuracy_score(labels, scores >= t) for t in scores)
    assert sk.balanced_accuracy_score(labels, scores >= threshold) == pytest.approx(best)
    assert np.isfinite(choose_threshold(-scores, labels)), "also of a model that is worse than chance"


def test_a_missing_class_is_an_error_not_a_threshold():
    with pytest.raises(CohortError, match="class is missing"):
        choose_threshold(np.array([0.1, 0.2]), np.array([False, False]), 0.9)
    with pytest.raises(CohortError, match="class is missing"):
        choose_threshold(np.array([0.1, 0.2]), np.array([True, True]))


def test_counts_and_exact_intervals():
    point = operate(np.array([0.9, 0.2, 0.7, 0.1]), np.array([True, True, False, False]), 0.7, "by hand")
    counts = (point.true_positives, point.false_negatives, point.true_negatives, point.false_positives)
    assert counts == (1, 1, 1, 1)
    found = share(20, 20)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 20)), "Clopper and Pearson, all of them right"
    assert np.isnan(share(0, 0).value)
