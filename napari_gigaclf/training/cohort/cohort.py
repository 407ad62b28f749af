"""What a cohort is once its table is read: one row per slide, with its classes or its score, its split and its patient.

The group (the patient) is what belongs together: slides of one patient resemble each other, so a group is never divided
between training and testing, and intervals are drawn over groups.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "multilabel", "regression"]
"""One class per slide; any number of classes per slide; a number per slide."""
Split = Literal["train", "tune", "test"]
"""What a slide is for: learning weights, choosing settings, measuring once at the end."""
TASKS: Final[tuple[Task, ...]] = get_args(Task)
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """One slide of a cohort."""

    number: int
    """Row of the table as a spreadsheet counts: the header is row 1."""
    name: str
    """The slide as the table calls it."""
    slide: Path
    """Where it lies: ``name``, from the table's folder on."""
    labels: tuple[int, ...] = ()
    """Numbers of its classes, ascending: one for classification, any number for multilabel, none for regression."""
    score: float | None = None
    """What is to be predicted in regression; None otherwise."""
    split: Split | None = None
    group: str
    """The patient; the slide's own name where the table says nothing."""
    um_per_px: float | None = None
    """Micrometres per pixel of level 0; None: what the file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A table of slides."""

    task: Task
    classes: tuple[str, ...]
    """Names of the classes in order; empty for regression."""
    rows: tuple[CohortRow, ...]
    table: Path
    """The file it was read from."""
    sha256: str
    """Digest of that file."""

    def __len__(self) -> int:
        """Return the number of slides."""
        return len(self.rows)

    @property
    def targets(self) -> NDArray[Any]:
        """What is to be predicted, per slide.

        Returns
        -------
        ndarray
            Classification: class numbers, int64 (N,). Multilabel: bool (N, classes). Regression: scores, float64 (N,).
        """
        if self.task == "regression":
            return np.array([row.score for row in self.rows], dtype=np.float64)
        if self.task == "classification":
            return np.array([row.labels[0] for row in self.rows], dtype=np.int64)
        targets = np.zeros((len(self.rows), len(self.classes)), dtype=np.bool_)
        for place, row in enumerate(self.rows):
            targets[place, list(row.labels)] = True
        return targets

    def with_rows(self, rows: Iterable[CohortRow]) -> "Cohort":
        """Return the cohort with other rows: a part of it, or the same slides split anew."""
        return dataclasses.replace(self, rows=tuple(rows))

    def of_split(self, split: Split) -> "Cohort":
        """Return the slides of one split; perhaps none."""
        return self.with_rows(row for row in self.rows if row.split == split)

    def label_text(self, row: CohortRow) -> str:
        """Return the classes of a row as the table writes them, joined by ``;``."""
        return ";".join(self.classes[number] for number in row.labels)
