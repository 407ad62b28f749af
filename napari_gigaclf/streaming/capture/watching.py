"""Notices what a network's code does beside computing, while it is followed, and refuses it.

The list of operations that following gives says nothing of a backward pass written by hand, nor of state that changes
from call to call: streamed without a word, gradients and results would be others than the untiled network's.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.settings import changed_settings, settings_of

TABLES = ("_parameters", "_buffers", "_modules")
"""Where a module keeps its tensors and children, by name."""


@contextmanager
def watched(module: nn.Module) -> Iterator[None]:
    """Refuse, within this context, code with a backward pass of its own, and code that changes its module.

    Attributes that the code has set are put back, so that nothing of the following is left in the module.

    Raises
    ------
    UnsupportedOperation
        Naming the function, or the attribute and the module.
    """
    before, changed = settings_of(module), list[tuple[str, str]]()
    children = list(module.named_modules())
    tables = [(path, child.__dict__[table]) for path, child in children for table in TABLES]
    kept = [dict(table) for _, table in tables]
    attributes = [(child.__dict__, dict(child.__dict__)) for _, child in children]
    try:
        with _own_derivatives_refused():
            yield
    finally:
        for (path, table), old in zip(tables, kept, strict=True):
            changed += [(path, name) for name in _put_back(table, old)]
        changed += changed_settings(before, settings_of(module))
        for own, old in attributes:
            _put_back(own, old)
    for path, name in changed:
        kind, where = type(module.get_submodule(path)).__name__, f"module '{path}'" if path else "the outermost module"
        raise UnsupportedOperation(
            f"cannot stream {kind} in {where}: its forward changes its '{name}' at every call, and the streamed module "
            "does not run this code again; keep what changes outside"
        )


def _put_back(table: dict[str, object], old: Mapping[str, object]) -> list[str]:
    """Make a table hold what it held before, and return the names that had changed.

    What has not changed is not touched: another thread may be running the module.
    """
    missing = object()
    names = [name for name in {**old, **table} if table.get(name, missing) is not old.get(name, missing)]
    for name in names:
        if name in old:
            table[name] = old[name]
        else:
            del table[name]
    return names


@contextmanager
def _own_derivatives_refused() -> Iterator[None]:
    """Refuse calls of ``torch.autograd.Function`` on this thread; others may be training meanwhile."""
    thread, original = threading.get_ident(), torch.autograd.Function.__dict__["apply"]

    def apply(kind: Any, /, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - whatever it gives
        if threading.get_ident() != thread:
            return original.__get__(None, kind)(*args, **kwargs)
        raise UnsupportedOperation(
            f"cannot stream {kind.__name__}: it is a torch.autograd.Function, and its own backward pass is not seen in "
            "the code; write it with ordinary operations, or keep it outside the streamed module"
        )

    torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        torch.autograd.Function.apply = original  # type: ignore[method-assign]
