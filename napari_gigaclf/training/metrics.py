"""How well scores tell two classes apart: area under the ROC curve, with an interval.

AUC is the chance that a tile with tumour scores higher than one without, ties counting half (Mann-Whitney):

    AUC = (sum of ranks of positives - P (P + 1) / 2) / (P N)
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the ROC curve; nan if a class is missing.

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


def bootstrap_interval(
    scores: NDArray[np.float64], labels: NDArray[np.int64], draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the AUC over tiles drawn with replacement.

    Tiles of one slide resemble each other; where slides are unknown the true interval is wider than this one.
    """
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = generator.integers(0, len(labels), len(labels))
        values.append(auc(scores[chosen], labels[chosen]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64], num_bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    gaps = [
        abs(float(labels[bins == b].mean()) - float(probabilities[bins == b].mean())) * float(np.mean(bins == b))
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def best_temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the temperature T for which sigmoid(scores / T) has the least log loss (Guo et al. 2017)."""
    signs = np.where(labels == 1, -1.0, 1.0)

    def log_loss(log_temperature: float) -> float:
        return float(np.mean(np.logaddexp(0.0, signs * scores / np.exp(log_temperature))))

    found = minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
