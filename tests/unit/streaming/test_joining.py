"""Blocks are written once: what is rectified, joined with borders and framed with padding is not copied in between."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements

WRITERS = {"copy_", "clamp_min", "relu", "relu_", "fill_", "constant_pad_nd", "clone"}


class Written(TorchDispatchMode):
    """Counts the numbers that are written by anything but arithmetic."""

    def __init__(self, channels):
        super().__init__()
        self.channels, self.count = channels, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in WRITERS and found.ndim == 4 and found.shape[1] == self.channels:
            self.count += found.numel()
        return found


def between_two(middle, channels=8):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), middle, nn.Conv2d(channels, 4, 3, padding=1)).double()


@pytest.mark.parametrize("side", [64, 96])
def test_a_rectified_map_is_written_once_wherever_the_tile_lies(side):
    module, image = between_two(nn.ReLU()), torch.rand(1, 3, 192, 192, dtype=torch.float64)
    streamed = stream(module, tile=side)
    with torch.no_grad(), Written(8) as written:
        streamed(image)
    assert written.count < 1.2 * 8 * 192 * 192  # once, and the borders that are handed on and taken


def test_a_map_before_pooling_is_framed_as_it_is_joined():
    module, image = between_two(nn.MaxPool2d(3, 2, padding=1)), torch.rand(1, 3, 192, 192, dtype=torch.float64)
    with torch.no_grad(), Written(8) as written:
        stream(module, tile=64)(image)
    assert written.count < 1.2 * 8 * 192 * 192 * 1.25  # the map, and the pooled one


class Both(nn.Module):
    """One map, read by a convolution with zeros around, a pooling with nothing around, and a sum."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.last = nn.Conv2d(6, 6, 5, padding=2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.last(x) + self.pool(x) + x


class Returned(Both):
    """The rectified map goes into the result as it is, too."""

    def forward(self, x):
        x = torch.relu(self.first(x))
        return torch.cat([self.last(x), x], 1)


@pytest.mark.parametrize("network", [Both, Returned])
@pytest.mark.parametrize("shape", [(1, 3, 23, 31), (2, 3, 8, 9), (1, 3, 1, 17)])
def test_readers_that_see_different_borders_agree_with_the_untiled_network(network, shape):
    torch.manual_seed(0)
    module, image = network().double(), torch.randn(shape, dtype=torch.float64)
    image.view(-1)[::7] = 0
    assert disagreements(answer(module, image), answer(stream(module, tile=8), image)) == {}


def test_not_a_number_passes_the_rectifier_both_ways():
    module, image = between_two(nn.ReLU()), torch.rand(1, 3, 40, 40, dtype=torch.float64)
    image[0, 0, 15, 16] = float("nan")
    expected, found = module(image), stream(module, tile=16)(image)
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=0, atol=1e-12)
    expected.nansum().backward()
    gradient = module[0].weight.grad.clone()
    module.zero_grad()
    found.nansum().backward()
    torch.testing.assert_close(module[0].weight.grad, gradient, equal_nan=True, rtol=0, atol=1e-9)
