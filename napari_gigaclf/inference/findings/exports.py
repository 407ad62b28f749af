"""Hotspots with what was said of them, and lesions, for other programs: GeoJSON by QuPath's rules, and tables.

Every place goes out, the rejected ones too, with who said so and when. Their classes keep them apart in QuPath: what
was accepted is ``tumour``, what was rejected ``rejected: tumour``, what nobody looked at ``unreviewed: tumour``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.annotations.table import write_table
from napari_gigaclf.inference.findings.lesions import Lesion
from napari_gigaclf.inference.findings.ranking import Entry

COLOURS = {
    "open": (86, 180, 233),
    "accepted": (0, 158, 115),
    "rejected": (213, 94, 0),
    "relabelled": (0, 114, 178),
}
"""Colours of the verdicts, which remain apart for people who do not see red or green (Okabe and Ito, 2008)."""


def hotspot_annotations(entries: Sequence[Entry], model: str, notes: Mapping[str, str]) -> list[Annotation]:
    """Return hotspots as annotations, in the order of their list.

    Parameters
    ----------
    entries
        The list (``ranking.ranked``).
    model
        Name of the model that found them.
    notes
        What every exported file says of its origin (``inference.exports.notes``).
    """
    return [_annotation(entry, model, notes) for entry in entries]


def write_hotspots(
    path: str | Path,
    entries: Sequence[Entry],
    *,
    model: str,
    notes: Mapping[str, str],
    origin: tuple[float, float] = (0.0, 0.0),
) -> int:
    """Write hotspots as GeoJSON for QuPath; return how many there are. See `annotations.write_geojson`."""
    return write_geojson(path, hotspot_annotations(entries, model, notes), origin=origin)


def write_hotspot_table(path: str | Path, entries: Sequence[Entry], um_per_px: tuple[float, float] | None) -> int:
    """Write hotspots as comma-separated values; return how many there are."""
    header = ["rank", "class", "probability", "y_px", "x_px", "y_um", "x_um"]
    rows = [[*_measured(entry, um_per_px), *_said(entry)] for entry in entries]
    return write_table(path, [*header, "verdict", "new_class", "note", "who", "when"], rows)


def write_lesion_table(path: str | Path, lesions: Sequence[Lesion], threshold: float) -> int:
    """Write lesions as comma-separated values; return how many there are."""
    header = ["lesion", "section", "threshold", "foci", "cells", "area_mm2", "area_px2", "diameter_mm", "diameter_px"]
    rows = [
        [
            number,
            lesion.section,
            threshold,
            lesion.num_foci,
            lesion.num_cells,
            lesion.area_mm2,
            lesion.area_px,
            lesion.diameter_mm,
            lesion.diameter_px,
            lesion.highest,
            *lesion.place,
            lesion.size_class,
        ]
        for number, lesion in enumerate(lesions, start=1)
    ]
    return write_table(path, [*header, "highest_probability", "y_px", "x_px", "size_class"], rows)


def _annotation(entry: Entry, model: str, notes: Mapping[str, str]) -> Annotation:
    review = entry.review
    said = {"verdict": entry.verdict, "class_looked_for": entry.class_name}
    if review is not None:
        said |= {"reviewed_by": review.who, "reviewed_at": review.when, "note": review.note}
    return Annotation(
        geometry=entry.outline,
        class_name=_class(entry),
        colour=COLOURS[entry.verdict],
        name=f"hotspot {entry.rank}",
        author=f"model:{model}" if entry.verdict == "open" else "person",
        measurements={"rank": float(entry.rank), f"prob_{entry.class_name}": entry.probability},
        metadata={**notes, **said},
    )


def _class(entry: Entry) -> str:
    if entry.review is not None and entry.review.verdict == "relabelled":
        return entry.review.new_class
    before = {"open": "unreviewed: ", "rejected": "rejected: "}.get(entry.verdict, "")
    return f"{before}{entry.class_name}"


def _measured(entry: Entry, um: tuple[float, float] | None) -> list[object]:
    y, x = entry.place
    in_um = [None, None] if um is None else [y * um[0], x * um[1]]
    return [entry.rank, entry.class_name, entry.probability, y, x, *in_um]


def _said(entry: Entry) -> list[object]:
    review = entry.review
    if review is None:
        return [entry.verdict, "", "", "", ""]
    return [entry.verdict, review.new_class, review.note, review.who, review.when]
