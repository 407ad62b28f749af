"""Writes a cohort as a CSV table that reads back as the same cohort."""

import csv
import os
from pathlib import Path

from napari_gigaclf.training.cohort.cohort import Cohort, CohortRow
from napari_gigaclf.writing import replacing


def write_cohort(cohort: Cohort, path: str | Path) -> Path:
    """Write a cohort as CSV, whole or not at all, and return its path.

    Relative names of slides stay relative, to the new table's folder. A multilabel cohort in which no slide has two
    classes must be read back with ``task="multilabel"``.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    target = Path(path).absolute()
    value = "score" if cohort.task == "regression" else "label"
    with replacing(target) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", value, "split", "group", "um_per_px"])
        for row in cohort.rows:
            known = repr(row.score) if cohort.task == "regression" else cohort.label_text(row)
            scale = "" if row.um_per_px is None else repr(row.um_per_px)
            writer.writerow([_name(row, cohort, target), known, row.split or "", row.group, scale])
    return Path(path)


def _name(row: CohortRow, cohort: Cohort, target: Path) -> str:
    if Path(row.name).is_absolute() or target.parent == cohort.table.absolute().parent:
        return row.name
    return Path(os.path.relpath(row.slide, target.parent)).as_posix()
