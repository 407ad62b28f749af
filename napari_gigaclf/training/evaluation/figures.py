"""All figures of a table of predictions, by name.

    auc:CLASS, average_precision:CLASS    one class against the rest (``_any``: anything but the first, negative class)
    auc_macro, average_precision_macro    their mean over classes
    accuracy, balanced_accuracy           of the most probable class; multilabel: of each label at 0.5, then the mean
    brier                                 mean over slides of sum_c (p_c - y_c)^2, halved for two classes (Brier 1950)
    log_loss                              mean of -log p of the truth; multilabel: mean over classes
    calibration_error                     gap between confidence and accuracy over 15 bins (Guo et al. 2017)
    spearman, mae                         regression

A figure that the slides do not allow (a class is missing) is nan.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.training.cohort.cohort import Task
from napari_gigaclf.training.evaluation.calibration import calibration_error
from napari_gigaclf.training.evaluation.predictions import Predictions, questions_of
from napari_gigaclf.training.evaluation.ranking import auc, average_precision, spearman

Figures = Callable[[Task, Sequence[str], NDArray[Any], NDArray[np.float64]], dict[str, float]]
"""Task, classes, truth and values (see ``Predictions``) -> figures by name."""
LEAST = float(np.finfo(np.float64).eps)
"""Probabilities are kept so far from 0 in a log loss, as scikit-learn does."""


def figures_of(predictions: Predictions) -> dict[str, float]:
    """Return every figure of a table of predictions."""
    return all_figures(predictions.task, predictions.classes, predictions.truth, predictions.values)


def all_figures(
    task: Task, classes: Sequence[str], truth: NDArray[Any], values: NDArray[np.float64]
) -> dict[str, float]:
    """Return every figure; parameters as in ``Predictions``."""
    if task == "regression":
        return {"spearman": spearman(truth, values), "mae": float(np.abs(truth - values).mean())}
    ranked = ranking_figures(task, classes, truth, values)
    questions = questions_of(task, classes, truth, values)
    precision = {f"average_precision{key}": average_precision(*question) for key, question in questions.items()}
    if "auc_macro" in ranked:
        own = [value for key, value in precision.items() if ":" in key]
        precision["average_precision_macro"] = float(np.mean(own))
    rest = _multilabel(truth, values) if task == "multilabel" else _classification(truth, values)
    return {**ranked, **precision, **rest}


def ranking_figures(
    task: Task, classes: Sequence[str], truth: NDArray[Any], values: NDArray[np.float64]
) -> dict[str, float]:
    """Return the figures that ask for the order of slides only: AUC, or Spearman's rho for regression."""
    if task == "regression":
        return {"spearman": spearman(truth, values)}
    areas = {f"auc{key}": auc(*question) for key, question in questions_of(task, classes, truth, values).items()}
    own = [value for key, value in areas.items() if key.startswith("auc:")]
    return {**areas, "auc_macro": float(np.mean(own))} if len(own) > 1 else areas


def confusion(predictions: Predictions) -> NDArray[np.int64] | None:
    """Return how many slides of each class (rows) are called what (columns), (C, C); None if not classification."""
    if predictions.task != "classification":
        return None
    return _confusion(predictions.truth, predictions.values)


def _confusion(truth: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.int64]:
    num_classes = values.shape[1]
    pairs = truth * num_classes + values.argmax(axis=1)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def _classification(truth: NDArray[Any], values: NDArray[np.float64]) -> dict[str, float]:
    table = _confusion(truth, values)
    there = table.sum(axis=1) > 0
    recall = np.diag(table)[there] / table.sum(axis=1)[there]
    wanted = np.eye(values.shape[1])[truth]
    halved = 2.0 if values.shape[1] == 2 else 1.0
    of_truth = values[np.arange(len(truth)), truth]
    return {
        "accuracy": float(np.diag(table).sum() / len(truth)),
        "balanced_accuracy": float(recall.mean()),
        "brier": float(((values - wanted) ** 2).sum(axis=1).mean() / halved),
        "log_loss": float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        "calibration_error": calibration_error(values.max(axis=1), values.argmax(axis=1) == truth),
    }


def _multilabel(truth: NDArray[Any], values: NDArray[np.float64]) -> dict[str, float]:
    called = values >= 0.5
    with np.errstate(invalid="ignore"):  # a class without slides: nan
        sensitivity = (called & truth).sum(axis=0) / truth.sum(axis=0)
        specificity = (~called & ~truth).sum(axis=0) / (~truth).sum(axis=0)
    of_truth = np.where(truth, values, 1.0 - values)
    errors = [calibration_error(values[:, c], truth[:, c]) for c in range(values.shape[1])]
    return {
        "accuracy": float((called == truth).mean()),
        "balanced_accuracy": float(((sensitivity + specificity) / 2).mean()),
        "brier": float(((values - truth) ** 2).mean()),
        "log_loss": float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        "calibration_error": float(np.mean(errors)),
    }
