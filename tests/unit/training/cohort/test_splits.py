"""Parts of a cohort: by patient, each class in each part, the same whatever the order of the table."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort import Cohort, CohortRow, assign_splits, class_weights, folds

FRACTIONS = {"train": 0.6, "tune": 0.2, "test": 0.2}


def cohort_of(labels, groups, task="classification", num_classes=None):
    """A cohort of slides that are not there; labels are class numbers, tuples of them, or scores."""
    rows = []
    for number, (label, group) in enumerate(zip(labels, groups, strict=True)):
        kind = {"score": label} if task == "regression" else {"labels": label if isinstance(label, tuple) else (label,)}
        name = f"{number}.tif"
        rows.append(CohortRow(number=number + 2, name=name, slide=Path(name), group=f"p{group}", **kind))
    highest = 0 if task == "regression" else num_classes or 1 + max(max(row.labels, default=0) for row in rows)
    classes = tuple("abcdefgh"[:highest])
    return Cohort(task=task, classes=classes, rows=tuple(rows), table=Path("t.csv"), sha256="0" * 64)


COHORTS = st.integers(4, 40).flatmap(
    lambda n: st.builds(
        cohort_of,
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
        st.lists(st.integers(0, 9), min_size=n, max_size=n).filter(lambda groups: len(set(groups)) > 3),
        num_classes=st.just(3),
    )
)


@settings(max_examples=50, deadline=None)
@given(cohort=COHORTS, seed=st.integers(0, 99))
def test_a_group_is_never_divided_and_order_changes_nothing(cohort, seed):
    shuffled = cohort.with_rows(np.random.default_rng(seed).permutation(np.array(cohort.rows, dtype=object)))
    split_of = {row.name: row.split for row in assign_splits(cohort, FRACTIONS, seed).rows}
    assert split_of == {row.name: row.split for row in assign_splits(shuffled, FRACTIONS, seed).rows}
    for group in {row.group for row in cohort.rows}:
        assert len({split_of[row.name] for row in cohort.rows if row.group == group}) == 1
    assert set(split_of.values()) == set(FRACTIONS)

    found = folds(cohort, 3, seed)
    assert Counter(row.name for fold in found for row in fold.test.rows) == Counter(row.name for row in cohort.rows)
    for fold, again in zip(found, folds(shuffled, 3, seed), strict=True):
        assert not {row.group for row in fold.train.rows} & {row.group for row in fold.test.rows}
        assert len(fold.train) + len(fold.test) == len(cohort)
        assert {row.name for row in fold.test.rows} == {row.name for row in again.test.rows}


def test_each_class_is_in_each_part_in_its_share():
    rng = np.random.default_rng(0)
    cohort = cohort_of(rng.choice(3, 300, p=[0.7, 0.25, 0.05]), range(300))
    split = assign_splits(cohort, FRACTIONS, seed=1)
    whole = np.bincount(cohort.targets)
    for name, share in FRACTIONS.items():
        np.testing.assert_allclose(np.bincount(split.of_split(name).targets, minlength=3), share * whole, atol=1)
    for fold in folds(cohort, 5, seed=1):
        np.testing.assert_allclose(np.bincount(fold.test.targets, minlength=3), whole / 5, atol=1)


def test_a_rare_class_of_three_patients_is_in_all_three_splits():
    cohort = cohort_of([1] * 3 + [0] * 57, range(60))
    split = assign_splits(cohort, FRACTIONS, seed=0)
    assert [int(split.of_split(name).targets.sum()) for name in FRACTIONS] == [1, 1, 1]


def test_seeds_decide():
    cohort = cohort_of([0, 1] * 30, range(60))
    one, same, other = (assign_splits(cohort, FRACTIONS, seed).rows for seed in (1, 1, 2))
    assert one == same != other


def test_scores_and_sets_of_classes_are_spread_too():
    rng = np.random.default_rng(3)
    cohort = cohort_of(list(rng.normal(size=100)), range(100), task="regression")
    means = [fold.test.targets.mean() for fold in folds(cohort, 4, seed=0)]
    assert np.ptp(means) < 0.3
    assert len(assign_splits(cohort, FRACTIONS, seed=0).of_split("test")) == 20
    several = cohort_of([(0, 1), (1,), (), (0, 1)] * 5, range(20), task="multilabel")
    assert [len(fold.test) for fold in folds(several, 5, seed=0)] == [4] * 5


@pytest.mark.parametrize(
    "fractions",
    [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.5, "valid": 0.5}, {"train": float("nan")}],
)
def test_fractions_that_are_none(fractions):
    with pytest.raises(CohortError, match="fractions"):
        assign_splits(cohort_of([0, 1] * 5, range(10)), fractions, seed=0)


def test_too_few_groups():
    with pytest.raises(CohortError, match="2 groups"):
        assign_splits(cohort_of([0, 1] * 5, [0, 1] * 5), FRACTIONS, seed=0)
    for number in (1, 3):
        with pytest.raises(CohortError, match=f"{number} folds"):
            folds(cohort_of([0, 1] * 5, [0, 1] * 5), number, seed=0)


def test_balanced_weights():
    labels = [0] * 6 + [1] * 3 + [2]
    cohort = cohort_of(labels, range(10))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert list(class_weights(cohort).values()) == pytest.approx(expected.tolist())
    several = cohort_of([(0, 1), (1,), (), (1,)], range(4), task="multilabel")
    assert class_weights(several) == pytest.approx({"a": 3.0, "b": 1 / 3})
    split = assign_splits(cohort, {"train": 1.0}, seed=0)
    assert class_weights(split, "train") == class_weights(cohort)
    with pytest.raises(CohortError, match="no slide of class 'a'"):
        class_weights(split, "test")
    with pytest.raises(CohortError, match="without class 'a'"):
        class_weights(cohort_of([(0,), (0, 1)], range(2), task="multilabel"))
    with pytest.raises(CohortError, match="regression"):
        class_weights(cohort_of([0.5], [0], task="regression"))
