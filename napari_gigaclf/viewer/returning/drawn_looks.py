"""Looks and features of drawn shapes and points, for which GeoJSON has no place: kept in the metadata of each.

What stands there is read without trust: numbers within bounds, few columns, short texts; the rest is left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_gigaclf.annotations import Annotation
    from napari_gigaclf.slides import Slide

WIDTH, FILL, FEATURES = "width", "fill", "features"
CLASS = "class"
"""The column that GeoJSON has a place for."""
MAX_COLUMNS = 30
MAX_FEATURES_TEXT = 2000
"""Letters of all columns of one shape or point."""
MAX_WIDTH = 1e6
"""Widest edge, level-0 pixels."""
CLEAR = (0.0, 0.0, 0.0, 0.0)

Look = Mapping[str, str]
"""Metadata of one shape or point."""


def looks_of_shapes(layer: Any, slide: "Slide") -> list[Look]:  # noqa: ANN401 - a napari Shapes layer
    """Return the width of the edge, in level-0 pixels, the fill and the features of each shape of a layer."""
    unit = np.asarray(slide.um_per_px or (1.0, 1.0))
    to_level0 = float((np.asarray(layer.scale, dtype=float)[-2:] / unit).mean())
    fills = colour_texts(layer.face_color)
    return [
        {WIDTH: repr(float(width) * to_level0), FILL: fill, **features}
        for width, fill, features in zip(layer.edge_width, fills, features_of(layer), strict=True)
    ]


def features_of(layer: Any) -> list[Look]:  # noqa: ANN401 - a napari Shapes or Points layer
    """Return the features of each shape or point of a layer, but for its class; none where they take too much."""
    table = layer.features
    columns = [name for name in table.columns if isinstance(name, str) and name != CLASS][:MAX_COLUMNS]
    if not columns:
        return [{}] * len(table)
    rows = zip(*(table[name].tolist() for name in columns), strict=True)
    texts = [json.dumps({name: _plain(value) for name, value in zip(columns, row, strict=True)}) for row in rows]
    return [{FEATURES: text} if len(text) <= MAX_FEATURES_TEXT else {} for text in texts]


def shape_looks(annotations: Sequence["Annotation"], edge_width: float) -> dict[str, Any]:
    """Return what napari is told of shapes besides their place: one annotation per shape."""
    widths = [_number(each.metadata.get(WIDTH), MAX_WIDTH) or edge_width for each in annotations]
    fills = np.array([colour_in(each.metadata.get(FILL), CLEAR) for each in annotations]).reshape(-1, 4)
    return {"edge_width": widths, "face_color": fills, "features": feature_table(annotations)}


def feature_table(annotations: Sequence["Annotation"]) -> dict[str, list[Any]]:
    """Return class and kept features, column by column; what one has not is empty: NaN among numbers, else no text."""
    rows = [_features(each.metadata.get(FEATURES)) for each in annotations]
    names = list(dict.fromkeys(name for row in rows for name in row))[:MAX_COLUMNS]
    table: dict[str, list[Any]] = {CLASS: [each.class_name or "" for each in annotations]}
    for name in names:
        values = [row.get(name) for row in rows]
        said = [value for value in values if value is not None]
        if all(isinstance(value, bool) for value in said) and len(said) == len(values):
            table[name] = values
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in said):
            whole = len(said) == len(values)
            table[name] = values if whole else [math.nan if value is None else float(value) for value in values]
        else:
            table[name] = ["" if value is None else str(value) for value in values]
    return table


def _plain(value: object) -> object:
    """Return a cell as JSON has it; None for NaN and for what is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int | str) else str(value)


def _features(text: str | None) -> dict[str, Any]:
    found = _parsed(text)
    if not isinstance(found, dict):
        return {}
    scalar = (str, int, float, bool, type(None))
    kept = {name: value for name, value in found.items() if name != CLASS and isinstance(value, scalar)}
    return dict(list(kept.items())[:MAX_COLUMNS])


def colour_texts(colours: Any) -> list[str]:  # noqa: ANN401 - array-like
    """Return colours (N, 4), 0 to 1, as texts."""
    return [json.dumps(each) for each in np.round(np.asarray(colours, dtype=float).reshape(-1, 4), 4).tolist()]


def colour_in(text: str | None, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    """Return the colour (4,) that a text is; another one where it is none."""
    found = _parsed(text)
    if not isinstance(found, list) or len(found) != 4:
        return otherwise
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in found):
        return otherwise
    return tuple(map(float, found))


def _number(text: str | None, highest: float) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value <= highest else None


def _parsed(text: str | None) -> object:
    if text is None or len(text) > MAX_FEATURES_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
