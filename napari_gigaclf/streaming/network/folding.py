"""Eval-mode batch norm is arithmetic on weights: scale and shift go into the convolution before it.

    norm(conv(x; W, b)) = conv(x; W s, (b - mean) s + beta),    s = gamma / sqrt(var + eps)

The folded weights are computed once per pass from the module's present tensors, and gradients flow back through this
formula to W, b, gamma and beta, so that training sees nothing but a place-by-place pass less over every map.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.graph import Graph, Node, renumbered
from napari_gigaclf.streaming.network.operations import Argument, Convolution, NodeRef, Pointwise, TensorRef, replaced
from napari_gigaclf.streaming.network.spaceless import ComputedTensor, Constant, with_moved


def folded_weight(weight: Tensor, variance: Tensor, gamma: Tensor | None, eps: float) -> Tensor:
    """Return W s, output channels first."""
    scale = _scale(variance, gamma, eps)
    return weight * scale.to(weight.dtype).reshape(-1, *(1,) * (weight.ndim - 1))


def folded_bias(
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    eps: float,
    like: Tensor,
) -> Tensor:
    """Return (b - mean) s + beta."""
    centred = -mean if bias is None else bias - mean
    shifted = centred * _scale(variance, gamma, eps)
    return (shifted if beta is None else shifted + beta).to(like.dtype)


def _scale(variance: Tensor, gamma: Tensor | None, eps: float) -> Tensor:
    scale = torch.rsqrt(variance + eps)
    return scale if gamma is None else gamma * scale


def fold_batch_norms(graph: Graph) -> Graph:
    """Return the graph with every batch norm that is the one reader of a convolution folded into it."""
    readers = graph.consumers()
    constants: list[Constant] = list(graph.constants)
    nodes: list[Node] = []
    number: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        folded = _folded(graph, index, readers, constants)
        if folded is None:
            number[index] = len(nodes)
            nodes.append(renumbered(node, number))
        else:
            before = number[node.inputs[0]]
            conv = nodes[before].operation
            assert isinstance(conv, Convolution)
            nodes[before] = replace(nodes[before], operation=replace(folded, source=conv.source))
            number[index] = before
    moved = tuple(with_moved(constant, lambda ref: ref, number) for constant in constants)
    result = replaced(
        graph.result, lambda ref: replace(ref, index=number[ref.index]) if isinstance(ref, NodeRef) else ref
    )
    return replace(graph, nodes=tuple(nodes), constants=moved, result=result)


def _folded(graph: Graph, index: int, readers: list[list[int]], constants: list[Constant]) -> Convolution | None:
    """Return the convolution that stands for a batch norm and its input; None where that cannot be."""
    operation = graph.nodes[index].operation
    if not isinstance(operation, Pointwise) or operation.function is not F.batch_norm:
        return None
    source, mean, variance, gamma, beta, _, _, eps = operation.args
    assert isinstance(source, NodeRef)
    conv = graph.nodes[source.index].operation
    tensors: tuple[Argument, ...] = (mean, variance, gamma, beta)
    if not isinstance(conv, Convolution) or len(readers[source.index]) != 1 or source.index in graph.outputs:
        return None
    if source.index in graph.observed:
        return None
    if not all(isinstance(item, TensorRef | None) for item in tensors):
        return None
    weight = ComputedTensor(function=folded_weight, args=(conv.weight, variance, gamma, eps), kwargs={})
    bias = ComputedTensor(
        function=folded_bias, args=(conv.bias, mean, variance, gamma, beta, eps, conv.weight), kwargs={}
    )
    constants += [weight, bias]
    return replace(conv, weight=TensorRef(len(constants) - 2), bias=TensorRef(len(constants) - 1))
