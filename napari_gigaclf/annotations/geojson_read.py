"""Annotations from a GeoJSON file of QuPath, of this program or of another: forgiving about style, never about meaning.

Open rings are closed, a missing colour, id or class is filled in, crossing outlines are repaired. What cannot be
understood stops the reading with one line that names the feature. The file is not trusted: its size, its number of
features and of points and the work of repairing are limited, and it is parsed as plain JSON.
"""

import json
import math
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations.annotation import Annotation, Kind, new_id
from napari_gigaclf.annotations.frames import shifted, with_flags
from napari_gigaclf.annotations.geojson_file import MAX_BYTES, load
from napari_gigaclf.annotations.geojson_write import AUTHOR_KEY
from napari_gigaclf.annotations.repair import Repairs
from napari_gigaclf.errors import AnnotationError

MAX_FEATURES = 2_000_000
MAX_POINTS = 20_000_000
MAX_COORDINATE = 1e9
"""No slide has a pixel there; beyond it a hundredth of a pixel is lost in rounding."""

_SCALAR = (str, int, float, bool)

_KINDS: Mapping[str, Kind] = {
    "annotation": "annotation",
    "detection": "detection",
    "cell": "detection",
    "tile": "tile",
    "tmacore": "annotation",
    "tma_core": "annotation",
}


def read_geojson(
    path: str | Path, *, origin: tuple[float, float] = (0.0, 0.0), max_bytes: int = MAX_BYTES
) -> list[Annotation]:
    """Read annotations from a GeoJSON file.

    Parameters
    ----------
    path
        A FeatureCollection, a list of features, one feature or one geometry; plain or with gzip.
    origin
        (x, y) in level-0 pixels of what the file calls (0, 0); see `write_geojson`.
    max_bytes
        Limit of the file's size, unpacked.

    Returns
    -------
    list of Annotation
        In the order of the file; geometries in (x, y) level-0 pixels, corner convention.

    Raises
    ------
    AnnotationError
        The file is missing, too large, not JSON, or holds a feature that cannot be understood or crosses itself so
        often that repairing it would take minutes.
    """
    source = Path(path)
    features = _features(load(source, max_bytes=max_bytes), source)
    if len(features) > MAX_FEATURES:
        raise AnnotationError(f"{source}: {len(features)} features, more than the {MAX_FEATURES} that are read")
    annotations: list[Annotation] = []
    points = 0
    seen: set[str] = set()
    repairs = Repairs()
    for number, feature in enumerate(features, start=1):
        try:
            annotation = _annotation(feature, origin, seen, repairs)
        except AnnotationError as error:
            raise AnnotationError(f"{source}: feature {number}: {error}") from error
        points += int(shapely.get_num_coordinates(annotation.geometry))
        if points > MAX_POINTS:
            raise AnnotationError(f"{source}: more than the {MAX_POINTS} points that are read")
        annotations.append(annotation)
    return annotations


def _features(document: object, source: Path) -> list[Any]:
    """Return the features of what a file held, whichever of the usual wrappings it has."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if isinstance(document.get("features"), list):
            return list(document["features"])
        if document.get("type") == "Feature":
            return [document]
        if "coordinates" in document:
            return [{"type": "Feature", "geometry": document, "properties": {}}]
    raise AnnotationError(f"{source}: not GeoJSON: no FeatureCollection, list of features or feature in it")


def _annotation(feature: object, origin: tuple[float, float], seen: set[str], repairs: Repairs) -> Annotation:
    if not isinstance(feature, dict):
        raise AnnotationError(f"not an object but {_short(feature)}")
    if "coordinates" in feature and "geometry" not in feature:
        feature = {"geometry": feature}
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        properties = {}
    class_name, colour = _classification(properties.get("classification"))
    metadata = _metadata(properties.get("metadata"))
    identity = _identity(feature.get("id"), seen)
    geometry = _geometry(feature.get("geometry"), origin, repairs)
    annotation = Annotation(
        geometry=geometry,
        class_name=class_name,
        colour=colour or _colour(properties.get("color")),
        name=_text(properties.get("name")),
        author=metadata.pop(AUTHOR_KEY, "person"),
        measurements=_measurements(properties.get("measurements")),
        kind=_kind(feature, properties),
        id=identity,
        metadata=shifted(metadata, origin),
    )
    return with_flags(annotation, feature["geometry"])


def _identity(value: object, seen: set[str]) -> str:
    """Return a feature's UUID; a fresh one where it has none, or one that was there before."""
    try:
        identity = str(uuid.UUID(value)) if isinstance(value, str) else new_id()
    except ValueError:
        identity = new_id()
    if identity in seen:
        identity = new_id()
    seen.add(identity)
    return identity


def _kind(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> Kind:
    for value in (*(properties.get(k) for k in ("objectType", "object_type", "type")), feature.get("objectType")):
        if isinstance(value, str) and value.casefold() in _KINDS:
            return _KINDS[value.casefold()]
    return "annotation"


def _classification(value: object) -> tuple[str | None, tuple[int, int, int] | None]:
    """Return the class's name and colour from a bare name or from an object of any QuPath version."""
    if isinstance(value, str):
        return _text(value), None
    if not isinstance(value, dict):
        return None, None
    name = value.get("name")
    names = value.get("names")
    if isinstance(names, list):
        name = ": ".join(n.strip() for n in names if isinstance(n, str) and n.strip())
    colour = value.get("color", value.get("colorRGB"))
    return _text(name), _colour(colour)


def _colour(value: object) -> tuple[int, int, int] | None:
    """Return red, green, blue from a list or from Java's packed integer; None where it is neither."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**33:
        return (value >> 16) & 255, (value >> 8) & 255, value & 255
    if isinstance(value, list) and len(value) in (3, 4):
        channels = [v for v in value[:3] if isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255]
        if len(channels) == 3:
            return channels[0], channels[1], channels[2]
    return None


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in value.items() if isinstance(v, _SCALAR)}


def _measurements(value: object) -> dict[str, float]:
    """Return name to number, from an object or from the list of ``{name, value}`` of QuPath before 0.4."""
    if isinstance(value, list):
        value = {m["name"]: m.get("value") for m in value if isinstance(m, dict) and isinstance(m.get("name"), str)}
    if not isinstance(value, dict):
        return {}
    return {name: _measurement(name, number) for name, number in value.items()}


def _measurement(name: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise AnnotationError(f"the measurement {_short(name)} is not a number but {_short(value)}")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise AnnotationError(f"the measurement {_short(name)} is not a number but {_short(value)}") from error
    return number if math.isfinite(number) else math.nan


def _geometry(value: object, origin: tuple[float, float], repairs: Repairs) -> BaseGeometry:
    if not isinstance(value, dict):
        raise AnnotationError(f"its geometry is {_short(value)}")
    build: Callable[[object], BaseGeometry] | None = _BUILDERS.get(str(value.get("type")))
    if build is None:
        raise AnnotationError(f"its geometry is of the unknown type {_short(value.get('type'))}")
    try:
        geometry = build(value.get("coordinates"))
    except (shapely.errors.ShapelyError, ValueError, TypeError) as error:
        raise AnnotationError(f"its {value['type']} cannot be read: {error}") from error
    if isinstance(geometry, Polygon | MultiPolygon):
        geometry = repairs.valid(geometry)
    if geometry.is_empty:
        raise AnnotationError(f"its {value['type']} encloses nothing")
    if origin != (0.0, 0.0):
        geometry = shapely.transform(geometry, lambda xy: xy + origin)
    return geometry


def _position(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) < 2:
        raise AnnotationError(f"a position is {_short(value)} instead of [x, y]")
    x, y = value[0], value[1]
    for number in (x, y):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise AnnotationError(f"a coordinate is {_short(number)} instead of a number")
        if not abs(number) <= MAX_COORDINATE:
            raise AnnotationError(f"a coordinate is {_short(number)}, which is on no slide")
    return float(x), float(y)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise AnnotationError(f"{what} are {_short(value)} instead of a list")
    return value


def _line(value: object) -> list[tuple[float, float]]:
    return [_position(position) for position in _list(value, "positions")]


def _polygon(value: object) -> Polygon:
    rings = [_line(ring) for ring in _list(value, "rings")]
    for ring in rings:
        if len(set(ring)) < 3:
            raise AnnotationError(f"a ring has {len(set(ring))} different corners, fewer than 3")
    return Polygon(rings[0], rings[1:])


_BUILDERS: dict[str, Callable[[object], BaseGeometry]] = {
    "Point": lambda value: Point(_position(value)),
    "MultiPoint": lambda value: MultiPoint(_line(value)),
    "LineString": lambda value: LineString(_line(value)),
    "MultiLineString": lambda value: MultiLineString([_line(line) for line in _list(value, "lines")]),
    "Polygon": _polygon,
    "MultiPolygon": lambda value: MultiPolygon([_polygon(polygon) for polygon in _list(value, "polygons")]),
}


def _short(value: object) -> str:
    """Return a value as a message shows it; a list or an object only by its length, since it may be anything."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value) if not isinstance(value, str) else repr(value[:60])
    return text if len(text) <= 60 else f"{text[:57]}..."
