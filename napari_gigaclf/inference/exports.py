"""What a result leaves behind for other programs: outlines for QuPath, the map as an image, tables and a JSON record.

Each function writes one file, whole or not at all. Coordinates are level-0 pixels, (x, y), corner convention; areas in
micrometres are given only where the slide's scale is known.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.annotations.table import write_table
from napari_gigaclf.errors import RegionError
from napari_gigaclf.inference import export_tiff, export_zarr
from napari_gigaclf.inference.map_image import MapImage
from napari_gigaclf.inference.outlines import Outline, outlines
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.query import THRESHOLD
from napari_gigaclf.models.map_scale import map_scale
from napari_gigaclf.slides.choice import place_name
from napari_gigaclf.writing import replacing

JSON_FORMAT = "napari-gigaclf prediction 1"
"""Written into every prediction.json."""


def map_image(prediction: Prediction) -> MapImage:
    """Return the map with names, place and notes, ready to be written as an image."""
    slide = prediction.record.slide
    values = np.asarray(prediction.probability_map, dtype=np.float32)
    scale = map_scale(prediction.head.config).over(values)
    return MapImage(
        values=values,
        channels=prediction.classes,
        grid=prediction.grid,
        um_per_px=slide.um_per_px,
        name=f"{place_name(slide.name, slide.scene, slide.z)}: {scale.word} by {prediction.record.model.name}",
        notes=notes(prediction),
        limits=(scale.low, scale.high),
    )


def notes(prediction: Prediction) -> dict[str, str]:
    """Return what every exported file says about where it comes from, as texts."""
    record = prediction.record
    return {
        "slide_id": record.slide.id,
        "model": f"{record.model.name} {record.model.version}",
        "model_sha256": record.model.sha256,
        "numbers_are": map_scale(prediction.head.config).word,
        "run": record.started,
        "complete": "true" if prediction.complete else "false: the run was stopped, the map is partial",
        "use": prediction.head.config.card.research_use_only,
    }


def write_ome_tiff(prediction: Prediction, path: str | Path) -> Path:
    """Write the probability map as a pyramidal OME-TIFF; see `export_tiff.write_ome_tiff`."""
    return export_tiff.write_ome_tiff(path, map_image(prediction))


def write_ome_zarr(prediction: Prediction, path: str | Path, *, version: export_zarr.NgffVersion = "0.4") -> Path:
    """Write the probability map as an OME-Zarr image; see `export_zarr.write_ome_zarr`."""
    return export_zarr.write_ome_zarr(path, map_image(prediction), version=version)


def shown_classes(prediction: Prediction) -> tuple[str, ...]:
    """Return the classes that are looked for: the card's, else all but the first ("normal"), else the only one."""
    positive = prediction.head.config.card.positive_class
    return (positive,) if positive else prediction.classes[1:] or prediction.classes


def region_annotations(
    prediction: Prediction,
    *,
    class_name: str | None = None,
    threshold: float | None = None,
    min_area_um2: float = 0.0,
) -> list[Annotation]:
    """Return the regions whose cells reach a threshold, as outlines along the cells' edges, holes kept.

    Parameters
    ----------
    prediction
        The result.
    class_name
        Class whose map is outlined; None takes `shown_classes`.
    threshold
        Probability from which a cell belongs to a region; None: 0.5, and no regions of a regression, whose scores have
        no such threshold.
    min_area_um2
        Smaller regions are left out.

    Returns
    -------
    list of Annotation
        Highest maximum first. Measurements: mean and maximum of every class (``mean_*``, ``max_*``), number of cells,
        and ``area_um2`` where the scale is known.

    Raises
    ------
    RegionError
        There is no such class, or an area in micrometres is asked of a slide of unknown scale.
    """
    if class_name is not None and class_name not in prediction.classes:
        raise RegionError(f"there is no class {class_name!r}; there are {', '.join(prediction.classes)}")
    um = prediction.record.slide.um_per_px
    if min_area_um2 > 0 and um is None:
        raise RegionError("a smallest area in um2 cannot be kept: the slide's micrometres per pixel are unknown")
    if threshold is None:
        if prediction.head.config.is_regression:
            return []
        threshold = THRESHOLD
    values = np.asarray(prediction.probability_map, dtype=np.float32)
    annotations: list[Annotation] = []
    for name in (class_name,) if class_name else shown_classes(prediction):
        scores = values[prediction.classes.index(name)]
        found = outlines(scores >= threshold, prediction.grid)  # NaN reaches no threshold
        kept = [o for o in found if um is None or o.polygon.area * um[0] * um[1] >= min_area_um2]
        kept.sort(key=lambda o: -float(scores[o.rows, o.columns].max()))
        annotations += [_region(prediction, values, name, number, o) for number, o in enumerate(kept, start=1)]
    return annotations


def _region(
    prediction: Prediction, values: NDArray[np.float32], class_name: str, number: int, outline: Outline
) -> Annotation:
    cells = values[:, outline.rows, outline.columns]
    measurements = {"cells": float(cells.shape[1])}
    for name, row in zip(prediction.classes, cells, strict=True):
        measurements |= {f"mean_{name}": float(row.mean(dtype=np.float64)), f"max_{name}": float(row.max())}
    um = prediction.record.slide.um_per_px
    if um is not None:
        measurements["area_um2"] = outline.polygon.area * um[0] * um[1]
    return Annotation(
        geometry=outline.polygon,
        class_name=class_name,
        name=f"{class_name} {number}",
        author=f"model:{prediction.record.model.name}",
        measurements={k: _significant(v) for k, v in measurements.items()},
        metadata=notes(prediction),
    )


def tile_annotations(prediction: Prediction) -> Iterator[Annotation]:
    """Yield every computed cell as a tile with ``prob_<class>``, which QuPath shows as a measurement map.

    Of a regression, the measurement has the name of its output alone.
    """
    values = np.asarray(prediction.probability_map, dtype=np.float32)
    grid = prediction.grid
    author = f"model:{prediction.record.model.name}"
    prefix = "" if prediction.head.config.is_regression else "prob_"
    for row, column in np.argwhere(np.isfinite(values).all(axis=0)):
        y, x = grid.origin[0] + row * grid.step[0], grid.origin[1] + column * grid.step[1]
        yield Annotation(
            geometry=shapely.box(x, y, x + grid.step[1], y + grid.step[0]),
            kind="tile",
            author=author,
            measurements={
                f"{prefix}{name}": _significant(value)
                for name, value in zip(prediction.classes, values[:, row, column].tolist(), strict=True)
            },
        )


def write_annotations(
    prediction: Prediction,
    path: str | Path,
    *,
    tiles: bool = False,
    threshold: float | None = None,
    min_area_um2: float = 0.0,
    origin: tuple[float, float] = (0.0, 0.0),
) -> int:
    """Write the regions (and the cells, if asked for) as GeoJSON for QuPath; return how many there are.

    ``origin`` is (x, y) of what QuPath calls (0, 0); see `annotations.write_geojson`.
    """
    regions = region_annotations(prediction, threshold=threshold, min_area_um2=min_area_um2)
    cells = tile_annotations(prediction) if tiles else iter(())
    return write_geojson(path, (a for part in (regions, cells) for a in part), origin=origin)


def summary(prediction: Prediction, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the result as what JSON can hold: answer, what it means, place of the map, and the record of the run.

    Parameters
    ----------
    prediction
        The result.
    request
        What a program that runs batches asked for, kept as it is to tell later whether it asks for the same.
    """
    card = prediction.head.config.card
    saliency = prediction.saliency
    tissue_um2 = None if prediction.tissue is None else prediction.tissue.area_um2
    content = {
        "format": JSON_FORMAT,
        "slide": prediction.record.slide.name,
        "probabilities": prediction.probabilities,
        "probabilities_are": card.slide_score,
        "numbers_are": map_scale(prediction.head.config).word,
        "complete": prediction.complete,
        "message": prediction.message,
        "research_use_only": card.research_use_only,
        "classes": {row["class"]: {k: v for k, v in row.items() if k != "class"} for row in class_rows(prediction)},
        "map": prediction.grid,
        "saliency": None
        if saliency is None
        else {"class": saliency.class_name, "normalisation": saliency.normalisation, "map": saliency.grid},
        "tissue_mm2": None if tissue_um2 is None else tissue_um2 / 1e6,
        "seconds": round(prediction.record.seconds, 3),
        "request": request or {},
        "record": prediction.record,
    }
    plain = _plain(content)
    assert isinstance(plain, dict)
    return plain


def write_json(prediction: Prediction, path: str | Path, *, request: Mapping[str, Any] | None = None) -> Path:
    """Write `summary` as JSON."""
    target = Path(path)
    text = json.dumps(summary(prediction, request), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(target) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    return target


def class_rows(prediction: Prediction) -> list[dict[str, Any]]:
    """Return what the map says of each class: slide probability, mean, maximum, share and area above threshold.

    Of a regression: the slide's score, mean, minimum and maximum.
    """
    if prediction.head.config.is_regression:
        return _score_rows(prediction)
    values = np.asarray(prediction.probability_map, dtype=np.float32)
    um = prediction.record.slide.um_per_px
    cell_um2 = None if um is None else prediction.grid.step[0] * prediction.grid.step[1] * um[0] * um[1]
    rows: list[dict[str, Any]] = []
    for name, scores in zip(prediction.classes, values, strict=True):
        there = scores[np.isfinite(scores)]
        above = int((there >= THRESHOLD).sum())
        rows.append(
            {
                "class": name,
                "slide_probability": prediction.probabilities.get(name),
                "cells": int(there.size),
                "mean": float(there.mean(dtype=np.float64)) if there.size else None,
                "maximum": float(there.max()) if there.size else None,
                f"share_above_{THRESHOLD:g}": above / there.size if there.size else None,
                "area_above_um2": None if cell_um2 is None else above * cell_um2,
            }
        )
    return rows


def _score_rows(prediction: Prediction) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, scores in zip(prediction.classes, np.asarray(prediction.probability_map, np.float32), strict=True):
        there = scores[np.isfinite(scores)]
        rows.append(
            {
                "class": name,
                "slide_score": prediction.probabilities.get(name),
                "cells": int(there.size),
                "mean": float(there.mean(dtype=np.float64)) if there.size else None,
                "minimum": float(there.min()) if there.size else None,
                "maximum": float(there.max()) if there.size else None,
            }
        )
    return rows


def write_class_table(prediction: Prediction, path: str | Path) -> Path:
    """Write `class_rows` as comma-separated values."""
    rows = class_rows(prediction)
    write_table(path, list(rows[0]), [list(row.values()) for row in rows])
    return Path(path)


def results_row(summary: Mapping[str, Any]) -> dict[str, object]:
    """Return one line about a slide for the table of a batch, from `summary` or from a ``prediction.json``."""
    record = summary["record"]
    um = record["slide"]["um_per_px"] or (None, None)
    row: dict[str, object] = {
        "slide": summary["slide"],
        "slide_id": record["slide"]["id"],
        "scene": record["slide"].get("scene"),
        "z": record["slide"].get("z"),
        "status": "done" if summary["complete"] else "partial",
        "message": summary["message"],
        "um_per_px_y": um[0],
        "um_per_px_x": um[1],
        "um_per_px_source": record["slide"]["um_per_px_source"],
        "level": record["input"]["level"],
        "model": record["model"]["name"],
        "model_version": record["model"]["version"],
        "model_sha256": record["model"]["sha256"],
        "tissue_mm2": summary["tissue_mm2"],
        "seconds": summary["seconds"],
        "started": record["started"],
        "warnings": "; ".join(record["warnings"]),
    }
    prefix = "" if summary.get("numbers_are") == "score" else "prob_"
    return row | {f"{prefix}{name}": value for name, value in summary["probabilities"].items()}


def _significant(value: float) -> float:
    """Return a number with the seven digits that float32 has; more would only be noise in the file."""
    return float(f"{value:.7g}")


def _plain(value: object) -> object:
    """Return records and arrays as what JSON can hold; a number that is not finite becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, BaseGeometry):
        return value.wkt
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
