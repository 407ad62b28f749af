"""The paired test finds what is there, finds nothing where nothing is, and several tests are corrected."""

import dataclasses

import numpy as np
import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.evaluation import auc, holm, paired_permutation


def test_a_model_against_itself(made_up):
    p = made_up()
    for test in paired_permutation(p, p, draws=30, seed=0).values():
        assert (test.difference, test.p, test.p_holm) == (0.0, 1.0, 1.0)


def test_a_far_better_model(made_up):
    good, bad = made_up(strength=4.0, seed=1), made_up(strength=0.0, seed=1)
    found = paired_permutation(good, bad, draws=99, seed=0)["auc_macro"]
    assert found.difference > 0.3
    assert found.p == 0.01
    back = paired_permutation(bad, good, draws=99, seed=0)["auc_macro"]
    assert (back.difference, back.p) == (-found.difference, found.p)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_p_is_uniform_where_models_are_equally_good(made_up, task):
    """Of two noisy copies of one model, p <= 0.1 comes in a tenth of all cohorts, and the mean is a half."""
    rng = np.random.default_rng(0)
    p_values = []
    for seed in range(80):
        p = made_up(num=40, classes=("a", "b"), seed=seed, task=task, strength=1.0)
        one, other = (p.values + rng.normal(scale=0.4, size=p.values.shape) for _ in range(2))
        if task == "classification":
            one, other = (np.column_stack([1 - v, v]) for v in (np.clip(one[:, 1], 0, 1), np.clip(other[:, 1], 0, 1)))
        first, second = dataclasses.replace(p, values=one), dataclasses.replace(p, values=other)
        (test,) = paired_permutation(first, second, draws=19, seed=seed).values()
        p_values.append(test.p)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.1)
    assert 2 <= np.sum(np.array(p_values) <= 0.1) <= 18


def test_all_swaps_of_a_small_cohort(made_up):
    """With four slides there are 16 swaps; the test's p goes to the share of them that is as extreme."""
    p = made_up(num=4, classes=("a", "b"), slides_per_group=1)
    p.truth[:] = [0, 0, 1, 1]
    scores, others = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0.5, 0.2, 0.3, 0.7])
    first, second = (dataclasses.replace(p, values=np.column_stack([1 - s, s])) for s in (scores, others))
    seen = auc(scores, p.truth) - auc(others, p.truth)
    extreme = 0
    for bits in range(16):
        swap = np.array([bits >> n & 1 for n in range(4)], dtype=bool)
        one, other = np.where(swap, others, scores), np.where(swap, scores, others)
        extreme += abs(auc(one, p.truth) - auc(other, p.truth)) >= abs(seen) - 1e-12
    found = paired_permutation(first, second, draws=4000, seed=0)["auc:b"]
    assert found.p == pytest.approx(extreme / 16, abs=0.03)


def test_patients_can_be_swapped_whole(made_up):
    p = made_up(num=8, slides_per_group=4, classes=("a", "b"))
    other = dataclasses.replace(p, values=p.values[:, ::-1].copy())
    seen = []

    def watch(task, classes, truth, values):
        seen.append((values == p.values).all(axis=1))
        return {"one": 0.0}

    paired_permutation(p, other, draws=20, seed=0, figures=watch, unit="group")
    for same in seen:
        assert len(set(same[:4])) == len(set(same[4:])) == 1


def test_other_slides_are_refused(made_up):
    with pytest.raises(CohortError, match="same slides"):
        paired_permutation(made_up(num=10), made_up(num=12), draws=1, seed=0)


def test_holm():
    """The example of Holm's procedure with four tests, by hand."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": float("nan")})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02, "e": float("nan")}, nan_ok=True)
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
