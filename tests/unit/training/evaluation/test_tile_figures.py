"""Figures against a second implementation or by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from napari_gigaclf.training.evaluation.calibration import best_temperature, calibration_error
from napari_gigaclf.training.evaluation.intervals import bootstrap_interval
from napari_gigaclf.training.evaluation.ranking import auc


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


def test_interval_holds_the_value_and_narrows_with_more_tiles(drawn):
    scores, labels = drawn
    low, high = bootstrap_interval(scores, labels, draws=200)
    few_low, few_high = bootstrap_interval(scores[:200], labels[:200], draws=200)
    assert low < auc(scores, labels) < high
    assert high - low < (few_high - few_low) / 2


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
