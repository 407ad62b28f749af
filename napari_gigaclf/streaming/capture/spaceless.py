"""Functions of tensors without space: what a network does with weights, and with statistics of maps.

They are computed whole by PyTorch itself, once per run, so nearly everything is allowed; only what draws random
numbers or changes a tensor that has another name is not.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from napari_gigaclf.streaming.capture import pointwise
from napari_gigaclf.streaming.capture.calls import Call
from napari_gigaclf.streaming.capture.modules import keeps_forward, module_call, plain_activation
from napari_gigaclf.streaming.capture.refusals import HINTS, remedy_for
from napari_gigaclf.streaming.network.operations import Argument
from napari_gigaclf.streaming.network.spaceless import ComputedTensor

FRESH = frozenset(
    {*pointwise.NAMES, "linear", "conv1d", "conv2d", "conv3d", "matmul", "softmax", "cat", "stack", "mean", "sum",
     "batch_norm", "group_norm", "layer_norm", "log_softmax", "amax", "amin"} - pointwise.MAY_SHARE
)  # fmt: skip
"""Functions whose result has memory of its own."""

SHARING_MODULES = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)

Function = tuple[Callable[..., Any], dict[str, Argument]]
"""A function and its arguments behind the first, where a string starting with '.' names a module's own tensor."""


def module_function(module: nn.Module, call: Call) -> Function | None:
    """Return what a module does to a tensor without space; None where it gives its argument back.

    Raises
    ------
    UnsupportedOperation
        For modules that are not known, draw random numbers, or need statistics of a batch.
    """
    if keeps_forward(module, nn.Flatten):
        return torch.flatten, {"start_dim": module.start_dim, "end_dim": module.end_dim}
    if keeps_forward(module, nn.Unflatten):
        return torch.unflatten, {"dim": module.dim, "sizes": module.unflattened_size}
    known = module_call(module)
    if known is None or getattr(module, "padding_mode", "zeros") != "zeros":
        raise call.refuse("it is not an operation the engine knows", remedy_for(call.kind))
    function, arguments = known
    if function is pointwise.elementwise:
        return plain_activation(module), {}
    if function is nn.Identity:
        return None
    if "dropout" in getattr(function, "__name__", ""):
        refuse_active_dropout(call, arguments["p"], arguments["training"])
        return None
    if arguments.get("training") or arguments.get("use_input_stats"):
        raise call.refuse("it takes statistics of a batch of vectors", "call eval() on it, or move it into the head")
    names = ("training", "momentum", "num_batches_tracked", "use_input_stats")
    own = {key: value for key, value in arguments.items() if key not in names}
    return function, own  # type: ignore[return-value]


def refuse_active_dropout(call: Call, rate: Argument, training: Argument) -> None:
    """Refuse dropout that is switched on."""
    if training and rate:
        raise call.refuse("active dropout draws random numbers", "call eval() on it, or move it into the head")


def plain_function(target: object, name: str, method: bool) -> Callable[..., Any]:
    """Return the function for a call found in the code, which overwrites nothing."""
    if method:
        return getattr(torch.Tensor, name)  # type: ignore[no-any-return]
    return pointwise.IN_PLACE_OPERATORS.get(target, target)  # type: ignore[call-overload, no-any-return]


def inactive_dropout(call: Call, name: str) -> bool:
    """Return whether a call is dropout that is switched off.

    Raises
    ------
    UnsupportedOperation
        If it is switched on.
    """
    if "dropout" not in name:
        return False
    bound = call.bind("input", p=0.5, training=True, inplace=False)
    refuse_active_dropout(call, bound["p"], bound["training"])
    return True


def computed(call: Call, function: Callable[..., Any], name: str) -> ComputedTensor:
    """Return the tensor that a call computes from others.

    Raises
    ------
    UnsupportedOperation
        If it draws random numbers.
    """
    if any(word in name for word in HINTS["random"]):
        raise call.refuse("it changes or draws a tensor at every run", "compute it outside the streamed module")
    kwargs = {key: value for key, value in call.kwargs.items() if key != "inplace"}
    return ComputedTensor(function=function, args=call.args, kwargs=kwargs)


def shares(name: str) -> bool:
    """Return whether a function's result may share memory with its argument."""
    own = name in FRESH or name in ("pow", "neg", "abs") or hasattr(operator, name)
    return not own or name in ("getitem", "pos")
