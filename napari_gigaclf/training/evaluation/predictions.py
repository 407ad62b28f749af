"""What a model said of slides whose truth is known: the table that every figure is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.annotations.table import FORMULA_STARTS, write_table
from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.cohort.cohort import Cohort, Task
from napari_gigaclf.training.cohort.table import read_table

PROBABILITY = "prob_"
"""Column of a class's probability, before its name."""
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """A model's answers on N slides of C classes, with the truth.

    Raises
    ------
    CohortError
        Something is not finite, not a probability, or not of the length of the others.
    """

    task: Task
    classes: tuple[str, ...]
    """Names in order, the negative one first; empty for regression."""
    slides: tuple[str, ...]
    groups: tuple[str, ...]
    """Patients: what intervals are drawn over."""
    truth: NDArray[Any]
    """``Cohort.targets``: class numbers int64 (N,), bool (N, C) for multilabel, scores float64 (N,) for regression."""
    values: NDArray[np.float64]
    """Probabilities (N, C), for classification with rows that add to 1; for regression the predicted scores (N,)."""

    def __post_init__(self) -> None:
        n, c = len(self.slides), len(self.classes)
        shape = (n,) if self.task == "regression" else (n, c)
        truth_shape = (n, c) if self.task == "multilabel" else (n,)
        if self.values.shape != shape or self.truth.shape != truth_shape or len(self.groups) != n:
            raise CohortError(
                f"predictions of {n} slides: {len(self.groups)} groups, truth {self.truth.shape}, values "
                f"{self.values.shape}; {self.task} needs {truth_shape} and {shape}"
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.truth).all()):
            raise CohortError("predictions: a value is not finite")
        if self.task == "regression":
            return
        if ((self.values < 0) | (self.values > 1)).any():
            raise CohortError("predictions: a probability is not in [0, 1]")
        if self.task == "classification" and (np.abs(self.values.sum(axis=1) - 1) > SUM_TOLERANCE).any():
            raise CohortError("predictions: probabilities of a slide do not add to 1")

    def __len__(self) -> int:
        """Return the number of slides."""
        return len(self.slides)

    @property
    def questions(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
        """Scores (N,) and truth (N,) of each yes-or-no question; see ``questions_of``."""
        return questions_of(self.task, self.classes, self.truth, self.values)

    @property
    def truth_text(self) -> list[str]:
        """The truth of each slide as a cohort's table writes it."""
        if self.task == "regression":
            return [repr(float(score)) for score in self.truth]
        if self.task == "classification":
            return [self.classes[number] for number in self.truth]
        return [";".join(self.classes[number] for number in np.flatnonzero(row)) for row in self.truth]


def questions_of(
    task: Task, classes: Sequence[str], truth: NDArray[Any], values: NDArray[np.float64]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Return scores (N,) and truth (N,) of each yes-or-no question that is asked of a classifier.

    Two classes: the second, under its name. More: each against the rest, and ``_any``: anything but the first, which
    is the negative one. Multilabel: each class. Keys of classes begin with ``:``, so that a class may be called any.
    """
    if task == "regression":
        return {}
    if task == "multilabel":
        return {f":{name}": (values[:, c], truth[:, c].astype(bool)) for c, name in enumerate(classes)}
    if len(classes) == 2:
        return {f":{classes[1]}": (values[:, 1], truth == 1)}
    each = {f":{name}": (values[:, c], truth == c) for c, name in enumerate(classes)}
    return {**each, "_any": (1.0 - values[:, 0], truth != 0)}


def predictions_of(cohort: Cohort, values: Mapping[int, NDArray[np.float64]]) -> Predictions:
    """Return what was predicted of the rows of a cohort, leaving out those without an answer.

    Parameters
    ----------
    cohort
        With the classes in the model's order.
    values
        By row number: probabilities (C,); for regression the score (1,).
    """
    part = cohort.with_rows(row for row in cohort.rows if row.number in values)
    shape = (len(part),) if cohort.task == "regression" else (len(part), len(cohort.classes))
    found = np.array([values[row.number] for row in part.rows], dtype=np.float64).reshape(shape)
    if cohort.task == "classification" and len(part):
        found = found / found.sum(axis=1, keepdims=True)  # float32 of a softmax adds to 1 up to 1e-7 only
    return Predictions(
        task=cohort.task,
        classes=cohort.classes,
        slides=tuple(row.name for row in part.rows),
        groups=tuple(row.group for row in part.rows),
        truth=part.targets,
        values=found,
    )


def write_predictions(predictions: Predictions, path: str | Path) -> None:
    """Write predictions as CSV: slide, group, truth, and ``prob_CLASS`` per class or ``predicted``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    names = [f"{PROBABILITY}{name}" for name in predictions.classes] or ["predicted"]
    known = predictions.truth.tolist() if predictions.task == "regression" else predictions.truth_text
    rows = zip(predictions.slides, predictions.groups, known, predictions.values, strict=True)
    table = [[slide, group, truth, *np.atleast_1d(values).tolist()] for slide, group, truth, values in rows]
    write_table(path, ["slide", "group", "truth", *names], table)


def read_predictions(path: str | Path, task: Task = "classification") -> Predictions:
    """Read what ``write_predictions`` wrote, or a table of another program with these columns.

    Raises
    ------
    CohortError
        The table cannot be read, lacks a column, or holds something that is no prediction.
    """
    table = read_table(Path(path))
    cells = ([_unmarked(cell) for cell in column] for column in zip(*table.rows, strict=True))
    columns = dict(zip(table.columns, map(tuple, cells), strict=False))
    names = [name for name in table.columns if name.startswith(PROBABILITY)]
    wanted = ["predicted"] if task == "regression" else names
    lacking = [name for name in ("slide", "truth", *(wanted or [f"{PROBABILITY}CLASS"])) if name not in columns]
    if lacking:
        raise CohortError(f"{table.path}: no predictions: there is no column {', '.join(lacking)}, or no row")
    classes = () if task == "regression" else tuple(name.removeprefix(PROBABILITY) for name in names)
    try:
        values = np.array([columns[name] for name in wanted], dtype=np.float64).T
        truth = _truth(columns["truth"], task, classes)
    except ValueError as error:
        raise CohortError(f"{table.path}: no predictions: {error}") from error
    return Predictions(
        task=task,
        classes=classes,
        slides=columns["slide"],
        groups=columns.get("group", columns["slide"]),
        truth=truth,
        values=values[:, 0] if task == "regression" else values,
    )


def _truth(texts: Sequence[str], task: Task, classes: tuple[str, ...]) -> NDArray[Any]:
    """Return texts of truth as ``Predictions.truth``; ValueError where one is not a class."""
    if task == "regression":
        return np.array(texts, dtype=np.float64)
    if task == "classification":
        return np.array([_number(text, classes) for text in texts], dtype=np.int64)
    truth = np.zeros((len(texts), len(classes)), dtype=np.bool_)
    for place, text in enumerate(texts):
        truth[place, [_number(name, classes) for name in text.split(";") if name]] = True
    return truth


def _number(name: str, classes: tuple[str, ...]) -> int:
    if name not in classes:
        raise ValueError(f"truth {name!r} is not one of {', '.join(classes)}")
    return classes.index(name)


def _unmarked(cell: str) -> str:
    """Return a cell without the apostrophe which ``write_table`` puts before what a spreadsheet took for a formula."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell
