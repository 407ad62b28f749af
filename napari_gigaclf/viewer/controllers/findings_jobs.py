"""Pieces of work of the Hotspots widget for its workers: search a map, measure it, read and write files."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.inference.findings.comparison import Comparison, compare
from napari_gigaclf.inference.findings.exports import write_hotspot_table, write_hotspots, write_lesion_table
from napari_gigaclf.inference.findings.foci import Tally, find_foci, tally
from napari_gigaclf.inference.findings.hotspots import find_hotspots
from napari_gigaclf.inference.findings.lesions import Lesion, find_lesions, has_size_classes, tissue_sections
from napari_gigaclf.inference.findings.ranking import Entry, ranked
from napari_gigaclf.inference.findings.review_file import ReviewStore
from napari_gigaclf.inference.findings.reviews import ReaderCall, ReviewKey, ReviewLog

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

CONTEXT = 2.0
"""A thumbnail shows so many times the side of what the network saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A map's list, and what it takes to measure and to name it again."""

    prediction: "Prediction"
    class_name: str
    um_per_px: tuple[float, float] | None
    scores: NDArray[np.float32]
    sections: NDArray[np.int32]
    entries: tuple[Entry, ...]


def first_class(prediction: "Prediction") -> str:
    """Return the class whose places are listed first: the one that is looked for, else the second, else the only one.

    ``inference.exports.shown_classes`` says the same, but importing it loads what writes images.
    """
    positive = prediction.head.config.card.positive_class
    return positive or prediction.classes[min(1, len(prediction.classes) - 1)]


def load(folder: Path, key: ReviewKey, slide_name: str) -> tuple[ReviewStore, ReviewLog, str]:
    """Return the file of verdicts, what stands in it, and why it cannot be read (else an empty text)."""
    store = ReviewStore(folder, key)
    try:
        return store, dataclasses.replace(store.load(), slide_name=slide_name), ""
    except (GigaclfError, OSError) as error:
        return store, ReviewLog(key=key, slide_name=slide_name), f"Verdicts are not taken: {error}"


def search(prediction: "Prediction", class_name: str, slide: "Slide | None", log: ReviewLog) -> Found:
    """Read the map of a class and make its list; on a worker."""
    scores = np.array(prediction.probability_map[prediction.classes.index(class_name)], dtype=np.float32)
    um_per_px = prediction.record.slide.um_per_px if slide is None else slide.um_per_px
    hotspots = find_hotspots(scores, prediction.grid, um_per_px)
    entries = ranked(
        hotspots,
        log,
        scores,
        prediction.grid,
        class_name=class_name,
        field=prediction.head.config.card.field,
        input_step=prediction.input_step,
    )
    return Found(
        prediction=prediction,
        class_name=class_name,
        um_per_px=um_per_px,
        scores=scores,
        sections=tissue_sections(prediction.tissue, prediction.grid),
        entries=tuple(entries),
    )


def widened(outline: Any) -> Any:  # noqa: ANN401 - shapely geometries
    """Return the box around an outline, with some of its surroundings."""
    import shapely

    x0, y0, x1, y1 = outline.bounds
    more = (CONTEXT - 1) / 2
    return shapely.box(x0 - more * (x1 - x0), y0 - more * (y1 - y0), x1 + more * (x1 - x0), y1 + more * (y1 - y0))


def later(function: Any, *arguments: Any) -> Any:  # noqa: ANN401
    """Return a call to be made later."""
    return lambda: function(*arguments)


def measure(
    found: Found, threshold: float, call: ReaderCall | None, counted: Callable[[Tally], None]
) -> tuple[list[Lesion], Comparison | None]:
    """Return the lesions at a threshold, and what a reader's own call is beside them.

    ``counted`` is called with number and area of the foci as soon as they are known.
    """
    foci = find_foci(found.scores, threshold)
    grid = found.prediction.grid
    counted(tally(foci, grid, found.um_per_px, threshold))
    sized = has_size_classes(found.prediction.head.config, found.class_name)
    lesions = find_lesions(found.scores, foci, grid, found.um_per_px, found.sections, sized=sized)
    both = None if call is None else compare(call.places, lesions, foci, grid, found.um_per_px)
    return lesions, both


def write_all(
    found: Found,
    entries: Sequence[Entry],
    lesions: Sequence[Lesion],
    threshold: float,
    stem: Path,
    origin: tuple[float, float],
) -> list[Path]:
    """Write places with what was said of them, and lesions; each file whole or not at all.

    Raises
    ------
    OutputError
        The folder cannot be written to, or the disk is full.
    """
    from napari_gigaclf.inference.exports import notes

    prediction = found.prediction
    paths = [stem.with_name(f"{stem.name}-{what}") for what in ("hotspots.geojson", "hotspots.csv", "lesions.csv")]
    write_hotspots(paths[0], entries, model=prediction.record.model.name, notes=notes(prediction), origin=origin)
    write_hotspot_table(paths[1], entries, found.um_per_px)
    write_lesion_table(paths[2], lesions, threshold)
    return paths
