"""Functions that look at one place at a time: they stream for free, whatever the tiles.

Activations, sums and products, concatenation and reductions over channels, eval-mode batch norm.
"""

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gigaclf.streaming.capture import statistics
from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.layouts import (
    axes_of,
    common_arrangement,
    expect_channel_axis,
    placewise,
)
from napari_gigaclf.streaming.network.arrangements import CHANNELS
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Pointwise

NAMES = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid",
    "hardtanh", "sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "hardshrink", "softshrink", "tanhshrink",
    "threshold", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "abs", "absolute", "neg",
    "negative", "square", "sin", "cos", "tan", "sinh", "cosh", "asinh", "atan", "arctan", "erf", "erfc", "sign",
    "clamp", "clip", "clamp_min", "clamp_max", "pow", "float_power", "reciprocal", "round", "floor", "ceil", "trunc",
    "nan_to_num", "logit", "add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide",
    "maximum", "minimum", "where", "lerp", "addcmul", "addcdiv", "atan2", "hypot", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_and", "logical_or", "logical_not", "isnan", "isfinite", "masked_fill", "clone", "contiguous", "detach",
    "float", "double", "half", "bfloat16",
)  # fmt: skip
"""Functions and methods which act place by place, wherever PyTorch offers them (torch, torch.nn.functional, Tensor)."""

OPERATORS: tuple[Callable[..., Any], ...] = (
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.neg, operator.pos, operator.abs,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
)  # fmt: skip

MAY_SHARE = frozenset({"contiguous", "detach", "float", "double", "half", "bfloat16", "to", "pos", "positive"})
"""Operations that give back their argument's own memory, always or where nothing has to be converted."""

IN_PLACE_OPERATORS: dict[Callable[..., object], Callable[..., object]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}

OVERWRITING: dict[object, Callable[..., Tensor]] = {
    torch.relu: torch.relu_,
    F.relu: torch.relu_,
    torch.Tensor.relu: torch.relu_,
    operator.add: operator.iadd,
    torch.add: torch.Tensor.add_,
    torch.Tensor.add: torch.Tensor.add_,
}
"""Functions with a version that overwrites its argument and whose gradient needs only the result."""

CHANNEL_NAMES = ["softmax", "log_softmax", "softmin", "glu", "normalize"]
REDUCTION_NAMES = ["mean", "sum", "amax", "amin"]
SPREAD_NAMES = ["var", "std"]


def elementwise(function: Callable[..., Tensor]) -> Recogniser:
    """Return a recogniser for a function that acts place by place."""

    def recognise(call: Call) -> Recognised:
        if call.kwargs.get("out") is not None:
            raise call.refuse("it writes into a map that is there already (out=...)", "use what it returns")
        call = call.with_kwargs(inplace=None, out=None)
        return placewise(call, function, call.args, dict(call.kwargs), OVERWRITING.get(function))

    return recognise


def over_channels(function: Callable[..., Tensor]) -> Recogniser:
    """Return a recogniser for a function along the channel axis which keeps that axis."""

    def recognise(call: Call) -> Recognised:
        seen = common_arrangement(call)
        if function is F.normalize:
            bound = call.bind("input", p=2.0, dim=1, eps=1e-12, out=None)
            axis = bound["dim"]
            if bound["out"] is not None:
                raise call.refuse("it writes into a map that is there already (out=...)", "use what it returns")
        else:
            default = -1 if function is F.glu else None
            axis = call.kwargs.get("dim", call.args[1] if len(call.args) == 2 else default)
        expect_channel_axis(axis, seen, call)
        return placewise(call, function, call.args, dict(call.kwargs))

    return recognise


def reduction(function: Callable[..., Tensor]) -> Recogniser:
    """Return a recogniser for a reduction over all of space, or over channels."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", dim=None, keepdim=False)
        source, axes = bound["input"], statistics.over_space(bound["dim"], call.num_axes)
        if axes is not None and isinstance(source, NodeRef) and source.seen is None:
            return statistics.reduced(call, source, call.kind, axes, bound["keepdim"] is True)
        seen = statistics.seen_space(call, source, bound["dim"])
        if seen is not None:
            return statistics.reduced_as_seen(call, seen, call.kind, bound["keepdim"] is True)
        return over_channel_axis(call, function, bound["input"], bound["dim"], bound["keepdim"], {})

    return recognise


def spread(function: Callable[..., Tensor]) -> Recogniser:
    """Return a recogniser for variance and standard deviation over channels."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", dim=None, unbiased=None, keepdim=False, correction=None)
        more = {name: bound[name] for name in ("unbiased", "correction") if bound[name] is not None}
        if "unbiased" in more:  # the two ways PyTorch has to say it
            more = {"correction": int(bool(more["unbiased"])), **more}
            del more["unbiased"]
        return over_channel_axis(call, function, bound["input"], bound["dim"], bound["keepdim"], more)

    return recognise


def vector_norm(call: Call) -> Recognised:
    """Recognise the norm over channels: ``x.norm(dim=1)``, ``torch.linalg.vector_norm``."""
    names = {"p": "order", "ord": "order"}
    renamed = replace(call, kwargs={names.get(name, name): value for name, value in call.kwargs.items()})
    bound = renamed.bind("input", order=2.0, dim=None, keepdim=False, out=None, dtype=None)
    order = 2.0 if bound["order"] in (None, "fro") else bound["order"]
    if not isinstance(order, int | float) or bound["dtype"] is not None or bound["out"] is not None:
        raise call.refuse("its kind of norm is not known here", "give the norm's order as a number")
    source, keepdim = bound["input"], bound["keepdim"]
    if isinstance(source, NodeRef) and order == 2:
        found = statistics.norm_over_space(call, source, bound["dim"], keepdim is True)
        if found is not None:
            return found
    return over_channel_axis(call, norm_along, bound["input"], bound["dim"], keepdim, {"order": float(order)})


def norm_along(source: Tensor, axes: tuple[int, ...], *, keepdim: bool, order: float) -> Tensor:
    """Return the norm along axes."""
    found: Tensor = torch.linalg.vector_norm(source, order, axes, keepdim)
    return found


def over_channel_axis(
    call: Call, function: Callable[..., Tensor], source: Argument, axis: Argument, keepdim: Argument,
    more: dict[str, Argument],
) -> Recognised:  # fmt: skip
    """Return a reduction over channels, or axes that are parts of them, wherever the code sees them."""
    seen = common_arrangement(call)
    listed = list(axis) if isinstance(axis, tuple | list) and axis else [axis]
    places = tuple(expect_channel_axis(one, seen, call) for one in listed)
    kinds = None
    if keepdim is not True:
        own = axes_of(call, call.any_map_of(source))
        kinds = [max(kind, CHANNELS) for place, kind in enumerate(own) if place not in places]
    return placewise(call, function, (source, places), {"keepdim": keepdim is True, **more}, kinds=kinds)


def concatenation(call: Call) -> Recognised:
    """Recognise ``torch.cat`` along channels."""
    bound = call.bind("tensors", dim=0)
    seen, tensors = common_arrangement(call), bound["tensors"]
    place = expect_channel_axis(bound["dim"], seen, call)
    if not isinstance(tensors, tuple | list) or not all(isinstance(item, NodeRef) for item in tensors):
        raise call.refuse("it joins something that is not a map", "concatenate maps only")
    return placewise(call, torch.cat, (list(tensors), place))


def batch_norm(call: Call) -> Recognised:
    """Recognise batch norm, with fixed statistics or with those of the batch."""
    bound = call.bind(
        "input", running_mean=None, running_var=None, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5,
        num_batches_tracked=None,
    )  # fmt: skip
    return normalised_by_batch(call, bound)


def torch_batch_norm(call: Call) -> Recognised:
    """Recognise ``torch.batch_norm``, whose arguments come in another order than those of ``F.batch_norm``."""
    bound = call.bind(
        "input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps", "cudnn_enabled"
    )
    return normalised_by_batch(call, bound)


def normalised_by_batch(call: Call, bound: dict[str, Argument]) -> Recognised:
    """Return a batch norm from its arguments by name."""
    if bound["training"]:
        return statistics.batch_norm_training(call, bound)
    names = ("input", "running_mean", "running_var", "weight", "bias")
    call.map_of(bound["input"])
    args = (*(bound[name] for name in names), False, 0.0, bound["eps"])
    return Pointwise(function=F.batch_norm, args=args, kwargs={})


def converted(call: Call) -> Recognised:
    """Recognise ``to`` with a type of numbers."""
    rest = [*call.args[1:], *(value for name, value in call.kwargs.items() if name not in ("copy", "non_blocking"))]
    if len(rest) != 1 or not isinstance(rest[0], torch.dtype):
        raise call.refuse(
            "it moves a map, or takes the type of its numbers from somewhere else",
            "write .to(torch.float32), or move the whole module",
        )
    return placewise(call, Tensor.to, (call.args[0], rest[0]))


def prelu(call: Call) -> Recognised:
    """Recognise PReLU, whose weight belongs to the second axis."""
    bound = call.bind("input", "weight")
    return Pointwise(function=F.prelu, args=(call.map_of(bound["input"]), bound["weight"]), kwargs={})


def local_response(call: Call) -> Recognised:
    """Recognise local response normalisation, a window over the second axis only."""
    call.map_of(call.args[0] if call.args else call.kwargs.get("input"))
    return Pointwise(function=F.local_response_norm, args=call.args, kwargs=call.kwargs)


def rrelu(call: Call) -> Recognised:
    """Recognise randomised leaky ReLU outside training."""
    bound = call.bind("input", lower=1 / 8, upper=1 / 3, training=False, inplace=False)
    if bound["training"]:
        raise call.refuse("it draws random slopes", "call eval() on it")
    return placewise(call, F.rrelu, (bound["input"], bound["lower"], bound["upper"]))


def same_map(call: Call) -> Recognised:
    """Recognise another name for a map (``nn.Identity``)."""
    return call.any_map_of(call.args[0])


def named_in(name: str, *places: object) -> list[Callable[..., Tensor]]:
    """Return what PyTorch offers under this name."""
    return [function for place in places if callable(function := getattr(place, name, None))]


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of pointwise functions, by the function found in the code."""
    table: dict[object, Recogniser] = {function: elementwise(function) for function in OPERATORS}
    families = (
        (NAMES, elementwise),
        (CHANNEL_NAMES, over_channels),
        (REDUCTION_NAMES, reduction),
        (SPREAD_NAMES, spread),
    )
    for names, recogniser in families:
        for name in names:
            table.update({function: recogniser(function) for function in named_in(name, torch, F, torch._C._nn)})
    table.update(dict.fromkeys((torch.cat, torch.concat, torch.concatenate), concatenation))
    table.update({F.batch_norm: batch_norm, torch.batch_norm: torch_batch_norm, F.prelu: prelu, torch.prelu: prelu})
    table.update(dict.fromkeys((torch.norm, torch.linalg.vector_norm, torch.functional.norm), vector_norm))
    table.update({F.local_response_norm: local_response, F.rrelu: rrelu, torch.rrelu: rrelu})
    return table


def method_table() -> dict[str, Recogniser]:
    """Return the recognisers of pointwise tensor methods, by name."""
    table = {name: elementwise(getattr(torch.Tensor, name)) for name in NAMES if hasattr(torch.Tensor, name)}
    table.update({name: over_channels(getattr(torch.Tensor, name)) for name in ("softmax", "log_softmax")})
    table.update({name: reduction(getattr(torch.Tensor, name)) for name in REDUCTION_NAMES})
    table.update({name: spread(getattr(torch.Tensor, name)) for name in SPREAD_NAMES})
    table.update({"prelu": prelu, "to": converted, "norm": vector_norm, "linalg_vector_norm": vector_norm})
    return table


ACTIVATION_MODULES: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Hardtanh, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Hardshrink, nn.Softshrink,
    nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
"""Activation modules without weights: their own forward is the pointwise function."""
