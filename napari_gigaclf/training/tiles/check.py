"""Looks at every tile before anything runs: its place, whether it can be read, its size, and whether it is there twice.

Weakness: tiles that overlap are found as long as they lie the same way up and are not too many (``MAX_COMPARED``).
"""

import dataclasses
import hashlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import Cancelled, CohortError
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.training.cohort import SPLITS, Cohort, CohortRow, Problem, Report
from napari_gigaclf.training.cohort.parse import nearest
from napari_gigaclf.training.cohort.problems import Severity, ordered
from napari_gigaclf.training.tiles.files import TileFiles, open_files
from napari_gigaclf.training.tiles.layout import Placed, placed
from napari_gigaclf.training.tiles.pixels import TileError, decode
from napari_gigaclf.training.tiles.same_place import same_place
from napari_gigaclf.training.tiles.tile_set import TileSet
from napari_gigaclf.writing import reason_of

NO_SPLIT = "no split"
NO_GROUPS = (
    "no patients are known: tiles of one slide may be learnt from and tuned on, which makes figures of tuning "
    "too good; put each patient's tiles into a folder below the class, or give --group PATTERN"
)
MAX_COMPARED = 50_000
"""Tiles above which nobody looks for those that overlap: 50 000 of 96 px take 1.5 GB of memory."""
REPORT_EVERY = 100
"""Tiles between two reports of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileReport(Report):
    """What a check of tiles found."""

    tiles: TileSet | None
    """Those that can be used; None where none can."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values, for ``json.dumps``."""
        return {**Report.as_json(self), "num_tiles": 0 if self.tiles is None else len(self.tiles.cohort)}


@dataclass(slots=True)
class _Look:
    """Tiles on their way through a check."""

    files: TileFiles
    problems: list[Problem] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width of what can be read."""

    def note(self, kind: str, message: str, severity: Severity = "error") -> None:
        self.problems.append(Problem(kind=kind, message=message, severity=severity))


def check_tiles(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    side_px: int = 0,
    group: str | None = None,
    divide: Callable[[Cohort], Cohort] | None = None,
    drawn: bool = False,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> TileReport:
    """Find everything that is wrong with a folder or an archive of tiles.

    Parameters
    ----------
    path
        Folder, or uncompressed tar archive, of JPEG, PNG or TIFF files: ``[split/]class/[group/]name``.
    classes
        In this order; None: the folders, sorted.
    side_px
        Side that is looked at, the middle of each tile; 0: all tiles have the same size, and it is that.
    group
        Regular expression; what it (or its first group) finds in a tile's name is the patient. None: the folder below
        the class; without such a folder each tile stands for itself.
    divide
        Gives splits to tiles that have none, before they are looked at for leaks and gaps; may raise CohortError.
    drawn
        Whether each is of a place of its own on a slide: equal ones, such as those of glass, are only worth a word.
    progress
        Told of tiles that were read.
    cancel
        Asked before each tile.

    Raises
    ------
    CohortError
        There is no such folder or archive, or there are no tiles in it.
    Cancelled
        Stopped while tiles were read.
    """
    files = open_files(Path(path))
    look = _Look(files)
    try:
        found, homeless = placed(files.names)
        for name in homeless:
            look.note("no-class", f"{name}: lies in no folder of a class")
        known = _known_classes(look, found, classes)
        _read_all(look, [one.name for one in found if one.class_name in known], progress, cancel)
    except BaseException:
        files.close()
        raise
    side = _side(look, side_px)
    cohort = _cohort(look, found, known, side, group)
    known_groups = group is not None or any(one.group for one in found)
    if cohort.rows and not known_groups and all(row.split is None for row in cohort.rows):
        look.note("no-groups", NO_GROUPS, "warning")
    if cohort.rows and not known_groups and not drawn:
        cohort = _by_place(look, cohort, side, progress, cancel)
    if divide is not None and cohort.rows:
        cohort = _divided(look, cohort, divide)
    _look_for_copies(look, cohort, drawn=drawn)
    counts = _counts(cohort)
    _look_for_gaps(look, cohort, counts)
    if known_groups:
        _look_at_groups(look, cohort)
    tiles = TileSet(cohort=cohort, files=files, side_px=side, digests=look.digests) if cohort.rows else None
    problems = ordered(look.problems)
    return TileReport(table=Path(path), problems=problems, counts=counts, tiles=tiles)


def _known_classes(look: _Look, found: Sequence[Placed], classes: Sequence[str] | None) -> tuple[str, ...]:
    there = Counter(one.class_name for one in found)
    if classes is None:
        known = tuple(sorted(there, key=lambda name: (int(name) if name.isdecimal() else -1, name)))
    else:
        known = tuple(classes)
        for name in sorted(set(there) - set(known)):
            look.note("unknown-class", f"folder {name!r} ({there[name]} tiles): {nearest(name, known)}")
    if len(known) < 2:
        names = ", ".join(known) or "none"
        look.note("one-class", f"there are {len(known)} classes ({names}); a folder for each of two or more is needed")
    return known


def _read_all(
    look: _Look, names: Sequence[str], progress: ProgressCallback | None, cancel: CancelToken | None
) -> None:  # fmt: skip
    """Decode every tile: a file that was cut short shows only then."""
    begin = time.perf_counter()
    for done, name in enumerate(names, 1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped while tiles were checked")
        try:
            data = look.files.read(name)
            pixels = decode(data)
        except (TileError, OSError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            look.note("unreadable-tile", f"{name}: {reason}")
            continue
        look.digests[name] = hashlib.sha256(data).hexdigest()
        look.sizes[name] = (pixels.shape[0], pixels.shape[1])
        if progress is not None and (done % REPORT_EVERY == 0 or done == len(names)):
            seconds = time.perf_counter() - begin
            progress(Progress(done=done, total=len(names), unit="tile", phase="checking tiles", seconds=seconds))


def _side(look: _Look, side_px: int) -> int:
    """Return the side that is looked at; tiles of another size are a problem, or too small for it."""
    if not look.sizes:
        return side_px
    (height, width), _ = Counter(look.sizes.values()).most_common(1)[0]
    for name, size in look.sizes.items():
        place = f"{name}: {size[1]} x {size[0]} px"
        if side_px and min(size) < side_px:
            look.note("too-small", f"{place}, smaller than tile_px={side_px}")
        elif not side_px and size != (height, width):
            look.note("other-size", f"{place}, others have {width} x {height}; tile_px=N looks at the middle of all")
    if not side_px and height != width:
        look.note("not-square", f"tiles have {width} x {height} px; give tile_px=N, the middle that is looked at")
    return side_px or min(height, width)


def _cohort(
    look: _Look, found: Iterable[Placed], classes: tuple[str, ...], side: int, group: str | None
) -> Cohort:  # fmt: skip
    """Return the tiles that can be used."""
    rows = []
    digest = hashlib.sha256()
    for number, one in enumerate(found, 1):
        if one.class_name not in classes or min(look.sizes.get(one.name, (0, 0))) < side:
            continue
        digest.update(f"{one.name} {look.digests[one.name]}\n".encode())
        rows.append(
            CohortRow(
                number=number,
                name=one.name,
                slide=look.files.path / one.name,
                labels=(classes.index(one.class_name),),
                split=one.split,
                group=_group_of(look, one, group),
            )
        )
    return Cohort(
        task="classification", classes=classes, rows=tuple(rows), table=look.files.path, sha256=digest.hexdigest()
    )  # fmt: skip


def _group_of(look: _Look, one: Placed, pattern: str | None) -> str:
    """Return what a tile belongs together with: its patient, or all copies of the same file."""
    if pattern is None:
        return one.group or look.digests[one.name]
    match = re.search(pattern, one.name)
    if match is None:
        look.note("no-group", f"{one.name}: {pattern!r} finds nothing in this name")
        return one.name
    return (match.group(1) if match.re.groups else None) or match.group(0)


def _by_place(
    look: _Look, cohort: Cohort, side: int, progress: ProgressCallback | None, cancel: CancelToken | None
) -> Cohort:  # fmt: skip
    """Return the tiles with those that overlap as one group, so that what is tuned on was not learnt from."""
    first_of = {look.digests[row.name]: row for row in reversed(cohort.rows)}
    rows = list(first_of.values())[::-1]
    if len(rows) > MAX_COMPARED:
        return cohort
    tiles = TileSet(cohort=cohort, files=look.files, side_px=side, digests=look.digests)
    places = same_place(_watched(tiles.each(rows), len(rows), "comparing tiles", progress, cancel)).tolist()
    seen_as = dict(zip(reversed(places), reversed(rows), strict=True))
    group_of = {
        look.digests[row.name]: look.digests[seen_as[place].name] for row, place in zip(rows, places, strict=True)
    }
    shared = Counter(places)
    overlapping = sum(number for number in shared.values() if number > 1)
    if overlapping:
        several = sum(number > 1 for number in shared.values())
        message = f"{overlapping} of {len(rows)} tiles overlap others, in {several} places"
        look.note("overlaps", f"{message}; where they are divided here, a place stays on one side", "warning")
    grouped = [dataclasses.replace(row, group=group_of[look.digests[row.name]]) for row in cohort.rows]
    _look_for_divided_places(look, grouped)
    return cohort.with_rows(grouped)


def _look_for_divided_places(look: _Look, rows: Sequence[CohortRow]) -> None:
    """Find places that are seen in two splits; equal files are another matter."""
    first: dict[str, CohortRow] = {}
    examples = []
    for row in rows:
        before = first.setdefault(row.group, row)
        if row.split != before.split and look.digests[row.name] != look.digests[before.name]:
            examples.append(f"{row.name} ({row.split}) is of one place with {before.name} ({before.split})")
    if examples:
        message = f"{len(examples)} tiles overlap those of another split, so that figures are too good: {examples[0]}"
        look.note("places-divided", message, "warning")


def _watched(
    images: Iterable[NDArray[np.uint8]], total: int, phase: str, progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Iterator[NDArray[np.uint8]]:  # fmt: skip
    """Yield tiles; tell how far they are, and stop when asked to."""
    begin = time.perf_counter()
    for done, image in enumerate(images, 1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped while tiles were checked")
        yield image
        if progress is not None and (done % REPORT_EVERY == 0 or done == total):
            seconds = time.perf_counter() - begin
            progress(Progress(done=done, total=total, unit="tile", phase=phase, seconds=seconds))


def _divided(look: _Look, cohort: Cohort, divide: Callable[[Cohort], Cohort]) -> Cohort:
    """Return the tiles divided; as they are where that cannot be."""
    try:
        return divide(cohort)
    except CohortError as error:
        look.note("too-few-groups", str(error).removeprefix(f"{cohort.table}: "))
        return cohort


def _look_for_copies(look: _Look, cohort: Cohort, *, drawn: bool) -> None:
    """Find equal files: contradictory in two classes, a leak in two splits, else (or drawn) only worth a word."""
    rows_of: dict[str, list[CohortRow]] = defaultdict(list)
    for row in cohort.rows:
        rows_of[look.digests[row.name]].append(row)
    copies, classes, splits = 0, [], []
    for first, *others in rows_of.values():
        for other in others:
            copies += 1
            same = f"{other.name}: the same file as {first.name}"
            if other.labels != first.labels:
                names = " and ".join(cohort.label_text(row) for row in (first, other))
                classes.append(f"{same}, but of the classes {names}")
            elif other.split != first.split:
                splits.append(f"{same}, in the splits {first.split} and {other.split}")
    if drawn and copies:
        apart = f"{len(classes)} of them of another class, {len(splits)} in another split"
        look.note("copies", f"{copies} tiles look the same as others, as glass does; {apart}", "warning")
    elif copies:
        for kind, messages in (("two-classes", classes), ("two-splits", splits)):
            for message in messages:
                look.note(kind, message)
        look.note("copies", f"{copies} tiles are copies of others", "warning")


def _counts(cohort: Cohort) -> dict[str, dict[str, int]]:
    found = Counter((row.split or NO_SPLIT, cohort.classes[row.labels[0]]) for row in cohort.rows)
    divided = any(row.split for row in cohort.rows)
    return {
        split: {name: found[split, name] for name in cohort.classes} for split in (SPLITS if divided else (NO_SPLIT,))
    }


def _look_for_gaps(look: _Look, cohort: Cohort, counts: dict[str, dict[str, int]]) -> None:
    absent = [name for name in cohort.classes if not any(of_split[name] for of_split in counts.values())]
    for name in absent:
        look.note("class-without-tiles", f"there is no tile of class {name!r} that can be read")
    for split in ("train", "tune"):
        of_split = counts.get(split)
        if of_split is None:
            continue
        lacking = [name for name, number in of_split.items() if not number and name not in absent]
        if lacking:
            severity: Severity = "error" if split == "train" else "warning"
            look.note("class-without-tiles", f"split {split!r} has no tile of {', '.join(lacking)}", severity)


def _look_at_groups(look: _Look, cohort: Cohort) -> None:
    """Find patients in two splits."""
    first: dict[str, CohortRow] = {}
    told = set()
    for row in cohort.rows:
        before = first.setdefault(row.group, row)
        if row.split != before.split and (row.group, row.split) not in told:
            told.add((row.group, row.split))
            where = f"{before.split} ({before.name}) and {row.split} ({row.name})"
            look.note("group-divided", f"group {row.group!r} is in {where}")
