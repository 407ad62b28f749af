"""The output folder: a folder per slide, and a table of all slides in it.

A slide's folder is called after its name and the fingerprint of its content, so that two slides of one name never meet,
and a slide is recognised wherever it lies. Scenes and focal planes of one file have fingerprints, and so folders, of
their own (``image_fingerprint``), which is why a request need not tell them apart. A result counts as finished if it is
complete and the same was asked for.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gigaclf.annotations.table import write_table
from napari_gigaclf.cli.configs import ClassifyConfig
from napari_gigaclf.writing import replacing

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction

SUMMARY_NAME = "prediction.json"
TABLE_NAME = "results.csv"
MAX_SUMMARY_BYTES = 16 * 2**20
ID_LETTERS = 8


def folder_name(stem: str, slide_id: str, taken: set[str]) -> str:
    """Return the name of a slide's folder; the same bytes under the same name a second time get a number."""
    first = f"{stem}-{slide_id[:ID_LETTERS]}"
    name, number = first, 1
    while name in taken:
        number += 1
        name = f"{first}-{number}"
    return name


def request_of(config: ClassifyConfig, model_sha256: str, region_wkt: str) -> dict[str, Any]:
    """Return what decides the numbers of a result; the device and the memory do not."""
    return {
        "model_sha256": model_sha256,
        "level": config.level,
        "um_per_px": config.um_per_px,
        "slide_um_per_px": config.slide_um_per_px,
        "region": region_wkt,
        "saliency": config.saliency,
        "tissue": config.tissue,
        "format": config.map_format,
    }


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return the ``prediction.json`` of a slide's folder; None where there is none that can be read."""
    path = folder / SUMMARY_NAME
    try:
        if path.stat().st_size > MAX_SUMMARY_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("record"), dict) else None


def is_finished(summary: Mapping[str, Any] | None, request: Mapping[str, Any]) -> bool:
    """Return whether a result is complete."""
    return summary is not None and summary.get("complete") is True and summary.get("request") == request


def write_outputs(
    prediction: "Prediction",
    folder: Path,
    *,
    map_format: str,
    request: Mapping[str, Any],
    origin: tuple[float, float] = (0.0, 0.0),
) -> dict[str, str]:
    """Write everything about one slide as a folder, whole or not at all; return path by kind of output.

    ``origin`` is (x, y) of what QuPath calls (0, 0) on this slide.

    Raises
    ------
    OutputError
        It cannot be written; a result that stood there is left as it was.
    """
    from napari_gigaclf.inference import exports

    names = output_names(map_format)
    with replacing(folder) as beside:
        prediction.save(beside / names["result"])
        exports.write_json(prediction, beside / names["json"], request=request)
        exports.write_annotations(prediction, beside / names["annotations"], origin=origin)
        exports.write_class_table(prediction, beside / names["classes"])
        if map_format == "ome-zarr":
            exports.write_ome_zarr(prediction, beside / names["probability"])
        else:
            exports.write_ome_tiff(prediction, beside / names["probability"])
    return {kind: str(folder / name) for kind, name in names.items()}


def output_names(map_format: str) -> dict[str, str]:
    """Return file name by kind of output."""
    return {
        "result": "prediction.gigaclf",
        "json": SUMMARY_NAME,
        "annotations": "annotations.geojson",
        "classes": "classes.csv",
        "probability": "probability.ome.zarr" if map_format == "ome-zarr" else "probability.ome.tif",
    }


def known_rows(output: Path) -> dict[str, dict[str, object]]:
    """Return the table's row of every result in the output folder, by folder name."""
    from napari_gigaclf.inference.exports import results_row

    rows: dict[str, dict[str, object]] = {}
    for folder in sorted(output.iterdir()) if output.is_dir() else ():
        summary = None if folder.name.startswith(".") else read_summary(folder)
        if summary is not None:
            try:
                rows[folder.name] = results_row(summary) | {"folder": folder.name}
            except (KeyError, TypeError, AttributeError):
                continue  # a JSON file of this name, but not of ours
    return rows


def write_results(output: Path, rows: list[dict[str, object]]) -> Path:
    """Write the table of all slides: ``results.csv``."""
    columns = dict.fromkeys(["slide", "slide_id", "status", "error", "folder"])
    for row in rows:
        columns |= dict.fromkeys(row)
    write_table(output / TABLE_NAME, list(columns), [[row.get(name) for name in columns] for row in rows])
    return output / TABLE_NAME
