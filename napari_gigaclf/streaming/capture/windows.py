"""Functions that look at a small window around each place: convolution, pooling, padding."""

from dataclasses import replace
from typing import Literal

import torch
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser, per_axis
from napari_gigaclf.streaming.capture.layouts import axes_of, placewise
from napari_gigaclf.streaming.network.arrangements import SAMPLES
from napari_gigaclf.streaming.network.dropout import Dropout
from napari_gigaclf.streaming.network.graph import module_weights
from napari_gigaclf.streaming.network.intervals import Mirror, Window
from napari_gigaclf.streaming.network.operations import (
    Argument,
    ConstantPadding,
    Convolution,
    MirrorPadding,
    NodeRef,
    TensorRef,
)
from napari_gigaclf.streaming.network.patches import PatchOperation, Patchwise
from napari_gigaclf.streaming.network.pooling import AveragePooling, MaxPooling, PowerPooling
from napari_gigaclf.streaming.network.resampling import Interpolation
from napari_gigaclf.streaming.network.shuffling import PixelShuffle
from napari_gigaclf.streaming.network.transposed import TransposedConvolution


def convolution_padding(value: object, taps: list[tuple[int, int]], call: Call) -> list[tuple[int, int]]:
    """Return (before, after) per axis from PyTorch's padding argument; ``taps`` are (kernel, dilation)."""
    if value == "valid":
        return [(0, 0)] * len(taps)
    if value == "same":
        totals = [dilation * (kernel - 1) for kernel, dilation in taps]
        return [(total // 2, total - total // 2) for total in totals]
    return [(amount, amount) for amount in per_axis(value, len(taps), call)]


def convolution(num_axes: int) -> Recogniser:
    """Return the recogniser of a convolution over so many axes."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", "weight", bias=None, stride=1, padding=0, dilation=1, groups=1)
        weight, bias, groups = bound["weight"], bound["bias"], bound["groups"]
        if not isinstance(weight, TensorRef) or not isinstance(bias, TensorRef | None) or not isinstance(groups, int):
            raise call.refuse("its weight is computed from the image", "keep it outside the streamed module")
        shape = tuple(call.constant(weight).shape)
        kernel, stride = shape[2:], per_axis(bound["stride"], num_axes, call)
        dilation = per_axis(bound["dilation"], num_axes, call)
        if bound["padding"] == "same" and any(step != 1 for step in stride):
            raise call.refuse("padding='same' with a stride has no meaning in PyTorch", "give the padding in numbers")
        padding = convolution_padding(bound["padding"], list(zip(kernel, dilation, strict=True)), call)
        windows = tuple(
            Window(kernel=k, stride=s, before=before, after=after, dilation=d)
            for k, s, (before, after), d in zip(kernel, stride, padding, dilation, strict=True)
        )
        return Convolution(
            source=call.map_of(bound["input"]), weight=weight, bias=bias, windows=windows, groups=groups,
            macs_per_output=call.constant(weight).numel(),
        )  # fmt: skip

    return recognise


def pooling_windows(call: Call, bound: dict[str, object], num_axes: int) -> tuple[Window, ...]:
    """Return the windows of a pooling from its arguments by name."""
    kernel = per_axis(bound["kernel_size"], num_axes, call)
    stride = kernel if bound["stride"] in (None, [], ()) else per_axis(bound["stride"], num_axes, call)
    padding = per_axis(bound["padding"], num_axes, call)
    dilation = per_axis(bound.get("dilation", 1), num_axes, call)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise call.refuse("its padding is more than half its kernel, which PyTorch refuses too", "use less padding")
    return tuple(
        Window(kernel=k, stride=s, before=p, after=p, dilation=d, ceil_mode=bool(bound["ceil_mode"]))
        for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True)
    )


def max_pooling(num_axes: int) -> Recogniser:
    """Return the recogniser of a max-pooling over so many axes."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind(
            "input", "kernel_size", stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
        )
        if bound["return_indices"]:
            raise call.refuse("indices into a whole image mean nothing in a tile", "use return_indices=False")
        return MaxPooling(source=call.map_of(bound["input"]), windows=pooling_windows(call, bound, num_axes))

    return recognise


def average_pooling(num_axes: int) -> Recogniser:
    """Return the recogniser of an average-pooling over so many axes."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind(
            "input", "kernel_size", stride=None, padding=0, ceil_mode=False, count_include_pad=True,
            divisor_override=None,
        )  # fmt: skip
        divisor = bound["divisor_override"]
        if divisor is None and call.any_map_of(bound["input"]).seen is not None:
            return over_channels_alone(call, bound, num_axes)
        return AveragePooling(
            source=call.map_of(bound["input"]), windows=pooling_windows(call, bound, num_axes),
            count_include_pad=bool(bound["count_include_pad"]), divisor=divisor if isinstance(divisor, int) else None,
        )  # fmt: skip

    return recognise


def power_pooling(num_axes: int) -> Recogniser:
    """Return the recogniser of a pooling by p-norm over so many axes."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", "norm_type", "kernel_size", stride=None, ceil_mode=False)
        power = bound["norm_type"]
        if not isinstance(power, int | float) or not power > 0:
            raise call.refuse(f"its norm_type is {power!r}", "give a number above 0, such as 2")
        windows = pooling_windows(call, {**bound, "padding": 0}, num_axes)
        return PowerPooling(
            source=call.map_of(bound["input"]), windows=windows, count_include_pad=True, divisor=None, power=power
        )

    return recognise


def padding(call: Call) -> Recognised:
    """Recognise ``F.pad`` over space; the innermost axis comes first in its list, as PyTorch has it."""
    bound = call.bind("input", "pad", mode="constant", value=None)
    amounts, ref = bound["pad"], call.any_map_of(bound["input"])
    if not isinstance(amounts, tuple | list) or not all(isinstance(item, int) for item in amounts):
        raise call.refuse("its widths are not plain integers", "give plain integers")
    if ref.seen is not None or (call.num_axes is not None and len(amounts) > 2 * call.num_axes):
        return padded_channels(call, ref, tuple(amounts), bound)
    pairs = list(zip(amounts[0::2], amounts[1::2], strict=True))[::-1]
    source, mode, value = ref, bound["mode"], bound["value"]
    if mode == "constant":
        windows = tuple(Window(before=before, after=after) for before, after in pairs)
        return ConstantPadding(
            source=source, windows=windows, value=float(value) if isinstance(value, int | float) else 0.0
        )
    if mode in ("reflect", "replicate") and min(amounts, default=0) >= 0:
        exact_mode: Literal["reflect", "replicate"] = "reflect" if mode == "reflect" else "replicate"
        mirrors = tuple(Mirror(before=before, after=after, mode=exact_mode) for before, after in pairs)
        return MirrorPadding(source=source, mirrors=mirrors)
    raise call.refuse(f"{mode} padding joins far ends of the image", "use zero, reflect or replicate padding")


def padded_channels(call: Call, ref: NodeRef, amounts: tuple[int, ...], bound: dict[str, Argument]) -> Recognised:
    """Recognise ``F.pad`` of channels, as in shortcuts to more of them, of space too where the map lies as it does."""
    axes = axes_of(call, ref)
    pairs = list(zip(amounts[0::2], amounts[1::2], strict=True))
    of_space = tuple(n for axis, pair in zip(axes[::-1], pairs, strict=False) if axis > 0 for n in pair)
    others = {axis for axis, pair in zip(axes[::-1], pairs, strict=False) if axis <= 0 and any(pair)}
    if bound["mode"] != "constant" or len(pairs) > len(axes) or SAMPLES in others:
        raise call.refuse("it pads samples, or channels with something else than a constant", "pad space only")
    more = {} if bound["value"] is None else {"value": bound["value"]}
    if any(of_space):
        alone = replace(call, args=(call.map_of(ref), of_space), kwargs=more)
        ref = call.append(alone, padding(alone))  # type: ignore[arg-type]
    alone = replace(call, args=(ref,), kwargs={})
    own = (pair if axis < 0 else (0, 0) for axis, pair in zip(axes[::-1], pairs, strict=False))
    of_channels = tuple(amount for pair in own for amount in pair)
    return placewise(alone, F.pad, (ref, of_channels), dict(more)) if others else ref


def over_channels_alone(call: Call, bound: dict[str, Argument], num_axes: int) -> Recognised:
    """Recognise an average over neighbouring channels, as PyTorch's local response norm takes it."""
    ref = call.any_map_of(bound["input"])
    kernel = per_axis(bound["kernel_size"], num_axes, call)
    stride = kernel if bound["stride"] in (None, [], ()) else per_axis(bound["stride"], num_axes, call)
    pad = per_axis(bound["padding"], num_axes, call)
    axes = axes_of(call, ref)
    of_space = [numbers for axis, *numbers in zip(axes[-num_axes:], kernel, stride, pad, strict=True) if axis >= 0]
    if len(axes) != num_axes + 2 or any(numbers != [1, 1, 0] for numbers in of_space):
        call.map_of(ref)  # refuses
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[num_axes - 1]
    more = {name: bound[name] for name in ("ceil_mode", "count_include_pad")}
    return placewise(call, function, (ref, kernel, stride, pad), more)


def patchwise(module: Patchwise) -> Recogniser:
    """Return the recogniser of a module called on patches."""

    def recognise(call: Call) -> Recognised:
        for path in module.mixing():
            raise call.refuse(f"batch norm in its '{path}' looks at several patches at once", "call eval() on it")
        inside = module.module
        names = tuple(module_weights(inside))
        place = f"{call.path}.module." if call.path else "module."
        return PatchOperation(
            source=call.map_of(call.args[0]), module=inside, names=names,
            tensors=tuple(call.named(place + name) for name in names), windows=module.windows,
            per_call=module.patches_per_call, path=call.path, seen=[],
        )  # fmt: skip

    return recognise


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of window functions, by the function found in the code."""
    table: dict[object, Recogniser] = {F.pad: padding, torch._C._nn.pad: padding}
    for num_axes in (1, 2, 3):
        table[getattr(F, f"conv{num_axes}d")] = convolution(num_axes)
        table[getattr(torch, f"conv{num_axes}d")] = convolution(num_axes)
        table[getattr(F, f"max_pool{num_axes}d")] = max_pooling(num_axes)
        table[getattr(torch, f"max_pool{num_axes}d")] = max_pooling(num_axes)
        table[getattr(F, f"avg_pool{num_axes}d")] = average_pooling(num_axes)
        table[getattr(F, f"lp_pool{num_axes}d")] = power_pooling(num_axes)
    return table


def window_axes(operation: object) -> int | None:
    """Return over how many axes an operation works; None where it works over any number."""
    if isinstance(operation, Dropout):
        return operation.num_axes
    if isinstance(operation, Convolution | MaxPooling | AveragePooling | PatchOperation):
        return len(operation.windows)
    if isinstance(operation, TransposedConvolution):
        return len(operation.axes)
    if isinstance(operation, Interpolation):
        return operation.num_axes
    return 2 if isinstance(operation, PixelShuffle) else None
