"""From annotated slides to a folder of tiles, which a person can look at, and which is then learnt from like any other.

tiles/split/class/patient/r<row>_y<y>_x<x>.png        pixels as ``classify`` shows them, rounded to 8 bits
tiles/drawn.json                                      what they were drawn from: without it, no run drew them
places.csv                                            which tile is from where
"""

import csv
import hashlib
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_gigaclf.errors import Cancelled, SlideError
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.from_tiles.places import SlidePlaces, box_at
from napari_gigaclf.training.slides.view import open_view
from napari_gigaclf.writing import reason_of, replacing

TILES_NAME = "tiles"
NOTE_NAME = "drawn.json"
"""Beside the tiles: what they were drawn from."""
PLACES_NAME = "places.csv"
MAX_FOLDER_LETTERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is to be drawn."""

    places: Sequence[SlidePlaces]
    """Of rows that have a split."""
    classes: tuple[str, ...]
    side_px: int
    um_per_px: float
    tissue: bool
    """Whether background is made white."""

    @property
    def folders(self) -> Mapping[str, str]:
        """Names of the classes' folders, which any file system can tell apart."""
        return {name: f"{number} {_folder(name)}" for number, name in enumerate(self.classes)}

    @property
    def total(self) -> int:
        """Number of tiles."""
        return sum(len(corners) for place in self.places for corners in place.corners.values())


def draw_tiles(
    drawing: Drawing,
    run: Path,
    note: str,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Write the tiles into a run's folder, all with their note or none.

    Parameters
    ----------
    drawing
        What is to be drawn.
    run
        The folder. No ``tiles`` stand there yet.
    note
        What says, inside the tiles' folder, what they were drawn from.
    progress
        Told of every tile.
    cancel
        Asked before each.

    Raises
    ------
    SlideError
        If a slide cannot be read.
    OutputError
        If the folder cannot be written, or there are tiles already.
    Cancelled
        If the caller asked to stop.
    """
    target, begin = run / TILES_NAME, time.perf_counter()
    for left in run.glob(f".{TILES_NAME}.*.partial"):  # of a process that was killed while it drew
        shutil.rmtree(left, ignore_errors=True)
    with replacing(target, overwrite=False) as beside, closing(_tiles(drawing, cancel)) as tiles:
        beside.mkdir()
        for done, (tile, pixels) in enumerate(tiles, 1):
            (beside / tile).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(beside / tile, "PNG")
            if progress is not None:
                seconds = time.perf_counter() - begin
                progress(Progress(done=done, total=drawing.total, unit="tile", phase="drawing tiles", seconds=seconds))
        (beside / NOTE_NAME).write_text(note, encoding="utf-8")


def _tiles(drawing: Drawing, cancel: CancelToken | None) -> Generator[tuple[Path, NDArray[np.uint8]]]:
    """Yield the path and the pixels (side, side, 3) of each tile; slides that cannot be read are no failed writes."""
    for place in drawing.places:
        row = place.row
        with _slide_errors(row):
            view = open_view(
                row.slide, um_per_px=drawing.um_per_px, slide_um_per_px=row.um_per_px, tissue=drawing.tissue
            )  # fmt: skip
        try:
            for name, corner in _in_reading_order(place):
                if cancel is not None and cancel.is_set():
                    raise Cancelled("stopped while tiles were drawn")
                with _slide_errors(row):
                    pixels = view.whole.read(*box_at(corner, drawing.side_px).slices)
                tile = np.rint(pixels * 255.0).astype(np.uint8).transpose(1, 2, 0)
                yield _path_of(drawing, row, name, corner), np.ascontiguousarray(tile)
        finally:
            view.slide.close()


@contextmanager
def _slide_errors(row: CohortRow) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SlideError(row.slide, f"cannot be read: {reason_of(error)}") from error


def _in_reading_order(place: SlidePlaces) -> list[tuple[str, NDArray[np.int64]]]:
    """Return class and corner of all tiles of a slide, top to bottom: parts of the slide are then decoded once."""
    found = [(name, corner) for name, corners in place.corners.items() for corner in corners]
    return sorted(found, key=lambda one: (int(one[1][0]), int(one[1][1]), one[0]))


def _path_of(drawing: Drawing, row: CohortRow, name: str, corner: NDArray[np.int64]) -> Path:
    file = f"r{row.number}_y{corner[0]}_x{corner[1]}.png"
    return Path(row.split or "train") / drawing.folders[name] / _folder(row.group) / file


def _folder(name: str) -> str:
    """Return a name that can be a folder's on any system; a long one is cut, and told apart by its digest."""
    safe = quote(name, safe=" +,=@()").replace(".", "%2E")
    if len(safe) <= MAX_FOLDER_LETTERS:
        return safe
    return f"{safe[:MAX_FOLDER_LETTERS]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _line(tile: Path, place: SlidePlaces, name: str, corner: NDArray[np.int64], side: int) -> list[object]:
    (oy, ox), (sy, sx) = place.grid.origin, place.grid.step
    y0, x0 = oy + corner[0] * sy, ox + corner[1] * sx
    corners = [round(float(value), 2) for value in (y0, y0 + side * sy, x0, x0 + side * sx)]
    return [tile.as_posix(), place.row.name, name, place.row.split or "", place.row.group, *corners]


def write_places(drawing: Drawing, run: Path) -> None:
    """Write which tile is from where; what stands there stays.

    Raises
    ------
    OutputError
        If the file cannot be written, or there is one already.
    """
    path = run / PLACES_NAME
    with replacing(path, overwrite=False) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tile", "slide", "label", "split", "group", "y0_px", "y1_px", "x0_px", "x1_px"])
        for place in drawing.places:
            for name, corner in _in_reading_order(place):
                tile = _path_of(drawing, place.row, name, corner)
                writer.writerow(_line(tile, place, name, corner, drawing.side_px))
