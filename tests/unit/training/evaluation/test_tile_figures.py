"""Figures against a second implementation or by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from napari_gigaclf.training.evaluation.calibration import best_temperature, calibration_error
from napari_gigaclf.training.evaluation.intervals import bootstrap_interval
from napari_gigaclf.training.evaluation.ranking import auc, sensitivity_at


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 4000)
    return generator.normal(labels * 2.0, 1.0), labels


def test_auc_with_ties_agrees_with_sklearn(drawn):
    scores, labels = np.round(drawn[0], 1), drawn[1]
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auc_needs_both_classes():
    assert np.isnan(auc([0.1, 0.2], [1, 1]))


@pytest.mark.parametrize("false_rate", [0.0, 0.001, 0.05, 0.5])
def test_sensitivity_at_few_false_alarms_agrees_with_sklearn(drawn, false_rate):
    scores, labels = np.round(drawn[0], 2), drawn[1]
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert sensitivity_at(scores, labels, false_rate) == true[false <= false_rate].max()


def test_sensitivity_at_few_false_alarms_counts_whole_negatives():
    """Of 1 500 negatives at one in 1 038, one may score higher, not two."""
    scores = np.concatenate([np.arange(1500.0), [1497.5, 1498.5]])
    labels = np.repeat([0, 1], [1500, 2])
    assert sensitivity_at(scores, labels, 1 / 1038) == 0.5
    assert np.isnan(sensitivity_at([1.0], [1], 0.1))


def test_interval_holds_the_value_and_narrows_with_more_tiles(drawn):
    scores, labels = drawn
    low, high = bootstrap_interval(scores, labels, draws=200)
    few_low, few_high = bootstrap_interval(scores[:200], labels[:200], draws=200)
    assert low < auc(scores, labels) < high
    assert high - low < (few_high - few_low) / 2


def test_interval_of_another_figure(drawn):
    scores, labels = drawn
    low, high = bootstrap_interval(scores, labels, draws=200, figure=lambda s, y: float(np.mean(s[y == 1])))
    assert low < scores[labels == 1].mean() < high
    assert high - low == pytest.approx(4 / np.sqrt((labels == 1).sum()), rel=0.25)


def test_tiles_of_one_place_are_drawn_together(drawn):
    """Ten copies of each tile tell no more than one: their interval is as wide as that of single ones."""
    scores, labels = drawn[0][:200], drawn[1][:200]
    copies = np.tile(np.arange(200), 10)
    width = np.ptp(bootstrap_interval(scores, labels, draws=400))
    together = np.ptp(bootstrap_interval(scores[copies], labels[copies], draws=400, places=copies + 7))
    singly = np.ptp(bootstrap_interval(scores[copies], labels[copies], draws=400))
    assert together == pytest.approx(width, rel=0.15)
    assert singly < width / 2


def test_temperature_is_found(drawn):
    """For two normal distributions 2 apart, the log odds are 2 (x - 1): scores three times too large need T = 3."""
    scores, labels = drawn
    assert best_temperature(6.0 * (scores - 1.0), labels) == pytest.approx(3.0, rel=0.1)


def test_calibration_error(drawn):
    scores, labels = drawn
    honest = 1 / (1 + np.exp(-2 * (scores - 1)))
    assert calibration_error(honest, labels) < 0.03
    assert calibration_error(1 / (1 + np.exp(-10 * (scores - 1))), labels) > 0.07
    assert calibration_error(np.array([0.9, 0.9]), np.array([1, 0])) == pytest.approx(0.4)
