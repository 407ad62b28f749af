"""From a table of texts to a cohort: what each cell means, and what cannot be meant."""

import dataclasses
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from napari_gigaclf.slides.opening import MAX_UM_PER_PX
from napari_gigaclf.training.cohort.cohort import SPLITS, Cohort, CohortRow, Split, Task
from napari_gigaclf.training.cohort.problems import Problem, Severity
from napari_gigaclf.training.cohort.table import FIRST_ROW, Table

COLUMNS: Final = ("slide", "label", "score", "split", "group", "um_per_px")
ALSO_CALLED: Final = {"val": "tune", "valid": "tune", "validation": "tune", "dev": "tune", "training": "train"}
"""What others call a split."""
TYPO = 0.75
"""Likeness (difflib) from which an unknown column is taken for a known one with a slip in it."""


@dataclass(slots=True)
class _Parse:
    """A table on its way to a cohort."""

    table: Table
    task: Task
    problems: list[Problem] = field(default_factory=list)

    def note(self, kind: str, message: str, row: int | None = None, severity: Severity = "error") -> None:
        self.problems.append(Problem(kind=kind, message=message, row=row, severity=severity))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A row whose labels are still names."""

    row: CohortRow
    names: tuple[str, ...]


def parse_table(
    table: Table, task: Task | None = None, classes: Sequence[str] | None = None
) -> tuple[Cohort, list[Problem]]:
    """Return the rows that can be read, and what is wrong with the table and with the others.

    Parameters
    ----------
    table
        As it was read.
    task
        What the slides are for; None: ``score`` column means regression, a ``;`` in any label multilabel.
    classes
        Names of the classes in order; None: those found, sorted.
    """
    parse = _Parse(table, task or _guess(table))
    _check_columns(parse, task)
    drafts = [d for number, cells in enumerate(table.rows, FIRST_ROW) if (d := _draft(parse, number, cells))]
    known = _known_classes(parse, drafts, classes)
    rows = [row for draft in drafts if (row := _labelled(parse, draft, known)) is not None]
    if not table.rows:
        parse.note("no-rows", "the table names no slide")
    cohort = Cohort(task=parse.task, classes=known, rows=tuple(rows), table=table.path, sha256=table.sha256)
    return cohort, parse.problems


def nearest(name: str, known: Sequence[str]) -> str:
    """Return words that name the nearest known name, or all of them where none is near."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else f"known are {', '.join(known)}" if known else "none is known"


def _guess(table: Table) -> Task:
    if "score" in table.columns and "label" not in table.columns:
        return "regression"
    place = table.columns.index("label") if "label" in table.columns else None
    several = place is not None and any(";" in cells[place] for cells in table.rows)
    return "multilabel" if several else "classification"


def _check_columns(parse: _Parse, task: Task | None) -> None:
    columns = parse.table.columns
    if "slide" not in columns:
        found = ", ".join(columns)[:200]
        parse.note("missing-column", f"there is no column 'slide'; the columns, divided by commas, are: {found}")
    wanted = "score" if parse.task == "regression" else "label"
    if wanted not in columns:
        which = "'label' or 'score'" if task is None else f"{wanted!r}, which {task} needs"
        parse.note("missing-column", f"there is no column {which}")
    if task is None and {"label", "score"} <= set(columns):
        parse.note("two-targets", "there are both 'label' and 'score': remove one, or say which task it is")
    for name in columns:
        if name not in COLUMNS:
            _unknown_column(parse, name)


def _unknown_column(parse: _Parse, name: str) -> None:
    """Note a column nobody knows: an error if it may be a missing one with a slip in its name, else a warning."""
    absent = [known for known in COLUMNS if known not in parse.table.columns]
    near = difflib.get_close_matches(name.lower(), absent, n=1, cutoff=TYPO)
    if near:
        parse.note("unknown-column", f"unknown column {name!r}: did you mean {near[0]!r}?")
    else:
        parse.note("unknown-column", f"column {name!r} is not used; {nearest(name, COLUMNS)}", severity="warning")


def _draft(parse: _Parse, number: int, cells: tuple[str, ...]) -> _Draft | None:
    """Read a row but for its classes; None where it is empty or names no slide."""
    values = dict(zip(parse.table.columns, cells, strict=True))
    if not any(cells):
        return None
    name = values.get("slide", "")
    if not name:
        if "slide" in values:
            parse.note("no-slide", "the row names no slide", number)
        return None
    row = CohortRow(
        number=number,
        name=name,
        slide=parse.table.path.absolute().parent / Path(name),
        score=_score(parse, number, values.get("score", "")) if parse.task == "regression" else None,
        split=_split(parse, number, values.get("split", "")),
        group=values.get("group", "") or name,
        um_per_px=_scale(parse, number, values.get("um_per_px", "")),
    )
    if parse.task == "regression":
        return _Draft(row, ())
    text = values.get("label", "")
    parts = text.split(";") if parse.task == "multilabel" else [text]
    return _Draft(row, tuple(part.strip() for part in parts if part.strip()))


def _score(parse: _Parse, number: int, text: str) -> float | None:
    if "score" not in parse.table.columns:
        return None  # said once, of the whole table
    try:
        value = float(text)
    except ValueError:
        parse.note("bad-score", f"score {text!r} is not a number" if text else "there is no score", number)
        return None
    if not math.isfinite(value):
        parse.note("bad-score", f"score {text!r} is not finite", number)
        return None
    return value


def _split(parse: _Parse, number: int, text: str) -> Split | None:
    for split in SPLITS:
        if text == split:
            return split
    if text:
        meant = ALSO_CALLED.get(text.lower())
        hint = f"did you mean {meant!r}?" if meant else nearest(text.lower(), SPLITS)
        parse.note("unknown-split", f"unknown split {text!r}: {hint} (train, tune, test)", number)
    return None


def _scale(parse: _Parse, number: int, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0 < value <= MAX_UM_PER_PX:
        return value
    parse.note("bad-um-per-px", f"um_per_px {text!r} is not a number in (0, {MAX_UM_PER_PX:g}]", number)
    return None


def _known_classes(parse: _Parse, drafts: Sequence[_Draft], classes: Sequence[str] | None) -> tuple[str, ...]:
    if parse.task == "regression":
        return ()
    if classes is not None:
        return tuple(classes)
    return tuple(sorted({name for draft in drafts for name in draft.names}))


def _labelled(parse: _Parse, draft: _Draft, classes: tuple[str, ...]) -> CohortRow | None:
    """Turn names of classes into their numbers; None where the row cannot be used."""
    row = draft.row
    if parse.task == "regression":
        return row if row.score is not None else None
    if "label" not in parse.table.columns:
        return None
    if parse.task == "classification" and not draft.names:
        parse.note("no-label", "there is no label", row.number)
        return None
    if any(";" in name for name in draft.names):
        parse.note("several-labels", f"label {draft.names[0]!r} names several classes; that is multilabel", row.number)
        return None
    unknown = [name for name in draft.names if name not in classes]
    for name in unknown:
        parse.note("unknown-label", f"unknown label {name!r}: {nearest(name, classes)}", row.number)
    if unknown:
        return None
    return dataclasses.replace(row, labels=tuple(sorted({classes.index(name) for name in draft.names})))
