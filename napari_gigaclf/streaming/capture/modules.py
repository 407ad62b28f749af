"""PyTorch's own modules, each with the function it stands for.

A module the engine knows is turned into the call of a function (``nn.Conv2d`` into ``F.conv2d``), so that there is one
recogniser for both. Heirs that keep ``forward`` count as their parent; heirs that replace it are followed inside.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_gigaclf.streaming.capture import pointwise, random, upsampling
from napari_gigaclf.streaming.network.operations import Argument


def keeps_forward(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a module is of this kind and has not replaced what it computes."""
    names = ("forward", "_conv_forward") if hasattr(kind, "_conv_forward") else ("forward",)
    return isinstance(module, kind) and all(
        getattr(type(module), name) is getattr(kind, name) and name not in module.__dict__ for name in names
    )


ModuleCall = tuple[object, dict[str, Argument]]
"""The function a module stands for and its arguments, where a string starting with '.' names its own tensor."""


def conv_call(module: nn.modules.conv._ConvNd) -> dict[str, Argument]:
    """Return a convolution module's arguments; padding other than zeros is dealt with before."""
    return {
        "weight": ".weight", "bias": ".bias" if module.bias is not None else None, "stride": module.stride,
        "padding": module.padding if module.padding_mode == "zeros" else 0, "dilation": module.dilation,
        "groups": module.groups,
    }  # fmt: skip


def batch_norm_call(module: nn.modules.batchnorm._BatchNorm) -> dict[str, Argument]:
    """Return a batch norm module's arguments."""
    training = module.training or (module.running_mean is None and module.running_var is None)
    own = ["weight", "bias"]
    if not module.training or module.track_running_stats:
        own += ["running_mean", "running_var", *(("num_batches_tracked",) if module.training else ())]
    present = {name: f".{name}" for name in own if getattr(module, name) is not None}
    more: dict[str, Argument] = (
        {"momentum": "average" if module.momentum is None else module.momentum} if module.training else {}
    )
    return {"running_mean": None, "running_var": None, **present, "training": training, "eps": module.eps, **more}


def instance_norm_call(module: nn.modules.instancenorm._InstanceNorm) -> dict[str, Argument]:
    """Return an instance norm module's arguments."""
    own = ("running_mean", "running_var", "weight", "bias")
    return {
        **{name: f".{name}" for name in own if getattr(module, name) is not None},
        "use_input_stats": module.training or not module.track_running_stats,
        "momentum": 0.0 if module.momentum is None else module.momentum, "eps": module.eps,
    }  # fmt: skip


def group_norm_call(module: nn.GroupNorm) -> dict[str, Argument]:
    """Return a group norm module's arguments."""
    own = {name: f".{name}" for name in ("weight", "bias") if getattr(module, name) is not None}
    return {"num_groups": module.num_groups, "eps": module.eps, **own}


def adaptive_pool_call(module: nn.Module) -> dict[str, Argument]:
    """Return an adaptive pooling module's arguments."""
    return {"output_size": module.output_size, "return_indices": getattr(module, "return_indices", False)}


def channel_norm_call(module: nn.LayerNorm | nn.RMSNorm, names: tuple[str, ...]) -> dict[str, Argument]:
    """Return a layer norm's arguments."""
    own = {name: f".{name}" if getattr(module, name) is not None else None for name in names}
    return {"normalized_shape": module.normalized_shape, "eps": module.eps, **own}


def pool_call(module: nn.Module) -> dict[str, Argument]:
    """Return a pooling module's arguments."""
    names = (
        "norm_type",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "ceil_mode",
        "return_indices",
        "count_include_pad",
        "divisor_override",
    )
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


def pad_call(module: nn.Module) -> dict[str, Argument]:
    """Return a padding module's arguments."""
    mode = {"Ref": "reflect", "Rep": "replicate", "Cir": "circular"}.get(type(module).__name__[:3], "constant")
    for kind, name in (
        (nn.modules.padding._ReflectionPadNd, "reflect"),
        (nn.modules.padding._ReplicationPadNd, "replicate"),
    ):
        mode = name if isinstance(module, kind) else mode
    return {"pad": module.padding, "mode": mode, "value": getattr(module, "value", 0.0)}


@cache
def module_table() -> dict[type[nn.Module], tuple[object, Callable[..., dict[str, Argument]]]]:
    """Return for each known module class the function it stands for and how its arguments are read."""
    table: dict[type[nn.Module], tuple[object, Callable[..., dict[str, Argument]]]] = {}
    for n in (1, 2, 3):
        table[getattr(nn, f"Conv{n}d")] = (getattr(F, f"conv{n}d"), conv_call)
        table[getattr(nn, f"BatchNorm{n}d")] = (F.batch_norm, batch_norm_call)
        table[getattr(nn, f"InstanceNorm{n}d")] = (F.instance_norm, instance_norm_call)
        table[getattr(nn, f"AdaptiveAvgPool{n}d")] = (getattr(F, f"adaptive_avg_pool{n}d"), adaptive_pool_call)
        table[getattr(nn, f"AdaptiveMaxPool{n}d")] = (getattr(F, f"adaptive_max_pool{n}d"), adaptive_pool_call)
        table[getattr(nn, f"MaxPool{n}d")] = (getattr(F, f"max_pool{n}d"), pool_call)
        table[getattr(nn, f"AvgPool{n}d")] = (getattr(F, f"avg_pool{n}d"), pool_call)
        table[getattr(nn, f"LPPool{n}d")] = (getattr(F, f"lp_pool{n}d"), pool_call)
        for name in ("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
            table[getattr(nn, f"{name}{n}d")] = (F.pad, pad_call)
        table[getattr(nn, f"Dropout{n}d")] = (getattr(F, f"dropout{n}d"), lambda m: {"p": m.p, "training": m.training})
    table[nn.Dropout] = (F.dropout, lambda m: {"p": m.p, "training": m.training})
    for kind in (nn.AlphaDropout, nn.FeatureAlphaDropout):
        table[kind] = (F.alpha_dropout, lambda m: {"p": m.p, "training": m.training})
    table[nn.SyncBatchNorm] = (F.batch_norm, batch_norm_call)
    table[nn.GroupNorm] = (F.group_norm, group_norm_call)
    table[nn.PReLU] = (F.prelu, lambda m: {"weight": ".weight"})
    table[nn.RReLU] = (F.rrelu, lambda m: {"lower": m.lower, "upper": m.upper, "training": m.training})
    table[nn.LocalResponseNorm] = (
        F.local_response_norm, lambda m: {"size": m.size, "alpha": m.alpha, "beta": m.beta, "k": m.k},
    )  # fmt: skip
    table[nn.ReLU] = (F.relu, lambda m: {})
    table[nn.Identity] = (nn.Identity, lambda m: {})
    table[nn.Softmax] = (F.softmax, lambda m: {"dim": m.dim})
    table[nn.Softmin] = (F.softmin, lambda m: {"dim": m.dim})
    table[nn.LogSoftmax] = (F.log_softmax, lambda m: {"dim": m.dim})
    table[nn.GLU] = (F.glu, lambda m: {"dim": m.dim})
    for norm, function, names in (
        (nn.LayerNorm, F.layer_norm, ("weight", "bias")),
        (nn.RMSNorm, F.rms_norm, ("weight",)),
    ):
        table[norm] = (function, partial(channel_norm_call, names=names))
    table[nn.Linear] = (F.linear, lambda m: {"weight": ".weight", "bias": ".bias" if m.bias is not None else None})
    table[nn.ChannelShuffle] = (torch.channel_shuffle, lambda m: {"groups": m.groups})
    table[nn.Softmax2d] = (F.softmax, lambda m: {"dim": 1})
    table.update(upsampling.MODULES)
    return table


def module_call(module: nn.Module) -> ModuleCall | None:
    """Return what a known module computes, as a function and its arguments; None for other modules."""
    if isinstance(module, nn.SyncBatchNorm) and module.training:
        return None  # its statistics are those of all processes
    for kind, (function, arguments) in module_table().items():
        if keeps_forward(module, kind):
            return function, arguments(module)
    for kind in pointwise.ACTIVATION_MODULES:
        if keeps_forward(module, kind):
            return pointwise.elementwise, {}
    depth = random.stochastic_depth_call(module)
    return None if depth is None else (random.drop_path, depth)


def plain_activation(module: nn.Module) -> Callable[..., Tensor]:
    """Return an activation module's forward as a function that overwrites nothing."""
    if not getattr(module, "inplace", False):
        return module.forward
    copy = type(module).__new__(type(module))
    copy.__dict__.update(module.__dict__, inplace=False)
    return copy.forward
