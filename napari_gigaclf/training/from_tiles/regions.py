"""Annotated slides as a source of tiles: a table of slides, each with a GeoJSON file of outlines that have a class.

The table is that of a cohort with a column ``annotations`` instead of ``label``: what is outlined on a slide are its
labels, so that all that is checked and divided of a multilabel cohort is checked and divided here.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations import read_geojson
from napari_gigaclf.errors import AnnotationError, CohortError
from napari_gigaclf.training.cohort import Cohort, CohortReport, CohortRow, Problem, check_cohort
from napari_gigaclf.training.cohort.parse import nearest, parse_table
from napari_gigaclf.training.cohort.problems import ordered
from napari_gigaclf.training.cohort.table import FIRST_ROW, PARQUET_SUFFIXES, Table, read_table

COLUMN = "annotations"
TABLE_SUFFIXES = (".csv", *PARQUET_SUFFIXES)
AREAS = ("Polygon", "MultiPolygon")

Regions = Mapping[str, BaseGeometry]
"""Outlined area by class, (x, y) level-0 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTable:
    """Slides with their regions."""

    cohort: Cohort
    """Multilabel: the classes that are outlined on each slide."""
    regions: Mapping[int, Regions]
    """By row number of the table."""


def read_regions(path: Path, classes: Sequence[str] | None = None) -> tuple[RegionTable, list[Problem]]:
    """Read a table and all its annotations; return them with everything that is wrong.

    Parameters
    ----------
    path
        CSV or Parquet; columns ``slide``, ``annotations``, and optionally ``split``, ``group`` and ``um_per_px``.
    classes
        Classes to take, in order; None: all that are outlined, sorted.

    Raises
    ------
    CohortError
        If the table cannot be read at all, or has no column ``annotations``.
    """
    table = read_table(path)
    if COLUMN not in table.columns:
        found = ", ".join(table.columns)[:200]
        raise CohortError(
            f"{path}: there is no column '{COLUMN}' (a GeoJSON file per slide, from the table's folder on); "
            f"the columns are: {found}"
        )
    place, problems = table.columns.index(COLUMN), []
    regions: dict[int, Regions] = {}
    for number, cells in enumerate(table.rows, FIRST_ROW):
        if not any(cells):
            continue
        file = path.absolute().parent / cells[place]
        regions[number], found_here = _regions_of(file, cells[place], number, classes)
        problems += found_here
    known = tuple(classes or sorted({name for areas in regions.values() for name in areas}))
    cohort, of_table = parse_table(_labelled(table, place, regions), "multilabel", known)
    return RegionTable(cohort=cohort, regions=regions), [*of_table, *problems]


def check_slides(regions: RegionTable, problems: Sequence[Problem]) -> CohortReport:
    """Look at the slides of a table as at those of any cohort, and return what is wrong with all of it."""
    report = check_cohort(regions.cohort)
    return dataclasses.replace(report, problems=ordered([*problems, *report.problems]))


def _labelled(table: Table, place: int, regions: Mapping[int, Regions]) -> Table:
    """Return the table with the outlined classes as labels in place of the files' names."""
    # Labels of whole slides are not asked for; under another name such a column is warned of like any unknown one.
    others = [f"{name} of the slide" if name in ("label", "score") else name for name in table.columns]
    columns = tuple("label" if number == place else name for number, name in enumerate(others))
    rows = []
    for number, cells in enumerate(table.rows, FIRST_ROW):
        label = ";".join(regions.get(number, {}))
        rows.append(tuple(label if at == place else cell for at, cell in enumerate(cells)))
    return dataclasses.replace(table, columns=columns, rows=tuple(rows))


def _regions_of(
    path: Path, name: str, row: int, classes: Sequence[str] | None
) -> tuple[dict[str, BaseGeometry], list[Problem]]:
    """Return the areas of a slide by class, and what is wrong with its file."""
    if not name:
        return {}, [Problem(kind="no-annotations", message="the row names no annotations", row=row)]
    try:
        annotations = read_geojson(path)
    except AnnotationError as error:
        return {}, [Problem(kind="unreadable-annotations", message=str(error), row=row)]
    areas: dict[str, list[BaseGeometry]] = defaultdict(list)
    problems, unnamed, flat = [], 0, 0
    for annotation in annotations:
        if annotation.kind != "annotation":
            continue
        if annotation.geometry.geom_type not in AREAS:
            flat += 1
        elif annotation.class_name is None:
            unnamed += 1
        else:
            areas[annotation.class_name].append(annotation.geometry)
    for number, what in ((unnamed, "outlines without a class"), (flat, "points and lines")):
        if number:
            message = f"{name}: {number} {what} are not used"
            problems.append(Problem(kind="not-used", message=message, row=row, severity="warning"))
    for other in sorted(set(areas) - set(classes)) if classes is not None else ():
        message = f"{name}: outlines of {other!r} are not used: {nearest(other, list(classes or ()))}"
        problems.append(Problem(kind="not-used", message=message, row=row, severity="warning"))
    for bad in [other for other in areas if ";" in other]:
        message = f"{name}: class {bad!r} holds a ';', which divides classes; call it otherwise"
        problems.append(Problem(kind="bad-class", message=message, row=row))
        del areas[bad]
    used = {other: shapely.union_all(parts) for other, parts in areas.items() if classes is None or other in classes}
    if not used:
        problems.append(Problem(kind="no-regions", message=f"{name}: no area of a class is outlined", row=row))
    return used, problems


def area_of(row: CohortRow, regions: RegionTable, class_name: str) -> BaseGeometry:
    """Return where a slide's tiles of a class may lie: its outlines without those of other classes, level-0 (x, y)."""
    areas = regions.regions[row.number]
    others = [area for name, area in areas.items() if name != class_name]
    return shapely.difference(areas[class_name], shapely.union_all(others)) if others else areas[class_name]
