"""Looks at a cohort before anything runs: hours of training must not end at a file that was never there.

What the table says is checked row by row while it is read (``parse``); here it is checked as a whole (a patient in two
splits, a slide that is there twice), and the slides themselves are looked at.
"""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_gigaclf.errors import Cancelled, SlideError
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.slides import open_slide
from napari_gigaclf.training.cohort.cohort import SPLITS, Cohort, CohortRow, Task
from napari_gigaclf.training.cohort.parse import nearest, parse_table
from napari_gigaclf.training.cohort.problems import CohortReport, Problem, ordered
from napari_gigaclf.training.cohort.table import read_table

MAX_OPENED = 20_000
"""Slides that one check opens; opening one takes some 10 ms on a local disk."""
NO_SPLIT = "no split"


def read_cohort(path: str | Path, *, task: Task | None = None, classes: Sequence[str] | None = None) -> Cohort:
    """Read a table of slides; the slides themselves are not looked at.

    Parameters
    ----------
    path
        CSV (UTF-8, commas) or Parquet (``.parquet``), at most 256 MB and a million rows. Columns: ``slide`` (from the
        table's folder on), ``label`` (a class; several joined by ``;``) or ``score``; optional ``split`` (train, tune,
        test), ``group`` (the patient; else each slide by itself) and ``um_per_px``.
    task
        ``"classification"``, ``"multilabel"`` or ``"regression"``; None: a ``score`` column means regression, a ``;``
        in any label multilabel.
    classes
        Names of the classes in order; None: those found, sorted.

    Raises
    ------
    CohortError
        The table cannot be read, or something in it is wrong: ``check_cohort`` lists all of it.
    """
    report = _table_report(Path(path), task, classes)
    report.raise_if_bad()
    assert report.cohort is not None
    return report.cohort


def check_cohort(
    cohort: Cohort | str | Path,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    open_slides: bool = True,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> CohortReport:
    """Find everything that is wrong with a cohort and its slides.

    Parameters
    ----------
    cohort
        A cohort, or the path of its table. Only from the path can it be told what is wrong with the table's cells.
    task
        See ``read_cohort``; for a path only.
    classes
        The classes there must be, in order, such as those of a model.
    open_slides
        Whether to open each slide (its header is read and its fingerprint taken, 2.5 MiB at most) besides looking
        whether it is there. At most 20 000 are opened.
    progress
        Called after each slide that was opened.
    cancel
        Asked before each slide.

    Raises
    ------
    CohortError
        The table cannot be read at all: missing, too large, not CSV or Parquet.
    Cancelled
        Stopped while slides were opened.
    """
    if isinstance(cohort, Cohort):
        report = _cohort_report(cohort, _foreign_labels(cohort, classes), classes)
    else:
        report = _table_report(Path(cohort), task, classes)
    assert report.cohort is not None
    found = [*report.problems, *_missing_files(report.cohort)]
    if open_slides:
        missing = {problem.row for problem in found if problem.kind == "missing-file"}
        found += _opened([row for row in report.cohort.rows if row.number not in missing], progress, cancel)
    return dataclasses.replace(report, problems=ordered(found))


def _table_report(path: Path, task: Task | None, classes: Sequence[str] | None) -> CohortReport:
    cohort, problems = parse_table(read_table(path), task, classes)
    return _cohort_report(cohort, problems, classes)


def _cohort_report(cohort: Cohort, problems: Iterable[Problem], classes: Sequence[str] | None) -> CohortReport:
    """Add what can be told from the rows together, without their files."""
    counts = _counts(cohort)
    found = [*problems, *_twice(cohort), *_divided_groups(cohort), *_gaps(cohort, counts, classes)]
    return CohortReport(table=cohort.table, cohort=cohort, problems=ordered(found), counts=counts)


def _foreign_labels(cohort: Cohort, classes: Sequence[str] | None) -> list[Problem]:
    if classes is None or cohort.task == "regression" or tuple(classes) == cohort.classes:
        return []
    problems = []
    for row in cohort.rows:
        for name in (cohort.classes[number] for number in row.labels):
            if name not in classes:
                message = f"unknown label {name!r}: {nearest(name, classes)}"
                problems.append(Problem(kind="unknown-label", message=message, row=row.number))
    if not problems:
        message = f"the classes are {', '.join(cohort.classes)}, not {', '.join(classes)} in this order"
        problems.append(Problem(kind="other-classes", message=message))
    return problems


def _twice(cohort: Cohort) -> list[Problem]:
    """Find slides that are there twice by their path, whatever way it is written."""
    first: dict[str, CohortRow] = {}
    folders: dict[Path, str] = {}
    problems = []
    for row in cohort.rows:
        before = first.setdefault(_real(row.slide, folders), row)
        if before is not row:
            message = f"{row.name}: the same slide as in row {before.number}"
            problems.append(Problem(kind="slide-twice", message=message, row=row.number))
    return problems


def _real(path: Path, folders: dict[Path, str]) -> str:
    """Return where a path leads, links followed; folders are followed once (a network drive is slow)."""
    if path.name == "..":
        return os.path.realpath(path)
    if path.parent not in folders:
        folders[path.parent] = os.path.realpath(path.parent)
    place = os.path.join(folders[path.parent], path.name)
    return os.path.realpath(place) if os.path.islink(place) else place


def _divided_groups(cohort: Cohort) -> list[Problem]:
    """Find groups in more than one split: what is known of a patient would leak from training into testing."""
    first: dict[str, CohortRow] = {}
    told: set[tuple[str, str]] = set()
    problems = []
    for row in cohort.rows:
        if row.split is None:
            continue
        before = first.setdefault(row.group, row)
        if before.split != row.split and (row.group, row.split) not in told:
            told.add((row.group, row.split))
            message = f"group {row.group!r} is in {row.split} here and in {before.split} in row {before.number}"
            problems.append(Problem(kind="group-divided", message=message, row=row.number))
    return problems


def _counts(cohort: Cohort) -> dict[str, dict[str, int]]:
    names = cohort.classes or ("slides",)
    counts = {split: dict.fromkeys(names, 0) for split in (*SPLITS, NO_SPLIT)}
    for row in cohort.rows:
        of_split = counts[row.split or NO_SPLIT]
        for name in [cohort.classes[number] for number in row.labels] if cohort.classes else names:
            of_split[name] += 1
    present = Counter(row.split or NO_SPLIT for row in cohort.rows)
    keep = (*SPLITS, NO_SPLIT) if any(present[split] for split in SPLITS) else (NO_SPLIT,)
    return {split: counts[split] for split in keep if split in SPLITS or present[split]}


def _gaps(cohort: Cohort, counts: dict[str, dict[str, int]], classes: Sequence[str] | None) -> list[Problem]:
    """Find splits and classes without slides. Not an error: not every use needs all of them."""
    messages: list[tuple[str, str]] = []
    present = Counter(row.split for row in cohort.rows)
    divided = any(present[split] for split in SPLITS)
    for split in SPLITS if divided else ():
        if not present[split]:
            messages.append(("empty-split", f"no slide is in split {split!r}"))
            continue
        lacking = [name for name, number in counts[split].items() if not number and _number(counts, name)]
        if lacking:
            messages.append(("class-without-slides", f"split {split!r} has no slide of {', '.join(lacking)}"))
    if divided and present[None]:
        messages.append(("no-split", f"{present[None]} slides are in no split and will not be used"))
    lacking = [name for name in (cohort.classes if classes is None else classes) if not _number(counts, name)]
    if lacking and cohort.task != "regression":
        messages.append(("class-without-slides", f"no slide is of class {', '.join(lacking)}"))
    return [Problem(kind=kind, message=message, severity="warning") for kind, message in messages]


def _number(counts: dict[str, dict[str, int]], name: str) -> int:
    return sum(of_split.get(name, 0) for of_split in counts.values())


def _missing_files(cohort: Cohort) -> list[Problem]:
    return [
        Problem(kind="missing-file", message=f"{row.name}: there is no such file ({row.slide})", row=row.number)
        for row in cohort.rows
        if not os.path.exists(row.slide)  # not Path.exists, which raises for names that are too long
    ]


def _opened(rows: Sequence[CohortRow], progress: ProgressCallback | None, cancel: CancelToken | None) -> list[Problem]:
    """Open slides one after the other; what cannot be opened, has no scale, or is another row's slide is a problem."""
    problems: list[Problem] = []
    first: dict[str, CohortRow] = {}
    begin = time.perf_counter()
    total = min(len(rows), MAX_OPENED)
    for done, row in enumerate(rows[:total], 1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped while slides were checked")
        problems += _looked_at(row, first)
        if progress is not None:
            seconds = time.perf_counter() - begin
            progress(Progress(done=done, total=total, unit="slide", phase="checking slides", seconds=seconds))
    if len(rows) > total:
        message = f"only the first {total} of {len(rows)} slides were opened"
        problems.append(Problem(kind="not-opened", message=message, severity="warning"))
    return problems


def _looked_at(row: CohortRow, first: dict[str, CohortRow]) -> list[Problem]:
    try:
        with open_slide(row.slide, row.um_per_px) as slide:
            scale, fingerprint = slide.um_per_px, slide.id
    except (SlideError, OSError) as error:
        reason = error.reason if isinstance(error, SlideError) else str(error)
        return [Problem(kind="unreadable-slide", message=f"{row.name}: {reason}", row=row.number)]
    problems = []
    if scale is None:
        message = f"{row.name}: the file has no micrometres per pixel; give them in a column um_per_px"
        problems.append(Problem(kind="no-scale", message=message, row=row.number))
    before = first.setdefault(fingerprint, row)
    if before is not row and os.path.realpath(before.slide) != os.path.realpath(row.slide):
        message = f"{row.name}: the same content as {before.name} in row {before.number}"
        problems.append(Problem(kind="slide-twice", message=message, row=row.number))
    return problems
