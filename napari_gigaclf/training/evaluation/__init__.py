"""How good a model of whole slides is: figures with intervals over patients, calibration, comparison, a report.

Only ``slides`` runs a model, and needs torch; everything else starts from a table of predictions.
"""

from napari_gigaclf.training.evaluation.calibration import (
    Reliability,
    at_temperature,
    best_softmax_temperature,
    best_temperature,
    calibration_error,
    fit_temperature,
    reliability,
)
from napari_gigaclf.training.evaluation.evaluation import Evaluation, evaluate
from napari_gigaclf.training.evaluation.figures import all_figures, confusion, figures_of, ranking_figures
from napari_gigaclf.training.evaluation.intervals import Interval, bootstrap
from napari_gigaclf.training.evaluation.operating import OperatingPoint, choose_threshold, operate
from napari_gigaclf.training.evaluation.permutation import PairedTest, holm, paired_permutation
from napari_gigaclf.training.evaluation.predictions import (
    Predictions,
    predictions_of,
    read_predictions,
    write_predictions,
)
from napari_gigaclf.training.evaluation.ranking import auc, average_precision, spearman
from napari_gigaclf.training.evaluation.report import Failure, write_report

__all__ = [
    "Evaluation",
    "Failure",
    "Interval",
    "OperatingPoint",
    "PairedTest",
    "Predictions",
    "Reliability",
    "all_figures",
    "at_temperature",
    "auc",
    "average_precision",
    "best_softmax_temperature",
    "best_temperature",
    "bootstrap",
    "calibration_error",
    "choose_threshold",
    "confusion",
    "evaluate",
    "figures_of",
    "fit_temperature",
    "holm",
    "operate",
    "paired_permutation",
    "predictions_of",
    "ranking_figures",
    "read_predictions",
    "reliability",
    "spearman",
    "write_predictions",
    "write_report",
]
