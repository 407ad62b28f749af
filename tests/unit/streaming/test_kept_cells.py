"""Only the wanted cells of the output are kept, with the same values and gradients as in the whole map."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.errors import RegionError
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import relative_error


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1)
    ).double()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("batch", [1, 2])
def test_cells_are_those_of_the_map_with_its_gradients(share, batch):
    image = torch.randn(batch, 3, 53, 37, dtype=torch.float64, requires_grad=True)
    wanted = np.random.default_rng(1).random((26, 18)) < share
    module = network()
    expected = module(image)[:, :, torch.from_numpy(wanted)]
    weight = torch.randn(expected.shape, dtype=torch.float64)
    gradients = torch.autograd.grad(expected, [image, *module.parameters()], weight)
    found = stream(module, tile=10).stream(image, cells=wanted)
    assert found.shape == (batch, 5, int(wanted.sum()))
    assert relative_error(expected.detach(), found.detach()) < 1e-12
    for ours, theirs in zip(torch.autograd.grad(found, [image, *module.parameters()], weight), gradients, strict=True):
        assert relative_error(theirs, ours) < 1e-10


def test_tiles_without_wanted_cells_are_not_run_backward():
    wanted = torch.zeros(50, 50, dtype=torch.bool)
    wanted[3, 4] = True
    streamed = stream(network(), tile=20)
    streamed.stream(torch.randn(1, 3, 100, 100, dtype=torch.float64), cells=wanted).sum().backward()
    assert streamed.last_report.tiles_run_backward < 5
    assert streamed.last_report.tiles_run == 25


@pytest.mark.parametrize("cells", [np.ones((26, 17), dtype=bool), np.ones((26, 18)), np.ones((1, 26, 18), dtype=bool)])
def test_a_mask_that_does_not_fit_is_refused(cells):
    with pytest.raises(RegionError, match="one boolean per output cell"):
        stream(network()).stream(torch.zeros(1, 3, 53, 37, dtype=torch.float64), cells=cells)
