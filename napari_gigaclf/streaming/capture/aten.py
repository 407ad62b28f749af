"""Operations as ``torch.export`` lists them, put into the words that the recognisers know.

An exported graph calls PyTorch's operators (``aten.conv2d.default``) with arguments named by their schema. Here each
gets the function of ``torch`` or ``torch.nn.functional`` it belongs to, and that function's names for its arguments, so
that the recognisers of the first front end serve the second one too.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import getitem
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Recogniser
from napari_gigaclf.streaming.capture.pointwise import NAMES, elementwise

RENAMED = {"train": "training", "split_sizes": "split_size"}
"""Names of arguments in schemas, and in Python."""
LEFT_OUT = frozenset({"cudnn_enabled", "cudnn_enable"})
"""Arguments that change no number."""

OWN_NAMES: Mapping[str, str] = {"constant_pad_nd": "pad", "alias": "clone"}
"""Operators whose Python function has another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of an exported graph."""

    overload: Any
    """``torch._ops.OpOverload``."""
    name: str
    """Without overload, and without the underscore of an in-place form: ``"relu"``."""
    overwrites: bool
    """Whether it changes its first argument."""
    shares: bool
    """Whether its result may lie in the memory of its argument (a view)."""
    random: bool

    @property
    def mode(self) -> str | None:
        """The mode of an interpolation."""
        return INTERPOLATIONS.get(self.name[:-2])


def operator_of(node: fx.Node) -> Operator | None:
    """Return the operator that a node calls; None where it calls something else."""
    overload = node.target
    if not isinstance(overload, torch._ops.OpOverload) or overload.namespace != "aten":
        return None
    schema, name = overload._schema, overload._opname
    overwrites = schema.is_mutable
    shares = any(given.alias_info is not None for given in schema.returns) and not overwrites
    return Operator(
        overload=overload, name=name.removesuffix("_") if overwrites else name, overwrites=overwrites, shares=shares,
        random=torch.Tag.nondeterministic_seeded in overload.tags,
    )  # fmt: skip


def arguments_of(
    operator: Operator, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return an operator's arguments as its Python function names them.

    Place-by-place functions are called as they are: the first arguments by position, as their in-place forms want them.
    For others all but the first are named, since the order in ``torch.nn.functional`` may differ.
    """
    if operator.name in NAMES or operator.name == "to":
        return args, dict(kwargs)
    if operator.name == "slice":
        return (args[0], _index(*args[1:], **kwargs)), {}
    if operator.name == "index":
        return (args[0], tuple(slice(None) if item is None else item for item in args[1])), {}  # type: ignore[attr-defined]
    names = [argument.name for argument in operator.overload._schema.arguments]
    named = {**dict(zip(names[1:], args[1:], strict=False)), **kwargs}
    if operator.mode is not None:
        return args[:1], _interpolated(operator.mode, named)
    return args[:1], {RENAMED.get(name, name): value for name, value in named.items() if name not in LEFT_OUT}


def _index(dim: object = 0, start: object = None, end: object = None, step: object = 1) -> tuple[object, ...]:
    """Return what ``aten.slice`` takes as an index in brackets; its own end is the greatest whole number."""
    if not isinstance(dim, int) or dim < 0:
        return (None,)  # counted from the back: left to the recogniser to refuse
    return (*(slice(None),) * dim, slice(start, None if end == sys.maxsize else end, step))


INTERPOLATIONS = {
    "upsample_nearest": "nearest", "_upsample_nearest_exact": "nearest-exact", "upsample_linear": "linear",
    "upsample_bilinear": "bilinear", "upsample_trilinear": "trilinear", "upsample_bicubic": "bicubic",
}  # fmt: skip
"""Modes of ``F.interpolate`` by the operator's name without its number of axes."""


def _interpolated(mode: str, named: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of ``F.interpolate``."""
    renamed = {"output_size": "size", "scale_factors": "scale_factor"}
    given = {renamed.get(name, name): value for name, value in named.items() if value is not None}
    if not mode.startswith("nearest"):
        given["align_corners"] = bool(given.get("align_corners"))
    return {**given, "mode": mode}


def recogniser_for(
    operator: Operator, functions: Mapping[object, Recogniser], methods: Mapping[str, Recogniser]
) -> Recogniser | None:
    """Return who recognises an operator, among the recognisers by function and by method's name."""
    if operator.name == "to" and operator.overload._overloadname == "dtype":
        return elementwise(Tensor.to)
    if operator.name in ("slice", "index"):
        return functions[getitem]
    if operator.mode is not None:
        return functions.get(F.interpolate)
    name = OWN_NAMES.get(operator.name, operator.name)
    places = (torch, torch._C._nn, F) if name in NAMES else (F, torch._C._nn, torch)
    for place in places:
        function: Callable[..., object] | None = getattr(place, name, None)
        if function is not None and function in functions:
            return functions[function]
    return methods.get(name)
