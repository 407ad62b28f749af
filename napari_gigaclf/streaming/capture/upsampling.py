"""Functions that make maps finer: interpolation, transposed convolution, pixel shuffle."""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser, per_axis
from napari_gigaclf.streaming.network.operations import Argument, TensorRef
from napari_gigaclf.streaming.network.resampling import Interpolation, Mode, Resample
from napari_gigaclf.streaming.network.shuffling import PixelShuffle
from napari_gigaclf.streaming.network.transposed import Transposed, TransposedConvolution

MODES: dict[str, tuple[Mode, int | None]] = {
    "nearest": ("nearest", None), "nearest-exact": ("nearest-exact", None), "linear": ("linear", 1),
    "bilinear": ("linear", 2), "trilinear": ("linear", 3), "bicubic": ("cubic", 2),
}  # fmt: skip
"""PyTorch's mode: what happens along an axis, and over how many axes (None: any)."""


def interpolation(call: Call) -> Recognised:
    """Recognise ``F.interpolate``."""
    bound = call.bind(
        "input", size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
        antialias=False,
    )  # fmt: skip
    source, name, scale = call.map_of(bound["input"]), bound["mode"], bound["scale_factor"]
    if name not in MODES:
        raise call.refuse(f"mode={name!r} is not built", f"use one of {', '.join(MODES)}, or an average-pooling")
    if bound["antialias"]:
        raise call.refuse("antialias=True is not built", "blur with a convolution, then interpolate")
    mode, num_axes = MODES[str(name)]
    corners = bool(bound["align_corners"])
    if bound["size"] is not None:
        axis = Resample(mode=mode, nominal=Fraction(1), align_corners=corners)
        return Interpolation(source=source, mode=mode, axes=(axis,), size=bound["size"], num_axes=num_axes)
    if isinstance(scale, int | float):
        scale = (scale,) * (num_axes or 1)
    if not isinstance(scale, tuple | list) or not all(isinstance(item, int | float) and item > 0 for item in scale):
        raise call.refuse("its scale_factor is not made of plain numbers", "give plain numbers, or a size")
    axes = tuple(
        Resample(
            mode=mode, scale=float(factor), nominal=(1 / Fraction(factor)).limit_denominator(1000),
            same_ratio=not bound["recompute_scale_factor"], align_corners=corners,
        ) for factor in scale
    )  # fmt: skip
    if isinstance(bound["scale_factor"], tuple | list):
        num_axes = len(scale)
    return Interpolation(source=source, mode=mode, axes=axes, size=None, num_axes=num_axes)


def transposed_convolution(num_axes: int) -> Recogniser:
    """Return the recogniser of a transposed convolution over so many axes."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind(
            "input", "weight", bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
        )  # fmt: skip
        weight, bias, groups = bound["weight"], bound["bias"], bound["groups"]
        if not isinstance(weight, TensorRef) or not isinstance(bias, TensorRef | None) or not isinstance(groups, int):
            raise call.refuse("its weight is computed from the image", "keep it outside the streamed module")
        value = call.constant(weight)
        numbers = [
            per_axis(bound[name], num_axes, call) for name in ("stride", "padding", "output_padding", "dilation")
        ]
        axes = tuple(
            Transposed(kernel=k, stride=s, padding=p, output_padding=o, dilation=d)
            for k, s, p, o, d in zip(value.shape[2:], *numbers, strict=True)
        )
        if any(rule.output_padding >= max(rule.stride, rule.dilation) for rule in axes):
            raise call.refuse(
                "its output_padding is not below stride or dilation", "PyTorch refuses it too: make it less"
            )
        return TransposedConvolution(
            source=call.map_of(bound["input"]), weight=weight, bias=bias, axes=axes, groups=groups,
            macs_per_input=value.numel(),
        )  # fmt: skip

    return recognise


def shuffle(name: str, *, inverse: bool) -> Recogniser:
    """Return the recogniser of ``pixel_shuffle`` or ``pixel_unshuffle``, whose factor has this name."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", name)
        factor = bound[name]
        if not isinstance(factor, int):
            raise call.refuse("its factor is not a plain integer", "give a plain integer")
        return PixelShuffle(source=call.map_of(bound["input"]), factor=factor, inverse=inverse)

    return recognise


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers, by the function found in the code."""
    table: dict[object, Recogniser] = {F.interpolate: interpolation}
    for num_axes in (1, 2, 3):
        name = f"conv_transpose{num_axes}d"
        table.update(dict.fromkeys((getattr(F, name), getattr(torch, name)), transposed_convolution(num_axes)))
    table.update(dict.fromkeys((F.pixel_shuffle, torch.pixel_shuffle), shuffle("upscale_factor", inverse=False)))
    table.update(dict.fromkeys((F.pixel_unshuffle, torch.pixel_unshuffle), shuffle("downscale_factor", inverse=True)))
    return table


def upsample_call(module: nn.Upsample) -> dict[str, Argument]:
    """Return an up-sampling module's arguments."""
    names = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")
    return {name: getattr(module, name) for name in names if getattr(module, name) is not None}


def transposed_call(module: nn.modules.conv._ConvTransposeNd) -> dict[str, Argument]:
    """Return a transposed convolution module's arguments."""
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    own = {"weight": ".weight", "bias": ".bias" if module.bias is not None else None}
    return {**own, **{name: getattr(module, name) for name in names}}


MODULES: dict[type[nn.Module], tuple[object, Callable[..., dict[str, Argument]]]] = {
    nn.ConvTranspose1d: (F.conv_transpose1d, transposed_call),
    nn.ConvTranspose2d: (F.conv_transpose2d, transposed_call),
    nn.ConvTranspose3d: (F.conv_transpose3d, transposed_call),
    nn.Upsample: (F.interpolate, upsample_call),
    nn.PixelShuffle: (F.pixel_shuffle, lambda m: {"upscale_factor": m.upscale_factor}),
    nn.PixelUnshuffle: (F.pixel_unshuffle, lambda m: {"downscale_factor": m.downscale_factor}),
}
"""Modules, each with the function it stands for and how its arguments are read."""
