"""Under autocast, the weights of convolutions are rounded once per pass, not once per tile.

PyTorch's autocast rounds a float32 weight whenever a convolution takes it in, and remembers that only within one
``with`` block and only for parameters themselves. In tiles the same rounding would be done, and undone in the backward
pass, many times. The numbers are the same; a tile's weight gradient arrives in half precision, as from PyTorch's
convolution, and tiles are summed in float32.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Convolution
from napari_gigaclf.streaming.network.transposed import TransposedConvolution


def rounded_weights(graph: Graph, tensors: Sequence[Any], device: torch.device) -> list[Any]:
    """Return the tensors without space as the tiles take them in under the present autocast state.

    Parameters
    ----------
    graph
        The network.
    tensors
        Its tensors without space.
    device
        Where the tiles run.
    """
    if not torch.is_autocast_enabled(device.type):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device.type)
    convolved, otherwise = set[int](), set[int]()
    for node in graph.nodes:
        is_convolution = isinstance(node.operation, Convolution | TransposedConvolution)
        (convolved if is_convolution else otherwise).update(node.tensors)
    return [
        tensor.to(dtype) if index in convolved - otherwise and _is_single(tensor) else tensor
        for index, tensor in enumerate(tensors)
    ]


def _is_single(value: object) -> bool:
    """Return whether autocast would round it: it leaves double precision alone."""
    return isinstance(value, Tensor) and value.dtype == torch.float32
