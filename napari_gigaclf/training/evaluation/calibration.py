"""Whether a probability of 0.9 comes true nine times in ten, and the one number that makes it so.

A temperature T divides the logits before the softmax (or the sigmoid); it changes no order of classes and is found on
slides of its own, never on those that are measured (Guo et al. 2017, "On calibration of modern neural networks").
Probabilities hold logits up to a constant, which a softmax does not see: log p stands in for them.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax

from napari_gigaclf.training.evaluation.predictions import Predictions

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures that are looked at."""
SMALLEST = float(np.finfo(np.float32).tiny)
"""Models answer in single precision: what is smaller came out as 0."""
NEXT_TO_ONE = 1.0 - float(np.finfo(np.float32).epsneg)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """Probabilities in bins of equal width, and what came true; empty bins are left out."""

    predicted: NDArray[np.float64]
    """Mean probability per bin."""
    observed: NDArray[np.float64]
    """Share of slides per bin for which it came true."""
    counts: NDArray[np.int64]
    """Slides per bin."""


def reliability(probabilities: NDArray[np.float64], labels: NDArray[Any], num_bins: int = 10) -> Reliability:
    """Return the reliability curve of probabilities (N,) against what is true (N,)."""
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    there = counts > 0
    sums = (
        np.bincount(bins, weights=np.asarray(v, dtype=np.float64), minlength=num_bins) for v in (probabilities, labels)
    )
    predicted, observed = (total[there] / counts[there] for total in sums)
    return Reliability(predicted=predicted, observed=observed, counts=counts[there])


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[Any], num_bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017).

    Its known weakness: it is too large where there are few slides per bin.
    """
    curve = reliability(probabilities, labels, num_bins)
    return float((np.abs(curve.observed - curve.predicted) * curve.counts).sum() / curve.counts.sum())


def best_temperature(scores: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the temperature T for which sigmoid(scores / T) has the least log loss.

    Parameters
    ----------
    scores
        Margins (logits) of any shape.
    labels
        0 or 1, of the same shape.
    """
    signs = np.where(np.asarray(labels) == 1, -1.0, 1.0)
    return _least(lambda temperature: float(np.mean(np.logaddexp(0.0, signs * scores / temperature))))


def best_softmax_temperature(logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the temperature T for which softmax(logits / T) has the least log loss.

    Parameters
    ----------
    logits
        (N, C); a constant per row does not matter, so log probabilities do as well.
    labels
        Class numbers (N,).
    """
    rows = np.arange(len(labels))
    return _least(lambda temperature: -float(np.mean(log_softmax(logits / temperature, axis=1)[rows, labels])))


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature that fits a table of predictions best; not for regression."""
    logits = _logits(predictions)
    if predictions.task == "multilabel":
        return best_temperature(logits, predictions.truth)
    return best_softmax_temperature(logits, predictions.truth)


def at_temperature(predictions: Predictions, temperature: float) -> Predictions:
    """Return the predictions of the same model with its logits divided by a temperature."""
    logits = _logits(predictions) / temperature
    values = expit(logits) if predictions.task == "multilabel" else softmax(logits, axis=1)
    return dataclasses.replace(predictions, values=np.asarray(values, dtype=np.float64))


def _logits(predictions: Predictions) -> NDArray[np.float64]:
    if predictions.task == "multilabel":
        return np.asarray(logit(np.clip(predictions.values, SMALLEST, NEXT_TO_ONE)), dtype=np.float64)
    return np.log(np.maximum(predictions.values, SMALLEST))


def _least(loss: Callable[[float], float]) -> float:
    """Return the temperature of least loss; the search goes by its logarithm."""
    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(lambda log_t: loss(float(np.exp(log_t))), bounds=bounds, method="bounded")
    return float(np.exp(found.x))
