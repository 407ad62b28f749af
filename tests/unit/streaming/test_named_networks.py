"""Networks people use, streamed and untiled: equal to rounding in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import (
    ConvNeXt,
    InceptionBlock,
    ResNet18Trunk,
    ThinDenseNet,
    paper_table1_trunk,
    paper_table2_trunk,
)
from napari_gigaclf.testing.oracle import answer, disagreements


def shaken(module: nn.Module) -> nn.Module:
    """Give batch norms statistics as after training."""
    torch.manual_seed(0)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.3)
            child.running_var.uniform_(0.5, 2)
    return module.double().eval()


class PositionalInPlace(nn.Module):
    """In-place activations in the ways people write them, with the overwritten map used again."""

    def __init__(self):
        super().__init__()
        self.conv, self.skip = nn.Conv2d(3, 4, 3, padding=1), nn.Identity()

    def forward(self, x):
        out = self.conv(x)
        same = self.skip(out)
        F.relu(out, True)
        out = out + 2 * same
        out += 0.5 * self.conv(x)
        return torch.relu_(out.mul_(1.5)) + out.clamp(-0.5, 2)


class Varied(nn.Module):
    """Weights computed from parameters, constants made in forward, channel reductions, unequal padding."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 5))
        self.register_buffer("mask", (torch.rand(4, 3, 3, 5) > 0.3).double())
        self.gate = nn.Conv2d(2, 1, 7, padding="same")

    def forward(self, x):
        x = (x - torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64).view(1, 3, 1, 1)) / 2.0
        x = F.pad(x, (3, 1, 0, 2), value=0.7)
        x = F.conv2d(x, self.weight * self.mask, stride=(2, 1), dilation=(1, 2), padding=(1, 2))
        pooled = torch.cat([x.mean(1, keepdim=True), torch.amax(x, dim=1, keepdim=True)], 1)
        return x * torch.sigmoid(self.gate(pooled))


NETWORKS = {
    "paper Table 1": (paper_table1_trunk(4), 61),
    "paper Table 2": (paper_table2_trunk(4, 3), 67),
    "ResNet-18": (ResNet18Trunk(4), 131),
    "thin DenseNet": (ThinDenseNet(), 90),
    "Inception block": (nn.Sequential(nn.Conv2d(3, 5, 3), InceptionBlock(5)), 41),
    "ConvNeXt": (ConvNeXt(4), 73),
    "in-place operations": (PositionalInPlace(), 30),
    "computed weights and gates": (Varied(), 31),
    "nothing at all": (nn.Identity(), 9),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("tile", [(24, 40), (32, 32)])
def test_named_network_agrees(name, tile):
    module, side = NETWORKS[name]
    module = shaken(module)
    image = torch.randn(2, 3, side, side + 7, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(stream(module, tile=tile), image)) == {}


@pytest.mark.parametrize("tile", [1, 5, 31])
def test_tile_below_the_stride_and_the_reach(tile):
    module = shaken(nn.Sequential(nn.Conv2d(3, 2, 7, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)))
    image = torch.randn(1, 3, 23, 19, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(stream(module, tile=tile), image)) == {}


def test_float32_and_bfloat16_give_their_own_type():
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
        module = paper_table1_trunk(2).to(dtype)
        image = torch.randn(1, 3, 50, 50).to(dtype)
        found = stream(module, tile=16)(image)
        assert found.dtype == dtype
        torch.testing.assert_close(found, module(image), rtol=tolerance, atol=tolerance)


def test_channels_last_stays_exact():
    module = shaken(ResNet18Trunk(4)).to(memory_format=torch.channels_last)
    image = torch.randn(2, 3, 70, 90, dtype=torch.float64).to(memory_format=torch.channels_last)
    assert disagreements(answer(module, image), answer(stream(module, tile=32), image)) == {}


def test_image_smaller_than_the_kernel_raises_as_untiled():
    module = nn.Sequential(nn.Conv2d(3, 2, 5), nn.MaxPool2d(2))
    for side in (3, 5):
        with pytest.raises(RuntimeError):
            module(torch.randn(1, 3, side, side))
        with pytest.raises(RuntimeError, match="too small for"):
            stream(module)(torch.randn(1, 3, side, side))
