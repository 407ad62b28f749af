"""Cases that other streaming engines get wrong without a word: here each equals the untiled network.

The list was found by probing lightstream 1.0.6 with small networks in float64.
"""

import pytest
import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements


class ChannelsLast(nn.Module):
    """Layer norm and linear layers over channels, as in ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3, padding=1), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(self.norm(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def trunk(*more):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1), *more, nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3, padding=1),
    )  # fmt: skip


def batch_norm():
    norm = nn.BatchNorm2d(4)
    norm.running_mean.uniform_(-1, 1)
    return norm


CASES = {
    "image minus tile is no multiple of the stride": (trunk(), (1, 3, 61, 67), (24, 24)),
    "bias gradients at a batch above 1": (trunk(), (3, 3, 40, 40), (16, 16)),
    "batch norm's weight and bias": (trunk(batch_norm()), (2, 3, 45, 39), (16, 16)),
    "layer norm's and linear weights": (ChannelsLast(), (2, 3, 25, 31), (8, 8)),
    "reflect padding": (nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7)), (1, 3, 30, 33), (8, 8)),
    "reflect padding of a convolution": (nn.Conv2d(3, 4, 5, padding=2, padding_mode="reflect"), (1, 3, 30, 33), (8, 8)),
    "input gradient along the seams": (trunk(), (1, 3, 64, 64), (8, 8)),
    "dilation": (nn.Sequential(nn.Conv2d(3, 4, 3, dilation=4), nn.Conv2d(4, 2, 3, dilation=2)), (1, 3, 40, 41), (9, 9)),
    "kernels that are not square": (
        nn.Sequential(nn.Conv2d(3, 4, (1, 7), padding=(0, 3)), nn.Conv2d(4, 2, (5, 2), (2, 1))), (1, 3, 33, 30), (9, 9),
    ),
    "ceil_mode": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True)), (1, 3, 32, 35), (9, 9)),
    "one input channel": (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), (1, 1, 30, 31), (9, 9)),
    "tiles below the receptive field": (
        nn.Sequential(*(nn.Conv2d(3, 3, 7, padding=3) for _ in range(6))), (1, 3, 50, 41), (5, 5)
    ),
    "tiles that are not square": (trunk(), (1, 3, 50, 61), (8, 33)),
    "group norm": (trunk(nn.GroupNorm(2, 4)), (2, 3, 41, 45), (16, 16)),
    "instance norm": (trunk(nn.Tanh(), nn.InstanceNorm2d(4, affine=True)), (2, 3, 41, 45), (16, 16)),
    "up-sampling": (trunk(nn.Upsample(scale_factor=2, mode="bilinear")), (1, 3, 41, 45), (16, 16)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_equals_untiled(name):
    module, shape, tile = CASES[name]
    module = module.double().eval()
    image = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert disagreements(answer(module, image), answer(stream(module, tile=tile), image)) == {}
