"""One outlined place on a slide: where it is, what it is called, who said so, and what was measured there.

Geometries are shapely's, in (x, y) level-0 pixels where the corner of the first pixel is 0.
"""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, get_args

from shapely.geometry.base import BaseGeometry

from napari_gigaclf.errors import AnnotationError

Kind = Literal["annotation", "detection", "tile"]
"""What QuPath calls the object type: drawn outline, found object, or cell of a map."""

Author = str
"""``"person"``, or ``"model:<name>"``."""

Colour = tuple[int, int, int]

GEOMETRY_TYPES = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")

_KNOWN_COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "tumor": (200, 0, 0),
        "tumour": (200, 0, 0),
        "metastasis": (200, 0, 0),
        "normal": (90, 160, 90),
        "other": (150, 150, 150),
        "stroma": (150, 200, 150),
        "necrosis": (50, 50, 50),
        "tissue": (70, 110, 180),
    }
)
_PALETTE: tuple[Colour, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (188, 189, 34),
    (23, 190, 207),
)


def new_id() -> str:
    """Return a fresh UUID as text."""
    return str(uuid.uuid4())


def default_colour(class_name: str) -> Colour:
    """Return the colour of a class that was given none: always the same for the same name.

    Examples
    --------
    >>> default_colour("Tumour")
    (200, 0, 0)
    """
    known = _KNOWN_COLOURS.get(class_name.casefold())
    return known or _PALETTE[sha256(class_name.encode()).digest()[0] % len(_PALETTE)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A geometry on a slide with a class, an author and measurements.

    Raises
    ------
    AnnotationError
        The geometry is empty, of a mixed type or has coordinates that are not finite; the id is not a UUID; a name,
        a measurement or a colour is not of its type.
    """

    geometry: BaseGeometry
    """(x, y), level-0 pixels, corner of the first pixel at 0."""
    class_name: str | None = None
    """What it is; None where nobody said. A part below another is written ``"Tumour: invasive"``."""
    colour: Colour | None = None
    """Red, green, blue, 0 to 255; None: by class name, see `default_colour`."""
    name: str | None = None
    author: Author = "person"
    measurements: Mapping[str, float] = field(default_factory=dict)
    """Name to number; NaN where there is nothing to measure."""
    kind: Kind = "annotation"
    id: str = field(default_factory=new_id)
    """UUID, unique in a file."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check and freeze what was given."""
        _check_geometry(self.geometry)
        if self.kind not in get_args(Kind):
            raise AnnotationError(f"an annotation cannot be of kind {self.kind!r}: {', '.join(get_args(Kind))}")
        for what, text in (("class name", self.class_name), ("name", self.name)):
            if text is not None and (not isinstance(text, str) or not text.strip()):
                raise AnnotationError(f"an annotation's {what} cannot be {text!r}: a text with letters, or None")
        if self.colour is not None:
            object.__setattr__(self, "colour", _checked_colour(self.colour))
        object.__setattr__(self, "id", _checked_id(self.id))
        object.__setattr__(self, "measurements", MappingProxyType(_checked_numbers(self.measurements)))
        object.__setattr__(self, "metadata", MappingProxyType(_checked_texts(self.metadata)))

    @property
    def shown_colour(self) -> Colour | None:
        """Its colour, or its class's; None without both."""
        if self.colour is not None or self.class_name is None:
            return self.colour
        return default_colour(self.class_name)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive copies and the way between processes (read-only mappings do not)."""
        values = (
            self.geometry,
            self.class_name,
            self.colour,
            self.name,
            self.author,
            dict(self.measurements),
            self.kind,
            self.id,
            dict(self.metadata),
        )
        return (_rebuild, values)


def _rebuild(*values: object) -> Annotation:
    names = ("geometry", "class_name", "colour", "name", "author", "measurements", "kind", "id", "metadata")
    return Annotation(**dict(zip(names, values, strict=True)))  # type: ignore[arg-type]


def _check_geometry(geometry: BaseGeometry) -> None:
    if not isinstance(geometry, BaseGeometry):
        raise AnnotationError(f"an annotation's geometry cannot be a {type(geometry).__name__}: a shapely geometry")
    if geometry.geom_type not in GEOMETRY_TYPES:
        raise AnnotationError(f"an annotation cannot be a {geometry.geom_type}: one of {', '.join(GEOMETRY_TYPES)}")
    if geometry.is_empty:
        raise AnnotationError(f"an annotation cannot be an empty {geometry.geom_type}")
    if not all(map(math.isfinite, geometry.bounds)):
        raise AnnotationError("an annotation has coordinates that are not finite")


def _checked_colour(colour: Colour) -> Colour:
    values = tuple(colour)
    if len(values) != 3 or not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in values):
        raise AnnotationError(f"a colour cannot be {colour!r}: red, green, blue from 0 to 255")
    return values


def _checked_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError) as error:
        raise AnnotationError(f"an annotation's id cannot be {text!r}: a UUID") from error


def _checked_numbers(measurements: Mapping[str, float]) -> dict[str, float]:
    try:
        numbers = {str(name): float(value) for name, value in measurements.items()}
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"a measurement is not a number: {error}") from error
    for name, value in numbers.items():
        if math.isinf(value):
            raise AnnotationError(f"the measurement {name!r} is infinite; NaN says that there is none")
    return numbers


def _checked_texts(metadata: Mapping[str, str]) -> dict[str, str]:
    for name, text in metadata.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise AnnotationError(f"metadata {name!r} is not a text: {text!r}")
    return dict(metadata)
