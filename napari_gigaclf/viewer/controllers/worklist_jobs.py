"""Pieces of work of the worklist for its worker: list slides, find out what is known of each, open one.

What is known comes from files of this program alone, by the path of a slide and the size and time of its file: nothing
of a slide is read for the list. So a slide that was moved counts as new here until it is opened.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from napari_gigaclf.errors import CohortError, ResultError, SlideError
from napari_gigaclf.inference.findings.review_file import count_judged, reviews_folder
from napari_gigaclf.slides.opening import MAX_UM_PER_PX
from napari_gigaclf.viewer.preferences import load_preferences
from napari_gigaclf.viewer.returning.given_scale import with_given_scale
from napari_gigaclf.viewer.returning.pieces import copies_of, file_of
from napari_gigaclf.viewer.returning.state import SlideState
from napari_gigaclf.viewer.returning.state_file import MAX_LISTED, read_state, states_folder
from napari_gigaclf.writing import reason_of

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData

MAX_SLIDES = 20_000
MAX_ENTRIES = 100_000
"""Files and folders of a folder that are looked at."""
TABLES = (".csv", ".parquet", ".pq")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One slide of a worklist."""

    path: Path
    um_per_px: float | None = None
    """What a table says; None: what the file says."""
    problem: str = ""
    """Why it cannot be opened, as far as that is seen without reading it."""

    @property
    def name(self) -> str:
        """The file's name, without folders."""
        return self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """Slides to be looked at, in order."""

    source: Path
    items: tuple[WorkItem, ...]
    left_out: str = ""
    """What was not listed; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What this program's files say of a slide."""

    opened: str
    """When it was last closed or changed, ISO 8601."""
    model: str
    """Whose result returns with it; empty without one."""
    num_drawn: int
    """Drawn shapes, points, masks and files of annotations that return with it."""
    num_judged: int
    """Hotspots with a verdict."""
    copies: tuple[str, ...] = ()
    """Names of other files with the same content: what is known is known of all of them."""


def read_worklist(source: Path) -> Worklist:
    """List the slides of a folder, or those that a table names.

    Raises
    ------
    SlideError
        The folder cannot be read, or holds no slide.
    CohortError
        The table cannot be read, or names no slide.
    """
    if source.is_dir():
        return _of_folder(source)
    if source.suffix.lower() in TABLES or not source.exists():
        return _of_table(source)
    raise CohortError(f"{source}: a worklist is a folder of slides or a table ({', '.join(TABLES)}) that names them")


def _of_folder(folder: Path) -> Worklist:
    from napari_gigaclf.slides.discover import is_slide_folder, slides_in

    try:
        if is_slide_folder(folder, MAX_ENTRIES):
            return Worklist(source=folder, items=(_item(folder),))
        found = slides_in(folder, MAX_ENTRIES)
    except OSError as error:
        raise SlideError(folder, f"the folder cannot be read: {reason_of(error)}") from error
    if not found:
        raise SlideError(folder, "there are no slides in this folder")
    found.sort(key=lambda path: path.name.casefold())
    return Worklist(source=folder, items=tuple(map(_item, found[:MAX_SLIDES])), left_out=_left_out(len(found)))


def _of_table(source: Path) -> Worklist:
    """List the slides of a table; labels and patients are not looked at, since whoever reads slides shall not know."""
    from napari_gigaclf.training.cohort.table import read_table

    table = read_table(source)
    if "slide" not in table.columns:
        raise CohortError(f"{source}: there is no column 'slide'; the columns are: {', '.join(table.columns)[:200]}")
    place = table.columns.index("slide")
    scale = table.columns.index("um_per_px") if "um_per_px" in table.columns else None
    named = [cells for cells in table.rows if cells[place]]
    if not named:
        raise CohortError(f"{source}: the table names no slide")
    folder = source.absolute().parent
    items = [
        _item(folder / Path(cells[place]), None if scale is None else _scale(cells[scale]))
        for cells in named[:MAX_SLIDES]
    ]
    return Worklist(source=source, items=tuple(items), left_out=_left_out(len(named)))


def _left_out(number: int) -> str:
    return f"only the first {MAX_SLIDES} of {number} slides are listed" if number > MAX_SLIDES else ""


def _scale(text: str) -> float | None:
    """Return a scale; None where a cell has none that can be true, so that the file's own holds."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= MAX_UM_PER_PX else None


def _item(path: Path, um_per_px: float | None = None) -> WorkItem:
    problem = ""
    try:
        if path.stat().st_size == 0 and path.is_file():
            problem = "the file is empty"
    except FileNotFoundError:
        problem = "there is no such file"
    except (OSError, ValueError) as error:
        problem = reason_of(error) if isinstance(error, OSError) else "no such path can be"
    return WorkItem(path=path, um_per_px=um_per_px, problem=problem)


def open_item(item: WorkItem) -> "tuple[Slide, list[LayerData]]":
    """Open a slide of the list, with its layers.

    Raises
    ------
    SlideError
        It cannot be opened.
    """
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.overview import needs_coarse_levels
    from napari_gigaclf.viewer.reader import open_layers

    slide = open_slide(item.path, item.um_per_px)
    try:
        slide.id  # noqa: B018 - reads the file for it here rather than on the window's thread
        slide = with_given_scale(slide) if load_preferences().return_slides else slide
        if not needs_coarse_levels(slide):
            np.asarray(slide.levels[-1][:, :])  # what napari reads first: a file that was cut short is found out here
        return slide, open_layers(slide)
    except BaseException:
        slide.close()
        raise


class _Folder(Generic[T]):
    """What the files of a folder say; each is read again only after it has changed."""

    def __init__(self, folder: Path, read: Callable[[Path], T]) -> None:
        self._folder = folder
        self._read = read
        self._found: dict[Path, tuple[int, T | None]] = {}

    def look(self) -> list[T]:
        """Return what can be read of the newest files."""
        times: dict[Path, int] = {}
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                if path.suffix == ".json":
                    with contextlib.suppress(FileNotFoundError):
                        times[path] = path.lstat().st_mtime_ns
        newest = sorted(times, key=lambda path: -times[path])[:MAX_LISTED]
        for path in newest:
            if path not in self._found or self._found[path][0] != times[path]:
                self._found[path] = (times[path], self._of(path))
        return [what for path in newest if (what := self._found[path][1]) is not None]

    def _of(self, path: Path) -> T | None:
        try:
            return self._read(path)
        except ResultError:
            return None


class KnownFiles:
    """The files that this program keeps of slides; for one thread at a time.

    Parameters
    ----------
    states, reviews
        Where they lie; None takes the user's own folders.
    """

    def __init__(self, states: Path | None = None, reviews: Path | None = None) -> None:
        self._states: _Folder[SlideState] = _Folder(states or states_folder(), read_state)
        self._reviews: _Folder[tuple[str, int]] = _Folder(reviews or reviews_folder(), count_judged)

    def look(self, items: Sequence[WorkItem]) -> list[Known | None]:
        """Return what is known of each slide; None where nothing is, or where another file lies at its path now."""
        judged: dict[str, int] = {}
        for slide_id, number in self._reviews.look():
            judged[slide_id] = judged.get(slide_id, 0) + number
        states: dict[str, list[SlideState]] = {}
        for state in self._states.look():
            for file in (state.file, *state.copies):
                if file is not None:
                    states.setdefault(file.path, []).append(state)
        return [_known(states.get(str(item.path.absolute()), ()), item.path, judged) for item in items]


def _known(states: Sequence[SlideState], path: Path, judged: dict[str, int]) -> Known | None:
    """Put together what is known of the scenes and planes of one file."""
    file = file_of(path) if states else None
    same = [state for state in states if file in (state.file, *state.copies)]
    if not same:
        return None
    return Known(
        opened=max(state.when for state in same),
        model=next((state.result.model for state in same if state.result is not None), ""),
        num_drawn=sum(state.num_drawn + state.num_masks + len(state.annotations) for state in same),
        num_judged=sum(judged.get(state.slide_id, 0) for state in same),
        copies=tuple(dict.fromkeys(Path(each.path).name for state in same for each in copies_of(state, file))),
    )
