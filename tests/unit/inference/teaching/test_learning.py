"""The head against scikit-learn, and its promises: the order of clicks and the scale of features change nothing."""

import dataclasses
import random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from napari_gigaclf.errors import Cancelled, TrainingError
from napari_gigaclf.inference.teaching import checking
from napari_gigaclf.inference.teaching.checking import LEAVE_ONE_OUT, cross_validate, folds_of
from napari_gigaclf.inference.teaching.fitting import fit_softmax
from napari_gigaclf.inference.teaching.learning import STRENGTH, evidence_of, learn


def regression(num_classes, strength=STRENGTH):
    """Return scikit-learn's; its two-class form penalises one vector where ours has two of half its length."""
    strength = 2 * strength if num_classes == 2 else strength
    return LogisticRegression(C=strength, class_weight="balanced", tol=1e-10, max_iter=20_000)


@pytest.mark.parametrize("per_class", [(6, 4, 5), (9, 2, 0), (1, 1, 1), (30, 3, 20)])
@pytest.mark.parametrize("strength", [0.01, STRENGTH, 30.0])
def test_it_is_the_balanced_multinomial_regression(teach, per_class, strength):
    evidence = evidence_of(teach(per_class))
    x, y, k = evidence.standardised, evidence.labels, len(evidence.classes)
    weights, bias = fit_softmax(x, y, k, strength)
    logits = x @ weights.T + bias
    ours = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    oracle = regression(k, strength).fit(x, y)
    assert ours == pytest.approx(oracle.predict_proba(x), abs=2e-4)
    if k > 2:
        assert weights == pytest.approx(oracle.coef_, abs=2e-3)


def test_standardisation_is_folded_into_the_layer(teach, make_canvas):
    evidence = evidence_of(teach())
    head = learn(evidence)
    features = make_canvas(0)[0].features
    oracle = regression(3).fit(evidence.standardised, evidence.labels)
    expected = oracle.predict_proba((features - evidence.mean) / evidence.deviation)
    assert pytest.approx(expected, abs=1e-3) == head.probabilities(features).T
    assert not head.weights[:, 5].any()  # the feature that is the same everywhere


def test_mean_and_deviation_are_those_of_all_cells_of_the_slides_together(teach, make_canvas):
    evidence = evidence_of(teach())
    cells = np.concatenate([make_canvas(0)[0].features, make_canvas(1)[0].features]).astype(np.float64)
    assert evidence.mean == pytest.approx(cells.mean(axis=0), rel=1e-5)
    varied = np.isfinite(evidence.deviation)
    assert list(np.flatnonzero(~varied)) == [5]
    assert evidence.deviation[varied] == pytest.approx(cells.std(axis=0)[varied], rel=1e-5)


def test_the_order_of_clicks_changes_nothing(teach):
    lesson = teach()
    head = learn(evidence_of(lesson))
    given = [step for step in lesson.steps if step.kind == "example"]
    for seed in range(3):
        random.Random(seed).shuffle(given)
        shuffled = dataclasses.replace(
            lesson, steps=(*lesson.steps[: lesson.fixed_steps], *given), slides=lesson.slides[::-1]
        )
        again = learn(evidence_of(shuffled))
        assert np.array_equal(again.weights, head.weights)
        assert np.array_equal(again.bias, head.bias)


def test_what_was_undone_was_never_there(teach):
    lesson = teach()
    head = learn(evidence_of(lesson))
    more = lesson.with_example(dataclasses.replace(lesson.examples[0], place=(1.0, 1.0), class_number=2))
    assert not np.array_equal(learn(evidence_of(more)).weights, head.weights)
    assert np.array_equal(learn(evidence_of(more.undone())).weights, head.weights)


def test_a_class_without_examples_is_left_out(teach):
    lesson = teach((4, 0, 4))
    evidence = evidence_of(lesson)
    assert [each.name for each in evidence.classes] == ["a", "c"]
    assert learn(evidence).weights.shape == (2, 12)
    assert not evidence_of(teach((4, 0, 0))).can_learn
    assert not evidence_of(teach((0, 0, 0))).can_learn
    with pytest.raises(TrainingError, match="examples of two classes are needed, there are examples of 1"):
        learn(evidence_of(teach((4, 0, 0))))


def test_features_that_are_no_numbers_end_in_one_line():
    x = np.array([[1.0, 2.0], [-3.0, 1.0], [2.0, 2.0], [1.0, 1.0]]) * 1e200
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match="cannot be learnt"):
        fit_softmax(x, np.array([0, 1, 0, 1]), 2, 1.0)


@pytest.mark.parametrize("per_class", [(6, 4, 5), (1, 5, 5)])
def test_leaving_one_out_is_what_scikit_learn_does(teach, per_class):
    evidence = evidence_of(teach(per_class, slides=("s",)))
    check = cross_validate(evidence)
    x, y = evidence.standardised, evidence.labels
    wrong = []
    asked = [i for i in range(len(y)) if (y == y[i]).sum() > 1]
    for i in asked:
        rest = np.arange(len(y)) != i
        if regression(3).fit(x[rest], y[rest]).predict(x[[i]])[0] != y[i]:
            wrong.append(evidence.examples[i].place)
    assert (check.num_asked, check.folds) == (len(asked), len(asked))
    assert sorted(each.example.place for each in check.contested) == sorted(wrong)
    assert check.num_right == len(asked) - len(wrong)


@pytest.mark.parametrize("looks", [0, 3])
def test_cross_validation_stops_between_folds(teach, monkeypatch, looks):
    class Token:
        def __init__(self):
            self.looked = 0

        def is_set(self):
            self.looked += 1
            return self.looked > looks

    fitted = []
    monkeypatch.setattr(checking, "fit_softmax", lambda *args: fitted.append(args) or fit_softmax(*args))
    with pytest.raises(Cancelled):
        cross_validate(evidence_of(teach((6, 4, 5))), Token())
    assert len(fitted) == looks


def test_a_wrong_click_is_contested(teach):
    lesson = teach((12, 12, 0), slides=("s",))
    liar = dataclasses.replace(lesson.examples[0], class_number=1)
    check = cross_validate(evidence_of(lesson.with_example(liar)))
    first = check.contested[0]
    assert first.example == liar
    assert (first.said.name, first.found.name) == ("b", "a")
    assert first.probability > 0.5
    assert check.accuracy == pytest.approx(check.num_right / 24)


@pytest.mark.parametrize("counts", [(2, 40), (25, 25, 1), (3, 50, 9)])
def test_folds_are_stratified_and_leave_no_class_out(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = folds_of(labels)
    asked = np.concatenate(folds)
    assert sum(counts) > LEAVE_ONE_OUT
    assert len(folds) == 10
    assert sorted(asked) == [i for i in range(len(labels)) if counts[labels[i]] > 1]
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        assert set(labels[rest]) == set(labels)
        for kind, count in enumerate(counts):
            assert (labels[fold] == kind).sum() <= -(-count // 10)


def test_nothing_is_asked_of_one_class(teach):
    check = cross_validate(evidence_of(teach((4, 0, 0))))
    assert (check.num_asked, check.accuracy, check.contested) == (0, None, ())
