"""Tells whether a module is still the one whose graph was captured: everything its code reads, but values of weights.

A stride, a padding, a flag or a layer that was changed since must show in the result, as it does without streaming.
Weakness: numbers inside objects other than modules, lists, tuples and dicts are not looked at, only which object it is.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
_TABLES = frozenset({"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"})


class _Same:
    """Compares by identity, and keeps its object alive so that no other one gets its place."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def settings_of(module: nn.Module) -> tuple[object, ...]:
    """Return a key that changes when a module's structure, attributes, types or mode change, not with its weights."""
    return tuple((path, _of_one(child)) for path, child in module.named_modules(remove_duplicate=False))


def changed_settings(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return the path and name of each attribute that differs between two keys of one module's settings."""
    found, missing = list[tuple[str, str]](), object()
    for (path, one), (_, other) in zip(before, after, strict=True):
        old, new = dict(one[-1]), dict(other[-1])
        found += [(path, name) for name in {**old, **new} if old.get(name, missing) != new.get(name, missing)]
    return found


def _of_one(module: nn.Module) -> tuple[object, ...]:
    """Return the key of one module without its children."""
    own = module.__dict__
    shapes = tuple(
        (name, None if tensor is None else (tuple(tensor.shape), tensor.dtype, tensor.device))
        for table in ("_parameters", "_buffers")
        for name, tensor in own[table].items()
    )
    children = tuple((name, child is None) for name, child in own["_modules"].items())
    attributes = tuple((name, _key(value)) for name, value in own.items() if name not in _TABLES)
    return (type(module), shapes, children, attributes)


def _key(value: object) -> object:
    """Return what stands for an attribute."""
    if isinstance(value, _PLAIN):
        return (type(value), value if value == value else "nan")
    if isinstance(value, Tensor):
        return _Same(value)
    if isinstance(value, list | tuple):
        return (type(value), tuple(_key(item) for item in value))
    if isinstance(value, Mapping):
        return (type(value), tuple((_key(name), _key(item)) for name, item in value.items()))
    return _Same(value)
