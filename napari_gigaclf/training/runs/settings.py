"""Recipes of a run: frozen dataclasses from a preset, a file, or texts ``name=value``; what is unknown is refused."""

import dataclasses
import difflib
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models.config import LEAST_UM_PER_PX, MOST_UM_PER_PX
from napari_gigaclf.models.records import ConfigError, parse, plain

MAX_RECIPE_BYTES = 1 << 20
"""A recipe file larger than this is none."""

_Recipe = TypeVar("_Recipe")
"""A frozen dataclass of plain values and such dataclasses."""


def named_preset(presets: Mapping[str, _Recipe], name: str) -> _Recipe:
    """Return a recipe by name.

    Raises
    ------
    CohortError
        If there is none of this name.
    """
    if name not in presets:
        raise CohortError(f"there is no preset {name!r}{_nearest(name, presets)}; known are {', '.join(presets)}")
    return presets[name]


def read_settings(path: Path, presets: Mapping[str, _Recipe]) -> _Recipe:
    """Read a recipe from a TOML or, by its ending, a JSON file; what it does not say is as in the preset it names.

    Its key ``preset`` names the recipe that it changes (default: "default").

    Raises
    ------
    CohortError
        If the file cannot be read, or holds an unknown key (with the nearest known one) or a value that makes no sense.
    """
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise CohortError(f"{path}: larger than {MAX_RECIPE_BYTES} bytes; this is no recipe")
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise CohortError(f"{path}: the recipe cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CohortError(f"{path}: not a readable recipe: {error}") from error
    if not isinstance(raw, dict):
        raise CohortError(f"{path}: a recipe is a table of settings, not a {type(raw).__name__}")
    base = raw.pop("preset", "default")
    if not isinstance(base, str):
        raise CohortError(f"{path}: preset must be a name")
    return changed(named_preset(presets, base), raw, str(path))


def with_settings(recipe: _Recipe, settings: Sequence[str]) -> _Recipe:
    """Return a recipe changed by texts ``name=value``, the value as in JSON or a bare word; ``changes.stain=0.1``.

    Raises
    ------
    CohortError
        If a text is none, its name unknown or its value makes no sense.
    """
    raw: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise CohortError(f"setting {setting!r} is not of the form name=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        inner = raw
        *groups, last = name.strip().split(".")
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return changed(recipe, raw, "settings")


def changed(recipe: _Recipe, raw: Mapping[str, Any], place: str) -> _Recipe:
    """Return a recipe with some keys replaced.

    Raises
    ------
    CohortError
        If a key is unknown (with the nearest known one), or a value makes no sense.
    """
    kind = type(recipe)
    _check_keys(kind, raw, place)
    whole = plain(recipe)
    assert isinstance(whole, dict)
    for key, value in raw.items():
        whole[key] = {**whole[key], **value} if isinstance(value, dict) and isinstance(whole[key], dict) else value
    try:
        found = parse(kind, whole, place)
    except ConfigError as error:
        raise CohortError(str(error)) from error
    assert isinstance(found, kind)
    return found


def check_um_per_px(um_per_px: float | None) -> None:
    """Refuse a scale that no network may have; None is passed over.

    Raises
    ------
    ValueError
        Saying which scales there are.
    """
    if um_per_px is not None and not LEAST_UM_PER_PX <= um_per_px <= MOST_UM_PER_PX:
        raise ValueError(f"um_per_px must lie between {LEAST_UM_PER_PX} and {MOST_UM_PER_PX}, not {um_per_px}")


def dump_settings(recipe: object) -> str:
    """Return a recipe as JSON text, which ``read_settings`` gives back."""
    return json.dumps(plain(recipe), indent=2, allow_nan=False) + "\n"


def _check_keys(kind: type, raw: Mapping[str, Any], place: str) -> None:
    """Refuse unknown keys, naming the nearest known one, inside nested settings too."""
    hints = typing.get_type_hints(kind)
    for key, value in raw.items():
        if key not in hints:
            raise CohortError(f"{place}: unknown setting {key!r}{_nearest(key, hints)}")
        if isinstance(value, dict) and dataclasses.is_dataclass(hints[key]):
            _check_keys(typing.cast("type", hints[key]), value, f"{place}: {key}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""
