"""Frozen dataclasses to JSON and back, strictly: what a file says is checked once, where it is read."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal


class ConfigError(ValueError):
    """Something in the JSON is not as it must be; the text names the place."""


def plain(value: object) -> object:
    """Return a record as JSON's dicts, lists, numbers and strings; ``parse`` gives it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def parse(expected: Any, raw: object, place: str) -> object:  # noqa: ANN401 - any annotation of our dataclasses
    """Return parsed JSON as a value of an annotation: a frozen dataclass, or one of the types of its fields.

    Parameters
    ----------
    expected
        A dataclass, ``int``, ``float``, ``str``, ``bool``, ``X | None``, a ``Literal`` of strings, ``tuple[...]`` or
        ``Mapping[str, X]``.
    raw
        What ``json.loads`` gave.
    place
        Where it stands, for the error.

    Raises
    ------
    ConfigError
        Naming the place and what is wrong there: unknown key, missing key, wrong type, number that is not finite.
    """
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _parse_record(expected, raw, place)
    origin = typing.get_origin(expected)
    if origin in {types.UnionType, typing.Union}:
        return None if raw is None else parse(_not_none(expected), raw, place)
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
    required = {
        name for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }  # fmt: skip
    missing = sorted(required - set(raw))
    if missing:
        raise ConfigError(f"{place} lacks the key {missing[0]!r}")
    hints = typing.get_type_hints(kind)
    values = {name: parse(hints[name], value, f"{place}.{name}") for name, value in raw.items()}
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
    return tuple(parse(kind, item, f"{place}[{i}]") for i, (kind, item) in enumerate(zip(item_types, raw, strict=True)))


def _parse_mapping(kind: Any, raw: object, place: str) -> Mapping[str, object]:  # noqa: ANN401
    if not isinstance(raw, dict):
        raise ConfigError(f"{place} must be an object")
    return {key: parse(kind, value, f"{place}.{key}") for key, value in raw.items()}


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
