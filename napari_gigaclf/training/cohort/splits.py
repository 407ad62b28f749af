"""Divides a cohort by patient, never by slide, with each class in each part as far as possible.

Slides of one patient share stain, scanner and biology: divided between training and testing they would make a network
look better than it is. Both functions go by groups in an order of their own, so that the order of the table changes
nothing.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort.cohort import SPLITS, Cohort, Split

USUAL_FRACTIONS: Final[Mapping[Split, float]] = {"train": 0.7, "tune": 0.15, "test": 0.15}
"""Where a table divides nothing."""
SCORE_BINS = 5
"""Scores are divided into so many equally filled parts, which are then treated as classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One of several ways to train on most of a cohort and to test on the rest."""

    train: Cohort
    test: Cohort


def assign_splits(cohort: Cohort, fractions: Mapping[Split, float], seed: int) -> Cohort:
    """Return the cohort with its groups divided anew between splits.

    Groups are dealt one by one, in random order but large and mixed ones first, each to the split that lacks most of
    what the group has. (scikit-learn has parts of unequal size by group, or by class, but not both.)

    Parameters
    ----------
    cohort
        Its present splits do not matter.
    fractions
        Share of the slides of each split; positive, together 1.
    seed
        Of the order of groups.

    Raises
    ------
    CohortError
        The fractions are none, or there are fewer groups than splits.
    """
    unknown = sorted(set(fractions) - set(SPLITS))
    if unknown or not fractions or min(fractions.values()) <= 0 or not math.isclose(sum(fractions.values()), 1.0):
        raise CohortError(f"fractions {dict(fractions)}: give positive shares of train, tune and test that add to 1")
    cohort_in_order = _in_order(cohort)
    groups, group_of = np.unique([row.group for row in cohort_in_order.rows], return_inverse=True)
    if len(groups) < len(fractions):
        raise CohortError(f"{cohort.table}: {len(groups)} groups cannot be divided between {len(fractions)} splits")
    strata = _strata(cohort_in_order)
    content = np.zeros((len(groups), int(strata.max()) + 1))
    np.add.at(content, (group_of, strata), 1.0)
    names = [split for split in SPLITS if split in fractions]
    dealt = _deal(content, np.array([fractions[name] for name in names]), seed)
    split_of = {str(group): names[number] for group, number in zip(groups, dealt, strict=True)}
    return cohort.with_rows(dataclasses.replace(row, split=split_of[row.group]) for row in cohort.rows)


def _deal(content: NDArray[np.float64], shares: NDArray[np.float64], seed: int) -> NDArray[np.intp]:
    """Return the split of each group.

    Parameters
    ----------
    content
        Slides of each stratum in each group, (groups, strata).
    shares
        Share of each split, (splits,).
    seed
        Of the order in which equal groups come.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(content))
    order = order[np.argsort(-content[order].max(axis=1), kind="stable")]  # what is large is dealt while there is room
    weight = 1.0 / content.sum(axis=0)  # a rare class counts as much as a common one
    lacking = shares[:, None] * content.sum(axis=0)
    dealt = np.zeros(len(content), dtype=np.intp)
    empty = np.ones(len(shares), dtype=np.bool_)
    for place, group in enumerate(order):
        gain = (((lacking - content[group]) ** 2 - lacking**2) * weight / shares[:, None]).sum(axis=1)
        if empty.sum() == len(order) - place:
            gain[~empty] = np.inf  # the last groups go where there is none yet
        dealt[group] = gain.argmin()
        lacking[dealt[group]] -= content[group]
        empty[dealt[group]] = False
    return dealt


def divided_as_usual(cohort: Cohort, seed: int) -> Cohort:
    """Return a cohort with its own splits; where no slide has one, with the usual shares of patients."""
    if any(row.split is not None for row in cohort.rows):
        return cohort
    return assign_splits(cohort, USUAL_FRACTIONS, seed)


def folds(cohort: Cohort, num_folds: int, seed: int) -> tuple[Fold, ...]:
    """Divide a cohort for cross-validation: each slide is tested once, with no slide of its group in training.

    scikit-learn's ``StratifiedGroupKFold``; strata are classes, sets of classes, or fifths of the scores.

    Raises
    ------
    CohortError
        Fewer than two folds, or fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    in_order = _in_order(cohort)
    groups = [row.group for row in in_order.rows]
    if not 2 <= num_folds <= len(set(groups)):
        raise CohortError(f"{cohort.table}: {len(set(groups))} groups cannot be divided into {num_folds} folds")
    strata = _strata(in_order)
    if num_folds > np.bincount(strata).max():
        strata = np.zeros_like(strata)  # more folds than slides of any class: there is nothing to stratify
    kfold = StratifiedGroupKFold(n_splits=num_folds, shuffle=True, random_state=seed)
    found = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        for _, test in kfold.split(np.zeros(len(groups)), strata, groups):
            held_out = {groups[place] for place in test}
            found.append(
                Fold(
                    train=cohort.with_rows(row for row in cohort.rows if row.group not in held_out),
                    test=cohort.with_rows(row for row in cohort.rows if row.group in held_out),
                )
            )
    return tuple(found)


def class_weights(cohort: Cohort, split: Split | None = None) -> dict[str, float]:
    """Return the weight of each class that makes all classes count alike.

    Classification: N / (classes x N_class), scikit-learn's ``"balanced"``. Multilabel: slides without the class per
    slide with it, the ``pos_weight`` of PyTorch's binary loss.

    Parameters
    ----------
    cohort
        Not of regression.
    split
        Whose slides are counted; None: all.

    Raises
    ------
    CohortError
        Regression, or a class without slides (multilabel: also one that every slide has).
    """
    part = cohort if split is None else cohort.of_split(split)
    where = f"{cohort.table}: " + (f"split {split}" if split else "the cohort")
    if cohort.task == "regression":
        raise CohortError(f"{where}: regression has no classes to weigh")
    number = np.array([sum(c in row.labels for row in part.rows) for c in range(len(cohort.classes))], dtype=np.float64)
    without = len(part) - number
    useless = (number == 0) | ((without == 0) & (cohort.task == "multilabel"))
    if useless.any():
        name = cohort.classes[int(np.flatnonzero(useless)[0])]
        raise CohortError(f"{where} has no slide {'of' if not number.all() else 'without'} class {name!r} to weigh it")
    weights = without / number if cohort.task == "multilabel" else len(part) / (len(number) * number)
    return {name: float(weight) for name, weight in zip(cohort.classes, weights, strict=True)}


def _in_order(cohort: Cohort) -> Cohort:
    """Return the cohort in an order that does not depend on the table's."""
    return cohort.with_rows(sorted(cohort.rows, key=lambda row: (row.group, row.name)))


def _strata(cohort: Cohort) -> NDArray[np.intp]:
    """Return, per slide, the number of what is to be spread evenly: class, set of classes, or part of the scores."""
    if not cohort.rows:
        raise CohortError(f"{cohort.table}: there is no slide to divide")
    if cohort.task != "regression":
        kinds = {labels: number for number, labels in enumerate(sorted({row.labels for row in cohort.rows}))}
        return np.array([kinds[row.labels] for row in cohort.rows], dtype=np.intp)
    scores = np.asarray(cohort.targets, dtype=np.float64)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, SCORE_BINS + 1)[1:-1]))
    numbers: NDArray[np.intp] = np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]
    return numbers
