"""How well scores order slides: area under the ROC curve, average precision, few false alarms, Spearman's rho.

AUC is the chance that a slide with tumour scores higher than one without, ties counting half (Mann-Whitney):

    AUC = (sum of ranks of positives - P (P + 1) / 2) / (P N)

A bootstrap asks for them thousands of times, so they are plain numpy (scikit-learn's AUC and average precision take 15
to 20 times as long on 500 slides, nearly all of it to check arguments); tests hold them against scikit-learn and scipy.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the ROC curve; nan if a class is missing.

    Parameters
    ----------
    scores
        Higher is more positive, (N,).
    labels
        True or 1 for positives, (N,).

    Examples
    --------
    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    positive = np.asarray(labels).astype(bool)
    num_positive = int(positive.sum())
    num_negative = int(positive.size - num_positive)
    if not num_positive or not num_negative:
        return float("nan")
    ranks = rankdata(np.asarray(scores, dtype=np.float64))
    return float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the sum over thresholds of precision times the gain in recall; nan without positives.

    Examples
    --------
    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    values, positive = values[order], np.asarray(labels).astype(bool)[order]
    if not positive.any():
        return float("nan")
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # of each run of equal scores
    found = np.cumsum(positive)[last]
    gains = np.diff(found, prepend=0)
    return float((gains * found / (last + 1)).sum() / found[-1])


def sensitivity_at(scores: ArrayLike, labels: ArrayLike, false_rate: float) -> float:
    """Return the share of positives above the lowest threshold that at most a share of negatives exceeds.

    With N negatives, floor(false_rate N) of them may score higher; it is coarse where that is next to none. nan if a
    class is missing.

    Parameters
    ----------
    scores, labels
        As for ``auc``.
    false_rate
        Share of the negatives that may be called positive, in [0, 1).

    Examples
    --------
    >>> sensitivity_at([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.0)
    0.5
    >>> sensitivity_at([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.5)
    1.0
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    negatives = np.sort(values[~positive])
    if not positive.any() or not len(negatives):
        return float("nan")
    threshold = negatives[len(negatives) - 1 - int(false_rate * len(negatives) + 1e-9)]
    return float(np.mean(values[positive] > threshold))


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rho, Pearson's correlation of ranks; nan where one side is constant or there are fewer than 2.

    Examples
    --------
    >>> spearman([1, 2, 3], [10, 30, 20])
    0.5
    """
    a, b = rankdata(np.asarray(first, dtype=np.float64)), rankdata(np.asarray(second, dtype=np.float64))
    a, b = a - a.mean() if a.size else a, b - b.mean() if b.size else b
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")
