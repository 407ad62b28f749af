"""Everything that is wrong with a cohort, in one report that a person can work off line by line."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_gigaclf.errors import CohortError

if TYPE_CHECKING:
    from napari_gigaclf.training.cohort.cohort import Cohort

Severity = Literal["error", "warning"]
"""An error stops a run before it begins; a warning is for a person to judge."""

UNREADABLE = ("missing-file", "unreadable-slide")
"""Kinds of problems which a run that leaves slides out can live with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    """For programs: ``"missing-file"``, ``"unknown-label"``, ..."""
    message: str
    """For a person, one line."""
    row: int | None = None
    """Row of the table as a spreadsheet counts (the header is row 1); None where it concerns the whole table."""
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}"

    @property
    def where(self) -> str:
        """Row and message in one line: names in a table may hold line breaks."""
        place = "" if self.row is None else f"row {self.row}: "
        return " ".join(f"{place}{self.message}".split())


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return those of the whole table first, then by row; of the same place errors before warnings."""
    return tuple(sorted(problems, key=lambda p: (p.row is not None, p.row or 0, p.severity)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found."""

    table: Path
    """What was checked: a table, a folder or an archive."""
    problems: tuple[Problem, ...] = ()
    """Those of the whole table first, then by row."""
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Slides or tiles per split and class (for regression: ``"slides"``); without a split: under ``"no split"``."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def text(self) -> str:
        """The report for a person: counts, then one line per problem."""
        head = f"{self.table}: {len(self.errors)} errors, {len(self.warnings)} warnings"
        counts = [
            f"{split}: {', '.join(f'{number} {name}' for name, number in of_split.items())}"
            for split, of_split in self.counts.items()
        ]
        return "\n".join([head, *counts, *map(str, self.problems)])

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, for ``json.dumps``."""
        return {
            "table": str(self.table),
            "ok": not self.errors,
            "counts": {split: dict(of_split) for split, of_split in self.counts.items()},
            "problems": [asdict(problem) for problem in self.problems],
        }

    def raise_if_bad(self) -> None:
        """Raise if there is an error.

        Raises
        ------
        CohortError
            One line: the number of errors, and the first of them.
        """
        if not self.errors:
            return
        more = f" (the first of {len(self.errors)} errors; a check lists them all)" if len(self.errors) > 1 else ""
        raise CohortError(f"{self.table}: {self.errors[0].where}{more}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortReport(Report):
    """What a check of a cohort found."""

    cohort: "Cohort | None"
    """The rows that could be read; None where the table could not be."""

    def stopping(self, *, leave_out: bool) -> "tuple[Problem, ...]":
        """Return the errors that stop a run; with ``leave_out``, one that goes on without slides it cannot read."""
        return tuple(error for error in self.errors if not (leave_out and error.kind in UNREADABLE))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, for ``json.dumps``."""
        # Not ``super()``: a dataclass with slots is another class than the one that this method was written in.
        return {**Report.as_json(self), "num_slides": 0 if self.cohort is None else len(self.cohort)}
