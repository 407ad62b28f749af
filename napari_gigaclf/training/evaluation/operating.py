"""Where to draw the line: a threshold chosen on the tune slides and then measured on others.

A slide counts as positive if its score reaches the threshold. Intervals are exact binomial ones (Clopper and Pearson
1934) over slides: where patients have several slides they are too narrow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.evaluation.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A threshold, and what it does to slides it was not chosen on."""

    threshold: float
    rule: str
    """How it was chosen, for a person."""
    sensitivity: Interval
    specificity: Interval
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int


def choose_threshold(scores: NDArray[np.float64], labels: NDArray[np.bool_], sensitivity: float | None = None) -> float:
    """Return the highest threshold with at least a given sensitivity, or that of Youden's J.

    Parameters
    ----------
    scores, labels
        Of the slides to choose on, (N,).
    sensitivity
        In (0, 1]; None: the threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    Raises
    ------
    CohortError
        There are no positives, or, for Youden's J, no negatives.
    """
    positive = np.sort(scores[labels])[::-1]
    if not len(positive) or (sensitivity is None and len(positive) == len(scores)):
        raise CohortError("a threshold needs positive and negative slides to be chosen on; a class is missing there")
    if sensitivity is not None:
        wanted = max(1, int(np.ceil(sensitivity * len(positive) - 1e-9)))
        return float(positive[wanted - 1])
    from sklearn.metrics import roc_curve

    false_rate, true_rate, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    return float(thresholds[1:][(true_rate - false_rate)[1:].argmax()])  # the first stands above all scores


def operate(scores: NDArray[np.float64], labels: NDArray[np.bool_], threshold: float, rule: str) -> OperatingPoint:
    """Return what a threshold does to slides, scores (N,) and truth (N,)."""
    called = scores >= threshold
    true_positives, positives = int((called & labels).sum()), int(labels.sum())
    true_negatives, negatives = int((~called & ~labels).sum()), int((~labels).sum())
    return OperatingPoint(
        threshold=threshold,
        rule=rule,
        sensitivity=share(true_positives, positives),
        specificity=share(true_negatives, negatives),
        true_positives=true_positives,
        false_negatives=positives - true_positives,
        true_negatives=true_negatives,
        false_positives=negatives - true_negatives,
    )


def share(number: int, of: int) -> Interval:
    """Return a share with its exact 95 % interval; nan of nothing."""
    if not of:
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    found = binomtest(number, of).proportion_ci(0.95, method="exact")
    return Interval(value=number / of, low=float(found.low), high=float(found.high))
