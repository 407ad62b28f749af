"""A trial on one colour: what only values tell (channels, types, shapes of what is computed from statistics)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.layouts import BY_CHANNEL, constant_fits
from napari_gigaclf.streaming.network.arrangements import SAMPLES, own_axes
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Pointwise, TensorRef, references
from napari_gigaclf.streaming.network.spaceless import ComputedTensor, Spaceless


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a trial tells."""

    responses: list[Tensor]
    """Every map's response, (batch, channels, 1, ..., 1)."""
    vector_macs: int
    """Multiply-accumulates of what is computed from statistics."""
    vector_shapes: tuple[tuple[int, ...], ...]
    """Of the tensors without space that are returned."""


def trial_run(graph: Graph, value: Tensor, weights: Mapping[str, Tensor], num_axes: int) -> Trial:
    """Run a network on an image of one colour.

    Parameters
    ----------
    graph
        The network.
    value
        The colour, (batch, channels).
    weights
        The module's parameters and buffers, by name.
    num_axes
        Spatial axes.

    Raises
    ------
    UnsupportedOperation
        If what is computed from statistics is joined with a map as if it differed from place to place.
    """
    responses, tensors = graph.trial(value, weights, num_axes)
    for node in graph.nodes:
        operation = node.operation
        if not isinstance(operation, Pointwise) or operation.function in BY_CHANNEL:
            continue
        for index in node.tensors:
            found = tensors[index]
            if graph.depths[1][index] and isinstance(found, Tensor) and not _fits(found, operation, num_axes):
                raise UnsupportedOperation(
                    f"cannot stream {node.kind} in '{node.name}': it joins a map with a statistic of shape "
                    f"{tuple(found.shape)}, which would differ from place to place; give it the shape (batch, "
                    f"channels{', 1' * num_axes})"
                )
    shapes = [tuple(tensors[ref.index].shape) for ref in references(graph.result) if isinstance(ref, TensorRef)]
    macs = sum(_macs(graph, tensors, i) for i, depth in enumerate(graph.depths[1]) if depth)
    return Trial(responses=responses, vector_macs=macs, vector_shapes=tuple(dict.fromkeys(shapes)))


def _fits(found: Tensor, operation: Pointwise, num_axes: int) -> bool:
    """Return whether a tensor differs only from sample to sample and channel to channel."""
    axes = own_axes(num_axes) if operation.seen is None else operation.seen.axes
    one = found.narrow(axes.index(SAMPLES), 0, 1) if found.ndim == len(axes) else found
    return constant_fits(torch.empty(one.shape, device="meta"), operation.seen, num_axes)


def _macs(graph: Graph, tensors: Spaceless, index: int) -> int:
    """Return the multiply-accumulates of a linear layer or convolution on statistics."""
    constant = graph.constants[index]
    counted = (F.linear, F.conv1d, F.conv2d, F.conv3d)
    if not isinstance(constant, ComputedTensor) or constant.function not in counted or index not in tensors.known:
        return 0
    given = {**dict(zip(("input", "weight"), constant.args, strict=False)), **constant.kwargs}
    weight = tensors[given["weight"].index]  # type: ignore[attr-defined]
    outputs = tensors[index].numel()
    return int(outputs // weight.shape[0] * weight.numel())
