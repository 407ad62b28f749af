"""What stands in a model folder's ``config.json``: parsed strictly once, so that everything behind it can trust it.

Unknown keys, missing keys, wrong types and numbers that are not finite are refused with the place in the file. No torch
in here: listing models must be quick.
"""

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_gigaclf.models.card import ModelCard

FORMAT = "napari-gigaclf model 1"
Activation = Literal["softmax", "sigmoid"]
NetworkName = Literal[
    "cell-net", "paper-table1", "paper-table2-22", "paper-table2-25", "paper-table2-28", "resnet18", "resnet34"
]
Pooling = Literal["max", "mean", "attention", "highest"]
MAX_CLASSES = 1000
MIN_SIDE_PX: dict[str, int] = {
    "cell-net": 32,
    "paper-table1": 160,
    "paper-table2-22": 32,
    "paper-table2-25": 64,
    "paper-table2-28": 128,
    "resnet18": 1,
    "resnet34": 1,
}
"""Smallest image side for which a network's map has a cell."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


class ConfigError(ValueError):
    """Something in the JSON is not as it must be; the text names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenOutput:
    """Logits that the weights must give for a synthetic image, so that a changed or misread weight is noticed."""

    pattern: int
    """Which image of ``models.golden.pattern``."""
    side_px: int
    """Its height and width."""
    logits: tuple[float, ...]
    """What the model gave when it was saved."""

    def __post_init__(self) -> None:
        if not 1 <= self.side_px <= 1024 or not 0 <= self.pattern <= 1000:
            raise ConfigError("side_px must be 1 to 1024 and pattern 0 to 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Everything about a model but its weights."""

    name: str
    version: str
    classes: tuple[str, ...]
    um_per_px: float | None
    """Scale of the images, micrometres per pixel; None if the model has none."""
    activation: Activation
    network: NetworkName
    pooling: Pooling
    spread: tuple[float, ...]
    """Per channel: what ``x - 1`` is divided by (see ``models.normalise``)."""
    card: ModelCard
    golden: tuple[GoldenOutput, ...] = ()
    format: str = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigError(f"format is {self.format!r}; this version reads {FORMAT!r}")
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"name {self.name[:100]!r} may hold letters, digits, space, '.', '_' and '-' only")
        if not 1 <= len(self.classes) <= MAX_CLASSES or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes must be 1 to {MAX_CLASSES} different names")
        if self.um_per_px is not None and not 0.01 <= self.um_per_px <= 1000:
            raise ConfigError(f"um_per_px is {self.um_per_px}; it must lie between 0.01 and 1000")
        if len(self.spread) != 3 or min(self.spread) <= 0:
            raise ConfigError("spread must be three positive numbers")
        if self.card.positive_class and self.card.positive_class not in self.classes:
            raise ConfigError(f"card.positive_class {self.card.positive_class!r} is not among the classes")
        if any(len(golden.logits) != len(self.classes) for golden in self.golden):
            raise ConfigError("each golden output needs one logit per class")

    @property
    def min_side_px(self) -> int:
        """Smallest image side that gives a cell; smaller images are filled up with white."""
        return MIN_SIDE_PX[self.network]


def parse_config(text: str) -> ModelConfig:
    """Parse ``config.json``.

    Raises
    ------
    ConfigError
        Naming the place and what is wrong with it.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not valid JSON ({error})") from error
    config = _parse(ModelConfig, raw, "config")
    assert isinstance(config, ModelConfig)
    return config


def dump_config(config: ModelConfig) -> str:
    """Return the JSON text of a config; ``parse_config`` gives it back."""
    return json.dumps(_plain(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _parse(expected: Any, raw: object, place: str) -> object:  # noqa: ANN401 - any annotation of our dataclasses
    """Return ``raw`` as a value of the annotation ``expected``."""
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _parse_record(expected, raw, place)
    origin = typing.get_origin(expected)
    if origin in {types.UnionType, typing.Union}:
        return None if raw is None else _parse(_not_none(expected), raw, place)
    if origin is tuple:
        return _parse_tuple(expected, raw, place)
    if origin is Literal:
        if raw not in typing.get_args(expected):
            raise ConfigError(f"{place} is {raw!r}; known are {', '.join(typing.get_args(expected))}")
        return raw
    if origin is Mapping or expected is Mapping:
        return _parse_mapping(typing.get_args(expected)[1], raw, place)
    return _parse_scalar(expected, raw, place)


def _not_none(union: Any) -> Any:  # noqa: ANN401
    return next(option for option in typing.get_args(union) if option is not type(None))


def _parse_record(kind: type, raw: object, place: str) -> object:
    if not isinstance(raw, dict):
        raise ConfigError(f"{place} must be an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(raw) - set(fields))
    if unknown:
        raise ConfigError(f"{place} has the unknown key {unknown[0]!r}")
    required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    missing = sorted(required - set(raw))
    if missing:
        raise ConfigError(f"{place} lacks the key {missing[0]!r}")
    hints = typing.get_type_hints(kind)
    values = {name: _parse(hints[name], value, f"{place}.{name}") for name, value in raw.items()}
    try:
        return kind(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error


def _parse_tuple(expected: Any, raw: object, place: str) -> tuple[object, ...]:  # noqa: ANN401
    if not isinstance(raw, list):
        raise ConfigError(f"{place} must be a list")
    item_types = typing.get_args(expected)
    if item_types[-1] is Ellipsis:
        item_types = (item_types[0],) * len(raw)
    if len(item_types) != len(raw):
        raise ConfigError(f"{place} must have {len(item_types)} entries, not {len(raw)}")
    return tuple(
        _parse(kind, item, f"{place}[{i}]") for i, (kind, item) in enumerate(zip(item_types, raw, strict=True))
    )


def _parse_mapping(kind: Any, raw: object, place: str) -> Mapping[str, object]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise ConfigError(f"{place} must be an object")
    return {key: _parse(kind, value, f"{place}.{key}") for key, value in raw.items()}


def _parse_scalar(expected: Any, raw: object, place: str) -> object:  # noqa: ANN401
    if expected is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        try:
            number = float(raw)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ConfigError(f"{place} must be a finite number")
        return number
    if isinstance(raw, expected) and not (expected is int and isinstance(raw, bool)):
        return raw
    raise ConfigError(f"{place} must be of type {expected.__name__}, not {type(raw).__name__}")
