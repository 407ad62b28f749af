"""Says everything about a GeoJSON file that would stop QuPath, or another strict reader, from opening it as meant.

Each rule was read in QuPath's source (``GsonTools``, ``QuPathTypeAdapters``, ``ROITypeAdapters``, ``PathIO``) or in
RFC 7946. Reading (`read_geojson`) is more forgiving than this.
"""

import math
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import LinearRing, shape

from napari_gigaclf.annotations.geojson_file import MAX_BYTES, load
from napari_gigaclf.annotations.geojson_write import DECIMALS
from napari_gigaclf.errors import AnnotationError

OBJECT_TYPES = ("annotation", "detection", "tile", "cell", "tmaCore")
SUFFIXES = (".json", ".geojson", ".json.gz", ".geojson.gz")


def validate_geojson(path: str | Path, *, max_bytes: int = MAX_BYTES) -> list[str]:
    """Return every problem of a GeoJSON file, one line each; an empty list if it keeps all rules.

    Parameters
    ----------
    path
        The file, plain or with gzip.
    max_bytes
        Limit of the file's size, unpacked.
    """
    source = Path(path)
    problems: list[str] = []
    if not source.name.lower().endswith(SUFFIXES):
        problems.append(f"the file's name ends in none of {', '.join(SUFFIXES)}")
    try:
        document = load(source, max_bytes=max_bytes, strict=True)
    except AnnotationError as error:
        return [*problems, str(error)]
    problems += document_problems(document)
    return problems


def document_problems(document: object) -> list[str]:
    """Return every problem of a parsed GeoJSON document; see `validate_geojson`."""
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        return ["it is not an object of type FeatureCollection"]
    features = document.get("features")
    if not isinstance(features, list):
        return ["it has no list of features"]
    problems: list[str] = []
    seen: dict[uuid.UUID, int] = {}
    for number, feature in enumerate(features, start=1):
        found = list(_feature_problems(feature))
        identity = _uuid(feature.get("id")) if isinstance(feature, dict) else None
        if identity is not None and seen.setdefault(identity, number) != number:
            found.append(f"its id is also that of feature {seen[identity]}")
        problems += [f"feature {number}: {problem}" for problem in found]
    return problems


def _feature_problems(feature: object) -> Iterator[str]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        yield "it is not an object of type Feature"
        return
    if _uuid(feature.get("id")) is None:
        yield "its id is not a UUID, so that QuPath replaces it"
    if "objectType" in feature:
        yield "objectType stands beside properties, where QuPath does not look"
    yield from _geometry_problems(feature.get("geometry"))
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        yield "properties are not an object"
        return
    for check in _PROPERTY_CHECKS:
        yield from check(properties)


def _object_type(properties: dict[str, Any]) -> Iterator[str]:
    if properties.get("objectType") not in OBJECT_TYPES:
        yield f"properties.objectType is none of {', '.join(OBJECT_TYPES)}"


def _name(properties: dict[str, Any]) -> Iterator[str]:
    if "name" in properties and not isinstance(properties["name"], str):
        yield "name is not a text; QuPath fails on null"


def _lock(properties: dict[str, Any]) -> Iterator[str]:
    if "isLocked" in properties and properties["isLocked"] is not True:
        yield "isLocked is written only where it is true"


def _classification(properties: dict[str, Any]) -> Iterator[str]:
    if "classification" not in properties or isinstance(properties["classification"], str):
        return
    value = properties["classification"]
    if not isinstance(value, dict):
        yield "classification is neither a text nor an object"
        return
    if ("name" in value) == ("names" in value):
        yield "classification needs either name or names"
    if "name" in value and not _filled(value["name"]):
        yield "classification.name is not a text"
    if "names" in value and not (
        isinstance(value["names"], list) and value["names"] and all(map(_filled, value["names"]))
    ):
        yield "classification.names is not a list of texts"
    if "color" not in value:
        yield "classification has no color, so that QuPath refuses the whole file"
    elif not _is_colour(value["color"]):
        yield "classification.color is not three or four numbers from 0 to 255"


def _colour(properties: dict[str, Any]) -> Iterator[str]:
    if "color" in properties and not _is_colour(properties["color"]):
        yield "color is not three or four numbers from 0 to 255"


def _measurements(properties: dict[str, Any]) -> Iterator[str]:
    if "measurements" not in properties:
        return
    value = properties["measurements"]
    if not isinstance(value, dict):
        yield "measurements are not an object of name to number"
        return
    for name, number in value.items():
        if not (number == "NaN" or (_is_number(number) and math.isfinite(number))):
            yield f'the measurement {name!r} is neither a number nor the text "NaN"'


def _metadata(properties: dict[str, Any]) -> Iterator[str]:
    if "metadata" not in properties:
        return
    value = properties["metadata"]
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        yield "metadata is not an object of name to text"


_PROPERTY_CHECKS: tuple[Callable[[dict[str, Any]], Iterator[str]], ...] = (
    _object_type,
    _name,
    _lock,
    _classification,
    _colour,
    _measurements,
    _metadata,
)


def _geometry_problems(geometry: object) -> Iterator[str]:
    if not isinstance(geometry, dict) or geometry.get("type") not in _GEOMETRY_CHECKS:
        yield f"its geometry is none of {', '.join(_GEOMETRY_CHECKS)}"
        return
    found = list(_GEOMETRY_CHECKS[geometry["type"]](geometry.get("coordinates")))
    yield from found
    if found:
        return
    if geometry["type"] in ("Polygon", "MultiPolygon"):
        built = shape(geometry)
        if not built.is_valid:
            yield f"its {geometry['type']} is not valid: {shapely.is_valid_reason(built)}"


def _position_problems(value: object) -> Iterator[str]:
    if not isinstance(value, list) or len(value) not in (2, 3) or not all(map(_is_number, value)):
        yield "a position is not [x, y]"
        return
    for number in value:
        if not math.isfinite(number):
            yield "a coordinate is not finite"
        elif abs(round(number, DECIMALS) - number) > 1e-9:
            yield f"a coordinate has more than {DECIMALS} decimals"


def _each(check: Callable[[object], Iterator[str]], minimum: int, what: str) -> Callable[[object], Iterator[str]]:
    """Return a check of lists of at least ``minimum`` things, each of which passes ``check``."""

    def check_list(value: object) -> Iterator[str]:
        if not isinstance(value, list) or len(value) < minimum:
            yield f"its coordinates are not a list of {minimum} or more {what}"
            return
        found: dict[str, None] = {}
        for item in value:
            found.update(dict.fromkeys(check(item)))
        yield from found

    return check_list


def _polygon_problems(value: object) -> Iterator[str]:
    found = list(_each(_each(_position_problems, 4, "positions"), 1, "rings")(value))
    yield from found
    if found or not isinstance(value, list):
        return
    for index, ring in enumerate(value):
        what = "its outer ring" if index == 0 else f"hole {index}"
        if ring[0] != ring[-1]:
            yield f"{what} is not closed"
        elif LinearRing(ring).is_ccw != (index == 0):
            yield f"{what} runs the wrong way round (RFC 7946: outer counter-clockwise in (x, y), holes clockwise)"


_line_problems = _each(_position_problems, 2, "positions")
_GEOMETRY_CHECKS: dict[str, Callable[[object], Iterator[str]]] = {
    "Point": _position_problems,
    "MultiPoint": _each(_position_problems, 2, "positions (else it is a Point)"),
    "LineString": _line_problems,
    "MultiLineString": _each(_line_problems, 2, "lines (else it is a LineString)"),
    "Polygon": _polygon_problems,
    "MultiPolygon": _each(_polygon_problems, 2, "polygons (else it is a Polygon)"),
}


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _filled(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_colour(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in value)
    )
