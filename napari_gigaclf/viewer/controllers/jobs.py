"""Pieces of work for the quick worker that touch files: lists of models and devices, adopting images, exporting."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_gigaclf.viewer.controllers.probe import ProbeRow
from napari_gigaclf.viewer.preferences import Preferences, load_preferences
from napari_gigaclf.viewer.worker import use_torch

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.inference import Device, Prediction
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.layers import LayerData
    from napari_gigaclf.viewer.shapes import DrawnShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is to be written, and where."""

    folder: Path
    stem: str
    """Beginning of the file names."""
    prediction: "Prediction | None"
    drawn: "tuple[DrawnShape, ...]"
    rows: tuple[ProbeRow, ...]
    origin: tuple[float, float] = (0.0, 0.0)
    """(x, y) of the level-0 pixel that QuPath calls (0, 0); see ``qupath_origin``."""


def read_models(folder: Path | None = None) -> "dict[str, ModelConfig]":
    """Return the built-in models by name, or the one in a folder by its path. Imports no torch."""
    from napari_gigaclf.models import list_models
    from napari_gigaclf.models.folder import read_config

    return {model.name: model for model in list_models()} if folder is None else {str(folder): read_config(folder)}


def first_look() -> "tuple[dict[str, ModelConfig], Preferences]":
    """Return what the widget needs from files when it opens: the models, and what the person set in Preferences."""
    return read_models(), load_preferences()


def find_devices(threads: int) -> "tuple[Device, ...]":
    """Return the processors there are. Imports torch."""
    use_torch(threads)
    from napari_gigaclf.inference import list_devices

    return list_devices()


def adopt_layer(levels: Sequence[Any], um_per_px: tuple[float, float] | None, name: str) -> "Slide":
    """Return the slide that the arrays of an ordinary colour image make."""
    from napari_gigaclf.errors import SlideError
    from napari_gigaclf.slides import open_slide

    try:
        return open_slide(levels[0] if len(levels) == 1 else list(levels), um_per_px)
    except SlideError as error:
        raise SlideError(name, error.reason) from error


def open_place(slide: "Slide", scene: int, z: int | None) -> "tuple[Slide, list[LayerData]]":
    """Open another scene or focal plane of a slide's file, with its layers; without ``z`` the default plane.

    Micrometres per pixel that a person gave hold for the planes of the same scene only.

    Raises
    ------
    SlideError
        The file is gone or damaged, or has no such scene or plane.
    """
    from napari_gigaclf.slides import open_slide
    from napari_gigaclf.slides.slide import GIVEN_BY_USER
    from napari_gigaclf.viewer.reader import open_layers

    given = slide.um_per_px if scene == slide.scene and slide.um_per_px_source == GIVEN_BY_USER else None
    opened = open_slide(slide.path, given, scene=scene, z=z)
    try:
        opened.id  # noqa: B018 - reads the file for it here rather than on the window's thread
        return opened, open_layers(opened)
    except BaseException:
        opened.close()
        raise


def file_stem(slide: "Slide") -> str:
    """Return how the names of files about a slide begin; scenes and planes of one file must not replace each other."""
    from napari_gigaclf.slides.choice import open_plane, open_scene, place_name

    stem = slide.path.name.split(".")[0] if slide.path else "slide"
    place = place_name("", open_scene(slide), open_plane(slide))
    return "-".join([stem, *re.findall(r"\w+", place)])


def slide_with_scale(slide: Any, um_per_px: float) -> "Slide":  # noqa: ANN401 - with_scale wants a slide of files or arrays
    """Return the slide with the micrometres per pixel that a person gave, for all its levels."""
    from napari_gigaclf.slides.opening import with_scale
    from napari_gigaclf.slides.slide import GIVEN_BY_USER

    return with_scale(slide, (um_per_px, um_per_px), GIVEN_BY_USER)


def export_all(export: Export) -> list[Path]:
    """Write everything there is; each file whole or not at all.

    Raises
    ------
    OutputError
        The folder cannot be written to, or the disk is full.
    """
    paths: list[Path] = []
    if export.prediction is not None:
        paths += _export_prediction(export.prediction, export.folder, export.stem, export.origin)
    if export.drawn:
        paths.append(_export_drawn(export))
    if export.rows:
        paths.append(_export_rows(export))
    return paths


def _export_prediction(prediction: "Prediction", folder: Path, stem: str, origin: tuple[float, float]) -> list[Path]:
    """Write regions, tables, record and maps of a result."""
    from napari_gigaclf.inference import exports

    regions = folder / f"{stem}-regions.geojson"
    exports.write_annotations(prediction, regions, origin=origin)
    return [
        regions,
        exports.write_json(prediction, folder / f"{stem}-prediction.json"),
        exports.write_class_table(prediction, folder / f"{stem}-classes.csv"),
        exports.write_ome_tiff(prediction, folder / f"{stem}-map.ome.tif"),
        exports.write_ome_zarr(prediction, folder / f"{stem}-map.ome.zarr"),
    ]


def _export_drawn(export: Export) -> Path:
    """Write what a person drew, with what the map says of each area if there is one."""
    from napari_gigaclf.annotations import write_geojson
    from napari_gigaclf.viewer.writer import drawn_annotation

    path = export.folder / f"{export.stem}-annotations.geojson"
    drawn = [_measured(drawn_annotation(shape), export.prediction) for shape in export.drawn]
    write_geojson(path, drawn, origin=export.origin)
    return path


def _measured(annotation: "Annotation", prediction: "Prediction | None") -> "Annotation":
    """Return an annotation with what the map says of its area; one without area, or off the slide, as it is."""
    from napari_gigaclf.errors import RegionError

    if prediction is None or annotation.geometry.area == 0:
        return annotation
    try:
        answer = prediction.query(annotation.geometry)
    except RegionError:
        return annotation
    found = {"cells": float(answer.num_cells)}
    for name in answer.mean:
        found |= {f"mean_{name}": answer.mean[name], f"max_{name}": answer.maximum[name]}
    if answer.area_um2 is not None:
        found["area_um2"] = answer.area_um2
    return dataclasses.replace(annotation, measurements=found)


def _export_rows(export: Export) -> Path:
    """Write the table of places that were asked about."""
    from napari_gigaclf.annotations.table import write_table

    classes = list(dict.fromkeys(name for row in export.rows for name in row.answer.mean))
    header = ["number", "kind", "label", "y_px", "x_px", "y_um", "x_um", "area_um2", "cells", "threshold", "message"]
    scores = {name for row in export.rows for name in set(row.answer.mean) - set(row.answer.share_above)}
    measures = []
    for name in classes:
        measures += [name if name in scores else f"prob_{name}", f"mean_{name}", f"max_{name}"]
        measures += [] if name in scores else [f"share_above_{name}"]
    path = export.folder / f"{export.stem}-places.csv"
    write_table(path, header + measures, [_row(row, classes, scores) for row in export.rows])
    return path


def _row(row: ProbeRow, classes: Sequence[str], scores: Collection[str]) -> list[object]:
    answer = row.answer
    um = row.position_um or (None, None)
    label = ": ".join(filter(None, (row.where, row.question.label)))
    values: list[object] = [row.number, row.kind, label, *row.position, *um]
    values += [answer.area_um2, answer.num_cells, answer.threshold, answer.message]
    for name in classes:
        values += [
            (answer.probabilities or {}).get(name),
            answer.mean.get(name),
            answer.maximum.get(name),
        ]
        values += [] if name in scores else [answer.share_above.get(name)]
    return values
