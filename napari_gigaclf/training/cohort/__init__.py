"""A cohort: a table of slides, what is known of each, and which of them train, tune and test. Nothing here needs torch.

``check_cohort`` finds everything that is wrong in one go, before anything runs; ``read_cohort`` returns a table that is
right, or refuses it.
"""

from napari_gigaclf.training.cohort.check import check_cohort, read_cohort
from napari_gigaclf.training.cohort.cohort import SPLITS, TASKS, Cohort, CohortRow, Split, Task
from napari_gigaclf.training.cohort.problems import CohortReport, Problem, Report
from napari_gigaclf.training.cohort.splits import Fold, assign_splits, class_weights, divided_as_usual, folds
from napari_gigaclf.training.cohort.write import write_cohort

__all__ = [
    "SPLITS",
    "TASKS",
    "Cohort",
    "CohortReport",
    "CohortRow",
    "Fold",
    "Problem",
    "Report",
    "Split",
    "Task",
    "assign_splits",
    "check_cohort",
    "class_weights",
    "divided_as_usual",
    "folds",
    "read_cohort",
    "write_cohort",
]
