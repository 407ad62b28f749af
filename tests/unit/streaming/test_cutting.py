"""Cutting and padding in one step: PyTorch's numbers forward and backward, in the layout of the block."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.network.cutting import cut, memory_format
from napari_gigaclf.testing.networks import ResNet18Trunk

AMOUNTS = [
    ((0, 0), (0, 0)),
    ((-2, -1), (0, -3)),
    ((1, 2), (3, 0)),
    ((-2, 1), (1, -4)),
    ((-9, 4), (1, 1)),  # wholly in what is put on
    ((4, -9), (-1, -1)),
    ((-3, -4), (0, 0)),  # nothing is left
]


def by_pytorch(block, amounts, value):
    padded = F.pad(block, [max(a, 0) for pair in reversed(amounts) for a in pair], value=value)
    for axis, (before, after) in enumerate(amounts, start=2):
        first, last = max(-before, 0), padded.shape[axis] - max(-after, 0)
        padded = padded.narrow(axis, first, last - first)
    return padded


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"])
@pytest.mark.parametrize("way", ["plain", "dense", "traced"])
@pytest.mark.parametrize("amounts", AMOUNTS)
def test_same_numbers_and_gradient_as_pytorch(amounts, way, layout):
    torch.manual_seed(0)
    block = torch.randn(2, 3, 7, 8, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    expected = by_pytorch(block, amounts, -1.5)
    found = cut(block, amounts, -1.5, dense=way == "dense", traced=way == "traced")
    assert torch.equal(found, expected)
    assert torch.equal(cut(block.detach(), amounts, -1.5), expected)
    gradient = torch.randn_like(expected)
    (one,), (two,) = (torch.autograd.grad(out, block, gradient, retain_graph=True) for out in (found, expected))
    assert torch.equal(one, two)
    if way != "traced" and found is not block:
        assert memory_format(one) == layout
    if way == "dense" and found.numel():
        assert found.is_contiguous(memory_format=layout)


def test_three_axes():
    block = torch.randn(1, 2, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    amounts = ((1, -2), (-1, 0), (2, 2))
    found = cut(block, amounts)
    assert torch.equal(found, by_pytorch(block, amounts, 0.0))
    (gradient,) = torch.autograd.grad(found.sum(), block)
    assert memory_format(gradient) == torch.channels_last_3d


class Layouts(TorchDispatchMode):
    """Notes the backward operations whose gradient lies in memory in another way than their block."""

    def __init__(self):
        super().__init__()
        self.seen, self.other = 0, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.name().split("::")[-1] in ("max_pool2d_with_indices_backward", "threshold_backward"):
            gradient, block = args[:2]
            self.seen += 1
            if gradient.shape[1] > 1 and gradient[0, 0].numel() > 1 and memory_format(gradient) != memory_format(block):
                self.other.append((function.name(), tuple(block.shape)))
        return function(*args, **(kwargs or {}))


def test_gradients_keep_channels_last_all_the_way_back():
    torch.manual_seed(0)
    net = ResNet18Trunk(8).eval().to(memory_format=torch.channels_last)
    out = stream(net, tile=128)(torch.rand(1, 3, 320, 320).contiguous(memory_format=torch.channels_last))
    with Layouts() as layouts:
        out.backward(torch.ones_like(out))
    assert layouts.seen > 50
    assert layouts.other == []
