"""Annotations into a GeoJSON file that QuPath opens by drag and drop: holes, classes, colours and measurements too.

The rules were read in QuPath's source (``GsonTools``, ``QuPathTypeAdapters``, ``ROITypeAdapters``); `validate_geojson`
checks every one of them. One feature is written per line, as it comes, so that a million of them need no memory.
"""

import gzip
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry, BaseMultipartGeometry
from shapely.geometry.polygon import orient

from napari_gigaclf.annotations.annotation import Annotation
from napari_gigaclf.annotations.frames import flags_of, shifted
from napari_gigaclf.errors import AnnotationError
from napari_gigaclf.writing import replacing

DECIMALS = 2
"""QuPath keeps as many, and a hundredth of a pixel is finer than any outline."""

AUTHOR_KEY = "gigaclf_author"
"""Metadata entry that carries the author through QuPath and back."""


def write_geojson(
    path: str | Path, annotations: Iterable[Annotation], *, origin: tuple[float, float] = (0.0, 0.0)
) -> int:
    """Write annotations as a GeoJSON FeatureCollection.

    Parameters
    ----------
    path
        ``.geojson`` or ``.json``, or either with ``.gz`` behind it.
    annotations
        Taken one by one; none are kept.
    origin
        (x, y) in level-0 pixels of the corner that the other program calls (0, 0). QuPath crops slides that name
        ``openslide.bounds-x`` and ``openslide.bounds-y`` (MRXS above all) to that corner.

    Returns
    -------
    int
        Number of features written.

    Raises
    ------
    AnnotationError
        Two annotations share an id, a geometry vanishes when rounded, or the file's ending is none of the above.
    OutputError
        The file cannot be written; one that stood there before is left as it was.
    """
    target = Path(path)
    _check_suffix(target)
    seen: set[str] = set()
    with replacing(target) as beside, _opened(beside, compress=target.suffix.lower() == ".gz") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for annotation in annotations:
            if annotation.id in seen:
                raise AnnotationError(f"{target}: two annotations share the id {annotation.id}")
            file.write(",\n" if seen else "\n")
            seen.add(annotation.id)
            file.write(to_line(annotation, origin=origin))
        file.write("\n]}\n")
    return len(seen)


def to_line(annotation: Annotation, *, origin: tuple[float, float] = (0.0, 0.0)) -> str:
    """Return one annotation as a GeoJSON feature in one line of text."""
    return json.dumps(to_feature(annotation, origin=origin), allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def to_feature(annotation: Annotation, *, origin: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """Return one annotation as a GeoJSON feature; see `write_geojson`."""
    properties: dict[str, Any] = {"objectType": annotation.kind}
    if annotation.name is not None:
        properties["name"] = annotation.name
    colour = annotation.shown_colour
    if annotation.class_name is not None and colour is not None:
        # QuPath refuses the whole file if one classification is an object without a colour.
        properties["classification"] = _classification(annotation.class_name, colour)
    elif colour is not None:
        properties["color"] = list(colour)
    if annotation.kind == "tile":
        properties["isLocked"] = True
    if annotation.measurements:
        properties["measurements"] = {name: _number(value) for name, value in annotation.measurements.items()}
    properties["metadata"] = {**shifted(annotation.metadata, (-origin[0], -origin[1])), AUTHOR_KEY: annotation.author}
    geometry = rounded(annotation.geometry, origin)
    written = _geometry(geometry) | flags_of(annotation)
    return {"type": "Feature", "id": annotation.id, "geometry": written, "properties": properties}


def rounded(geometry: BaseGeometry, origin: tuple[float, float] = (0.0, 0.0)) -> BaseGeometry:
    """Return a geometry moved to an origin and snapped to the written decimals, still valid.

    Raises
    ------
    AnnotationError
        Nothing is left of it: it is thinner than a hundredth of a pixel.
    """
    moved = geometry
    if origin != (0.0, 0.0):
        moved = shapely.transform(geometry, lambda xy: xy - origin)
    if moved.geom_type in ("Polygon", "MultiPolygon") and not moved.is_valid:
        moved = polygonal(shapely.make_valid(moved))
    with np.errstate(divide="ignore", invalid="ignore"):  # GEOS raises the flags on coordinates next to zero
        snapped = shapely.set_precision(moved, 10.0**-DECIMALS)
    if moved.geom_type in ("Polygon", "MultiPolygon"):
        snapped = polygonal(snapped)
    if snapped.is_empty:
        raise AnnotationError(f"a {geometry.geom_type} at {_where(geometry)} is smaller than what a file can hold")
    return snapped


def polygonal(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    """Return the areas of a geometry, lines and points left out: a Polygon or a MultiPolygon, perhaps empty."""
    if isinstance(geometry, Polygon):
        return geometry
    if not isinstance(geometry, BaseMultipartGeometry):
        return Polygon()
    parts: list[Polygon] = []
    for part in geometry.geoms:
        inner = polygonal(part)
        if not inner.is_empty:
            parts += list(inner.geoms) if isinstance(inner, MultiPolygon) else [inner]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _check_suffix(path: Path) -> None:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    if suffixes[-1:] not in ([".json"], [".geojson"]):
        raise AnnotationError(f"{path}: a GeoJSON file ends in .geojson, .json, .geojson.gz or .json.gz")


@contextmanager
def _opened(path: Path, *, compress: bool) -> Iterator[IO[str]]:
    if not compress:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    # mtime=0 and no name: the same annotations give the same bytes.
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as file,
    ):
        yield file


def _classification(class_name: str, colour: tuple[int, int, int]) -> dict[str, Any]:
    names = [part.strip() for part in class_name.split(":")]
    if len(names) > 1 and all(names):
        return {"names": names, "color": list(colour)}
    return {"name": class_name, "color": list(colour)}


def _number(value: float) -> float | str:
    """Return a number JSON can hold; NaN goes as text, as QuPath writes it."""
    return "NaN" if math.isnan(value) else value


def _geometry(geometry: BaseGeometry) -> dict[str, Any]:
    if isinstance(geometry, BaseMultipartGeometry):
        if len(geometry.geoms) == 1:
            return _geometry(geometry.geoms[0])
        coordinates: list[Any] = [_COORDINATES[part.geom_type](part) for part in geometry.geoms]
    else:
        coordinates = _COORDINATES[geometry.geom_type](geometry)
    return {"type": geometry.geom_type, "coordinates": coordinates}


def _positions(line: BaseGeometry) -> list[list[float]]:
    return [[_short(x), _short(y)] for x, y in shapely.get_coordinates(line).tolist()]


def _short(value: float) -> float | int:
    """Return a coordinate with the written decimals; a whole one without a point, which keeps files small."""
    near = round(value, DECIMALS) + 0.0
    return int(near) if near.is_integer() else near


def _point(point: Point) -> list[float]:
    return _positions(point)[0]


def _polygon(polygon: Polygon) -> list[list[list[float]]]:
    """Return the rings, outer first and counter-clockwise in (x, y), holes the other way round (RFC 7946, 3.1.6)."""
    turned = orient(polygon, sign=1.0)
    return [_positions(turned.exterior), *(_positions(ring) for ring in turned.interiors)]


_COORDINATES: dict[str, Callable[[Any], list[Any]]] = {
    "Point": _point,
    "LineString": _positions,
    "Polygon": _polygon,
}


def _where(geometry: BaseGeometry) -> str:
    x0, y0, _, _ = geometry.bounds
    return f"({x0:.1f}, {y0:.1f})"
