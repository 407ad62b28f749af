"""Pooling by p-norm: PyTorch's formula over the windows of the whole image."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements


class Both(nn.Module):
    """Beside max-pooling, which sees minus infinity where the map ends."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        x = torch.relu(self.conv(x)) + 0.1
        return torch.cat([F.lp_pool2d(x, 2.5, 2, 2, ceil_mode=True), F.max_pool2d(x, 2, 2, ceil_mode=True)], 1)


NETWORKS = {
    "one axis": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.LPPool1d(2, 4, 3)), (1, 3, 61)),
    "two axes": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.LPPool2d(2, (3, 2), (2, 3)), nn.Conv2d(4, 2, 3)), (2, 3, 29, 41)),
    "three axes": (nn.Sequential(nn.Conv3d(3, 2, 2), nn.LPPool3d(2, 2)), (1, 3, 11, 13, 9)),
    "the last windows reach beyond the map": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.LPPool2d(2, 3, 2, ceil_mode=True)), (2, 3, 30, 36)
    ),
    "as a function, beside max-pooling": (Both(), (1, 3, 29, 31)),
}  # fmt: skip


@pytest.mark.parametrize("capture", ["fx", "export"])
@pytest.mark.parametrize("name", NETWORKS)
def test_agrees(name, capture):
    module, shape = NETWORKS[name]
    module = module.double()
    image = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert disagreements(answer(module, image), answer(stream(module, tile=8, capture=capture), image)) == {}


@pytest.mark.parametrize("power", [0, -1.0])
def test_powers_that_do_not_leave_zero_alone_are_refused(power):
    with pytest.raises(UnsupportedOperation, match=r"LPPool2d in module '1': its norm_type.*above 0"):
        stream(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LPPool2d(power, 3)))
