"""Annotations as a table for a spreadsheet: one row each, its place, size and measurements in columns."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_gigaclf.annotations.annotation import Annotation
from napari_gigaclf.writing import replacing

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_csv(
    path: str | Path, annotations: Iterable[Annotation], *, um_per_px: tuple[float, float] | None = None
) -> int:
    """Write annotations as comma-separated values.

    Parameters
    ----------
    path
        The file to write.
    annotations
        Taken once; all are kept until written, since the columns depend on all of them.
    um_per_px
        Micrometres per level-0 pixel, (y, x). Without it the columns in micrometres are left out.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    OutputError
        The file cannot be written.

    Notes
    -----
    Lengths and areas in micrometres are exact also where the pixel is not square: an area is scaled by both sides.
    """
    rows = list(annotations)
    names = list(dict.fromkeys(name for annotation in rows for name in annotation.measurements))
    table = [[*_fixed(annotation, um_per_px), *_measured(annotation, names)] for annotation in rows]
    return write_table(path, [*_header(um_per_px), *names], table)


def write_table(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a table as comma-separated values in UTF-8; NaN and None become empty cells.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.

    Returns
    -------
    int
        Number of rows without the header.
    """
    num_rows = 0
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([_cell(name) for name in header])
        for row in rows:
            writer.writerow([_cell(value) for value in row])
            num_rows += 1
    return num_rows


def _header(um_per_px: tuple[float, float] | None) -> list[str]:
    columns = ["id", "kind", "class", "name", "author", "centre_x_px", "centre_y_px", "area_px2"]
    return columns + (["centre_x_um", "centre_y_um", "area_um2"] if um_per_px else [])


def _fixed(annotation: Annotation, um_per_px: tuple[float, float] | None) -> list[object]:
    centre = annotation.geometry.centroid
    area = annotation.geometry.area
    row: list[object] = [
        annotation.id,
        annotation.kind,
        annotation.class_name,
        annotation.name,
        annotation.author,
        round(centre.x, 2),
        round(centre.y, 2),
        round(area, 2),
    ]
    if um_per_px:
        y_um, x_um = um_per_px
        row += [round(centre.x * x_um, 3), round(centre.y * y_um, 3), round(area * x_um * y_um, 3)]
    return row


def _measured(annotation: Annotation, names: list[str]) -> list[object]:
    return [annotation.measurements.get(name) for name in names]


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
