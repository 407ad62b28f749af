"""Functions that look at a whole map at once: means, sums and maxima over space, and norms made from them.

Each becomes statistics of a map (:mod:`..network.statistics`), which are streamed, and arithmetic on them.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.capture.calls import Call, Recognised, Recogniser
from napari_gigaclf.streaming.capture.layouts import axis_at, place_of, placewise
from napari_gigaclf.streaming.network import norms
from napari_gigaclf.streaming.network.arrangements import Arrangement
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, Pointwise, TensorRef
from napari_gigaclf.streaming.network.spaceless import ComputedTensor
from napari_gigaclf.streaming.network.statistics import Kind, Statistic

KINDS: dict[str, Kind] = {"mean": "mean", "sum": "sum", "amax": "amax"}
"""Reductions over space, by the function's name."""


def with_space(value: Tensor, num_axes: int) -> Tensor:
    """Return (batch, channels) values as (batch, channels, 1, ..., 1)."""
    return value.reshape(*value.shape, *(1,) * num_axes)


def statistic(call: Call, node: NodeRef, kind: Kind, *, precise: bool = False) -> TensorRef:
    """Add a statistic of a map."""
    return call.add(Statistic(node=node.index, kind=kind, precise=precise))


def computed(call: Call, function: object, *args: Argument) -> TensorRef:
    """Add a tensor computed from others."""
    return call.add(ComputedTensor(function=function, args=args, kwargs={}))  # type: ignore[arg-type]


def reduced(call: Call, source: NodeRef, name: str, axes: Sequence[int], keepdim: bool) -> TensorRef:
    """Return the statistic for a reduction over these axes, which have to be all of space."""
    if name not in KINDS:
        raise call.refuse(f"{name} over space is not known", "use mean, sum or amax")
    call.claim_space(call, axes)
    found = statistic(call, source, KINDS[name])
    return computed(call, with_space, found, len(axes)) if keepdim else found


def seen_space(call: Call, source: Argument, axes: Argument) -> NodeRef | None:
    """Return the map if these are all its axes of space as the code sees them, permuted or with channels split."""
    if not isinstance(source, NodeRef) or source.seen is None:
        return None
    listed = axes if isinstance(axes, tuple | list) else (axes,)
    if not all(type(axis) is int for axis in listed):
        return None
    found = [axis_at(place_of(axis, source.seen, call), source.seen) for axis in listed]
    return source if found and set(found) == {axis for axis in source.seen.axes if axis > 0} else None


def reduced_as_seen(call: Call, source: NodeRef, name: str, keepdim: bool) -> TensorRef:
    """Return the statistic for a reduction over all of space of a map whose axes the code sees otherwise."""
    if name not in KINDS or source.seen is None:
        raise call.refuse(f"{name} over space is not known", "use mean, sum or amax")
    return computed(call, as_seen, statistic(call, source, KINDS[name]), source.seen, keepdim)


def as_seen(value: Tensor, seen: Arrangement, keepdim: bool) -> Tensor:
    """Return (batch, channels) values with the axes that the code sees, those of space of length 1 or left out."""
    space = tuple(place for place, axis in enumerate(seen.axes) if axis > 0)
    found = seen.shown(with_space(value, len(space)))
    return found if keepdim else found.squeeze(space)


def norm_over_space(call: Call, source: NodeRef, axes: Argument, keepdim: bool) -> TensorRef | None:
    """Return the Euclidean norm over all of space; None where the axes are others."""
    plain = over_space(axes, call.num_axes) if source.seen is None else None
    if plain is None and seen_space(call, source, axes) is None:
        return None
    alone = replace(call, args=(source,), kwargs={})
    squares = call.append(alone, placewise(alone, torch.square, (source,)))
    total = (
        reduced_as_seen(call, squares, "sum", keepdim)
        if plain is None
        else reduced(call, squares, "sum", plain, keepdim)
    )
    return computed(call, root, total)


def root(total: Tensor) -> Tensor:
    """Return the square root, with a gradient of zero at zero, as norms have it."""
    some = total > 0
    return torch.where(some, torch.where(some, total, 1).sqrt(), 0)


def adaptive_pooling(kind: Kind, num_axes: int) -> Recogniser:
    """Return the recogniser of adaptive pooling to one cell."""

    def recognise(call: Call) -> Recognised:
        bound = call.bind("input", "output_size", return_indices=False)
        size = bound["output_size"]
        if size not in (1, (1,) * num_axes, [1] * num_axes, (1,), [1]) or bound["return_indices"]:
            raise call.refuse(
                f"adaptive pooling to {size} cells needs windows that depend on the image's size",
                "pool to one cell, use pooling with a fixed kernel, or keep it outside the streamed module",
            )
        source = call.map_of(bound["input"])
        call.claim_space(call, range(2, 2 + num_axes))
        return computed(call, with_space, statistic(call, source, kind), num_axes)

    return recognise


def over_space(axes: Argument, num_axes: int | None) -> tuple[int, ...] | None:
    """Return the axes of a reduction that is not over samples or channels; None for others."""
    found = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
    if not found or not all(type(axis) is int for axis in found):
        return None
    rank = (num_axes or len(found)) + 2
    if not all(-rank <= axis < rank and axis % rank >= 2 for axis in found):
        return None
    return found


def expanded(call: Call) -> Recognised:
    """Recognise a statistic expanded to a map's shape, which joining it with the map does anyway; or a narrower map."""
    bound = call.bind("input", "other")
    if isinstance(bound["input"], NodeRef) and isinstance(bound["other"], NodeRef):
        return placewise(call, Tensor.expand_as, (bound["input"], bound["other"]))
    if not isinstance(bound["input"], TensorRef):
        raise call.refuse("it expands a map", "expand only what has one value per sample and channel")
    return bound["input"]


def moments(call: Call, source: NodeRef) -> tuple[TensorRef, TensorRef, TensorRef]:
    """Add mean, centred variance and number of positions of a map."""
    mean = statistic(call, source, "mean", precise=True)
    return mean, statistic(call, source, "variance", precise=True), statistic(call, source, "count", precise=True)


def group_norm(call: Call) -> Recognised:
    """Recognise group norm."""
    bound = call.bind("input", "num_groups", weight=None, bias=None, eps=1e-5)
    source = call.map_of(bound["input"])
    mean, variance, count = moments(call, source)
    spread = computed(call, norms.group_variance, mean, variance, count, bound["num_groups"])
    factor = computed(call, norms.scale, spread, bound["weight"], bound["eps"])
    middle = computed(call, norms.group_mean, mean, bound["num_groups"])
    return Pointwise(function=norms.normalised, args=(source, middle, factor, bound["bias"]), kwargs={})


def instance_norm(call: Call) -> Recognised:
    """Recognise instance norm; with fixed statistics it is batch norm in eval mode."""
    bound = call.bind(
        "input", running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
        eps=1e-5,
    )  # fmt: skip
    source = call.map_of(bound["input"])
    names = ("running_mean", "running_var", "weight", "bias")
    if not bound["use_input_stats"]:
        fixed = (source, *(bound[name] for name in names), False, 0.0, bound["eps"])
        return Pointwise(function=F.batch_norm, args=fixed, kwargs={})
    mean, variance, count = moments(call, source)
    spread = computed(call, norms.instance_variance, variance, count)
    if bound["running_mean"] is not None or bound["running_var"] is not None:
        buffers = (bound["running_mean"], bound["running_var"], None, bound["momentum"])
        call.update(computed(call, norms.update_running, *buffers, mean, spread, count, False))
    factor = computed(call, norms.scale, spread, bound["weight"], bound["eps"])
    return Pointwise(function=norms.normalised, args=(source, mean, factor, bound["bias"]), kwargs={})


def batch_norm_training(call: Call, bound: dict[str, Argument]) -> Recognised:
    """Recognise batch norm with the statistics of the batch at hand."""
    source = call.map_of(bound["input"])
    mean, variance, count = moments(call, source)
    middle = computed(call, norms.batch_mean, mean)
    spread = computed(call, norms.batch_variance, mean, variance, count)
    if bound["running_mean"] is not None or bound["running_var"] is not None:
        names = ("running_mean", "running_var", "num_batches_tracked", "momentum")
        buffers = (bound[name] for name in names)
        call.update(computed(call, norms.update_running, *buffers, middle, spread, count, True))
    factor = computed(call, norms.scale, spread, bound["weight"], bound["eps"])
    return Pointwise(function=norms.normalised, args=(source, middle, factor, bound["bias"]), kwargs={})


def function_table() -> dict[object, Recogniser]:
    """Return the recognisers of functions over whole maps, by the function found in the code."""
    table: dict[object, Recogniser] = {F.group_norm: group_norm, F.instance_norm: instance_norm}
    for num_axes in (1, 2, 3):
        table[getattr(F, f"adaptive_avg_pool{num_axes}d")] = adaptive_pooling("mean", num_axes)
        table[getattr(F, f"adaptive_max_pool{num_axes}d")] = adaptive_pooling("max", num_axes)
    return table
