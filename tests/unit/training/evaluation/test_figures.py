"""Every figure against scikit-learn or scipy, and by hand where they have none."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.training.evaluation import auc, average_precision, confusion, figures_of, spearman

SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


@settings(max_examples=100, deadline=None)
@given(rows=SCORES)
def test_ranking_agrees_with_the_libraries_ties_and_all(rows):
    scores, labels = np.array([s for s, _ in rows], dtype=float), np.array([t for _, t in rows])
    if 0 < labels.sum() < len(labels):
        assert auc(scores, labels) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
        assert auc(np.exp(scores) - 3, labels) == auc(scores, labels), "only the order matters"
        assert average_precision(np.exp(scores), labels) == average_precision(scores, labels)
    if labels.any():
        expected = sk.average_precision_score(labels, scores)
        assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
    if 0 < labels.sum() < len(labels) and len(set(scores)) > 1:
        expected = scipy.stats.spearmanr(scores, labels).statistic
        assert spearman(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_what_cannot_be_told_is_nan():
    assert np.isnan([auc([1, 2], [1, 1]), average_precision([1, 2], [0, 0]), spearman([1, 1], [1, 2])]).all()
    assert np.isnan([spearman([], []), spearman([1], [1])]).all()


def test_three_classes(made_up):
    p = made_up()
    found = figures_of(p)
    called = p.values.argmax(axis=1)
    assert found["auc:itc"] == pytest.approx(sk.roc_auc_score(p.truth == 1, p.values[:, 1]))
    assert found["auc_any"] == pytest.approx(sk.roc_auc_score(p.truth != 0, 1 - p.values[:, 0]))
    assert found["auc_macro"] == pytest.approx(sk.roc_auc_score(p.truth, p.values, multi_class="ovr"))
    expected = [sk.average_precision_score(p.truth == c, p.values[:, c]) for c in range(3)]
    assert found["average_precision_macro"] == pytest.approx(np.mean(expected))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(p.truth, called))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(p.truth, called))
    assert found["log_loss"] == pytest.approx(sk.log_loss(p.truth, p.values))
    np.testing.assert_array_equal(confusion(p), sk.confusion_matrix(p.truth, called))
    assert found["brier"] == pytest.approx(((p.values - np.eye(3)[p.truth]) ** 2).sum() / len(p))


def test_two_classes_are_one_question(made_up):
    p = made_up(classes=("normal", "tumour"))
    found = figures_of(p)
    assert [name for name in found if name.startswith("auc")] == ["auc:tumour"]
    assert found["auc:tumour"] == pytest.approx(sk.roc_auc_score(p.truth, p.values[:, 1]))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(p.truth, p.values[:, 1]))


def test_several_labels(made_up):
    p = made_up(task="multilabel", classes=("er", "pr", "her2"))
    found = figures_of(p)
    assert found["auc_macro"] == pytest.approx(sk.roc_auc_score(p.truth, p.values))
    assert found["average_precision_macro"] == pytest.approx(sk.average_precision_score(p.truth, p.values))
    columns = range(3)
    losses = [sk.log_loss(p.truth[:, c], p.values[:, c]) for c in columns]
    balanced = [sk.balanced_accuracy_score(p.truth[:, c], p.values[:, c] >= 0.5) for c in columns]
    assert found["log_loss"] == pytest.approx(np.mean(losses))
    assert found["balanced_accuracy"] == pytest.approx(np.mean(balanced))
    assert found["accuracy"] == pytest.approx(1 - sk.hamming_loss(p.truth, p.values >= 0.5))
    assert confusion(p) is None


def test_scores(made_up):
    p = made_up(task="regression")
    assert figures_of(p) == pytest.approx(
        {
            "spearman": scipy.stats.spearmanr(p.truth, p.values).statistic,
            "mae": sk.mean_absolute_error(p.truth, p.values),
        }
    )


def test_perfect_separation_is_1(made_up):
    found = figures_of(made_up(strength=60.0))
    best = {name: value for name, value in found.items() if name.startswith(("auc", "average", "acc", "bal"))}
    assert set(best.values()) == {1.0}
    assert found["brier"] == pytest.approx(0, abs=1e-9)


def test_calibration_error_by_hand(made_up):
    p = made_up(classes=("normal", "tumour"), num=4)
    p.values[:] = [[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]]
    p.truth[:] = [1, 0, 0, 0]  # of four answers with confidence 0.9, three are right
    assert figures_of(p)["calibration_error"] == pytest.approx(0.15)
