"""Everything that is wrong with tiles, annotated regions and the recipe, before anything runs."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_gigaclf.errors import Cancelled, CohortError, ModelError, ScaleError, SlideError
from napari_gigaclf.models.config import NetworkName
from napari_gigaclf.models.records import ConfigError
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.training.cohort import SPLITS, Cohort, Problem, Report, Split, assign_splits
from napari_gigaclf.training.cohort.problems import ordered
from napari_gigaclf.training.from_tiles.drawing import Drawing
from napari_gigaclf.training.from_tiles.places import SlidePlaces, find_places
from napari_gigaclf.training.from_tiles.recipe import CELL_NET_PX, TileRecipe, least_side, network_of
from napari_gigaclf.training.from_tiles.regions import TABLE_SUFFIXES, RegionTable, check_slides, read_regions
from napari_gigaclf.training.tiles import TileReport, check_tiles

ONE_CELL: tuple[NetworkName, ...] = ("cell-net", "cell-net-fine")
"""Networks whose tile, where nobody says its side, is what one cell sees."""
CONTRADICTION = 0.01
"""Share of outlined area in two classes above which it is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionReport(Report):
    """What a check of annotated slides found."""

    drawing: Drawing | None
    """Which tiles there would be; None where that cannot be told."""
    key: tuple[object, ...] = ()
    """Plain values that tell apart what would be drawn."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, for ``json.dumps``."""
        return {**Report.as_json(self), "num_tiles": 0 if self.drawing is None else self.drawing.total}


def is_table(path: Path) -> bool:
    """Return whether a path is meant as a table of annotated slides."""
    return path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir()


def check_source(
    path: Path,
    recipe: TileRecipe,
    *,
    classes: Sequence[str] | None = None,
    group: str | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> TileReport | RegionReport:
    """Find everything that is wrong with a folder or an archive of tiles, or with a table of annotated slides.

    Parameters
    ----------
    path
        What is to be learnt from.
    recipe
        How.
    classes
        In this order; None: those that are found, sorted.
    group
        See :func:`~napari_gigaclf.training.tiles.check_tiles`; not for a table, which has a column for it.
    progress
        Told of tiles that were read.
    cancel
        Asked to stop.

    Raises
    ------
    CohortError
        There is nothing that could be checked.
    Cancelled
        The caller asked to stop.
    """
    if is_table(path):
        if group is not None:
            raise CohortError(f"{path}: --group is for folders of tiles; a table has a column 'group'")
        return _check_table(path, recipe, classes, cancel)
    report = check_tiles(
        path,
        classes=classes,
        side_px=recipe.tile_px,
        group=group,
        divide=lambda cohort: _divided(cohort, recipe),
        progress=progress,
        cancel=cancel,
    )
    side = 0 if report.tiles is None else report.tiles.side_px
    known = () if report.tiles is None else report.tiles.cohort.classes
    return dataclasses.replace(report, problems=(*_of_recipe(recipe, side, known), *report.problems))


def _of_recipe(recipe: TileRecipe, side: int, classes: tuple[str, ...]) -> list[Problem]:
    """Return what of a recipe does not fit these classes and tiles of this side (0: unknown)."""
    problems = []
    if recipe.um_per_px is None:
        message = "um_per_px is missing: how many micrometres does a pixel of the tiles have? --set um_per_px=0.5"
        problems.append(Problem(kind="no-scale", message=message))
    try:
        network = network_of(recipe)
    except ModelError as error:
        return [*problems, Problem(kind="no-model", message=f"start_from: {error}")]
    if side and side < least_side(network):
        message = f"tiles of {side} px are too small for the network {network}: at least {least_side(network)} px"
        problems.append(Problem(kind="too-small", message=message))
    if side and recipe.augmentation.shift_px >= side:
        message = f"augmentation.shift_px={recipe.augmentation.shift_px} moves tiles of {side} px out of sight"
        problems.append(Problem(kind="shift", message=message))
    return [*problems, *_of_network(recipe, classes)] if len(classes) > 1 else problems


def _of_network(recipe: TileRecipe, classes: tuple[str, ...]) -> list[Problem]:
    """Return why the network of a recipe cannot be trained: it is built as for a run."""
    from torch.random import fork_rng

    from napari_gigaclf.training.from_tiles.network import tile_network

    try:
        with fork_rng(devices=[]):
            tile_network(recipe, classes, "check")
    except (CohortError, ModelError, ConfigError) as error:
        return [Problem(kind="network", message=str(error))]
    return []


def _check_table(
    path: Path, recipe: TileRecipe, classes: Sequence[str] | None, cancel: CancelToken | None
) -> RegionReport:  # fmt: skip
    regions, of_files = read_regions(path, classes)
    slides = check_slides(regions, of_files)
    side = _side_of(recipe)
    problems = [*_of_recipe(recipe, side, regions.cohort.classes), *slides.problems]
    if not side:
        message = "tile_px is missing: how many pixels does a tile have? --set tile_px=224"
        problems.append(Problem(kind="no-side", message=message))
    if side and recipe.label_px > side:
        message = f"label_px={recipe.label_px} is more than the tile's {side} px"
        problems.append(Problem(kind="label", message=message))
    if len(regions.cohort.classes) < 2:
        names = ", ".join(regions.cohort.classes) or "none"
        problems.append(Problem(kind="one-class", message=f"outlined are {names}; two classes or more are needed"))
    drawing = None
    if recipe.um_per_px is not None and side >= recipe.label_px and side and not slides.errors:
        try:
            regions = dataclasses.replace(regions, cohort=_divided(regions.cohort, recipe))
        except CohortError as error:
            message = str(error).removeprefix(f"{path}: ")
            problems.append(Problem(kind="too-few-groups", message=message))
        drawing, of_places = _drawing(regions, recipe, side, cancel)
        problems += of_places
    counts = {} if drawing is None else _counts(drawing)
    key = _key(regions, recipe, drawing)
    return RegionReport(table=path, problems=ordered(problems), counts=counts, drawing=drawing, key=key)


def _side_of(recipe: TileRecipe) -> int:
    """Return the side of the tiles that are drawn; 0 where nobody says."""
    try:
        return recipe.tile_px or (CELL_NET_PX if network_of(recipe) in ONE_CELL else 0)
    except ModelError:
        return recipe.tile_px


def _divided(cohort: Cohort, recipe: TileRecipe) -> Cohort:
    """Return slides or tiles with their own splits; where there are none, divided by patient.

    Raises
    ------
    CohortError
        If there are too few patients.
    """
    if any(row.split is not None for row in cohort.rows):
        return cohort
    shares: Mapping[Split, float] = {"train": 1 - recipe.tune_share, "tune": recipe.tune_share}
    return assign_splits(cohort, shares, recipe.seed)


def _drawing(
    regions: RegionTable, recipe: TileRecipe, side: int, cancel: CancelToken | None
) -> tuple[Drawing, list[Problem]]:  # fmt: skip
    """Return the tiles of all slides that train or tune, and what is wrong with them."""
    assert recipe.um_per_px is not None
    places: list[SlidePlaces] = []
    problems = []
    for row in regions.cohort.rows:
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped while regions were checked")
        if row.split not in ("train", "tune"):
            continue
        try:
            found = find_places(row, regions, recipe, recipe.um_per_px, side)
        except (SlideError, ScaleError, ModelError, OSError) as error:
            message = f"{row.name}: {error}" if isinstance(error, ScaleError) else str(error)
            problems.append(Problem(kind="unreadable-slide", message=message, row=row.number))
            continue
        places.append(found)
        problems += _of_places(found, side if not recipe.label_px else recipe.label_px)
    drawing = Drawing(
        places=places, classes=regions.cohort.classes, side_px=side, um_per_px=recipe.um_per_px, tissue=recipe.tissue
    )  # fmt: skip
    for split, of_split in _counts(drawing).items():
        lacking = [name for name, number in of_split.items() if not number]
        if lacking and split != "test":
            message = f"split {split!r} has no tile of {', '.join(lacking)}"
            severity: Any = "error" if split == "train" else "warning"
            problems.append(Problem(kind="class-without-tiles", message=message, severity=severity))
    return drawing, problems


def _of_places(places: SlidePlaces, label: int) -> list[Problem]:
    problems = []
    for name, corners in places.corners.items():
        if not len(corners):
            message = f"{places.row.name}: nowhere do {label} x {label} px lie wholly in an outline of {name!r}"
            problems.append(Problem(kind="no-room", message=message, row=places.row.number, severity="warning"))
    if places.shared > CONTRADICTION:
        message = f"{places.row.name}: {places.shared:.0%} of the outlined area is of two classes; no tile lies there"
        problems.append(Problem(kind="two-classes", message=message, row=places.row.number, severity="warning"))
    return problems


def _counts(drawing: Drawing) -> dict[str, dict[str, int]]:
    found: Counter[tuple[str, str]] = Counter()
    for place in drawing.places:
        for name, corners in place.corners.items():
            found[place.row.split or "", name] += len(corners)
    return {split: {name: found[split, name] for name in drawing.classes} for split in SPLITS if split != "test"}


def _key(regions: RegionTable, recipe: TileRecipe, drawing: Drawing | None) -> tuple[object, ...]:
    """Return what tells apart what is drawn: slides, splits, places and scale."""
    if drawing is None:
        return ()
    places = []
    for place in drawing.places:
        row, corners = place.row, {name: found.tolist() for name, found in place.corners.items()}
        places.append((str(row.slide.resolve()), row.um_per_px, row.split, row.group, corners))
    return (regions.cohort.classes, drawing.side_px, drawing.um_per_px, recipe.tissue, places)
