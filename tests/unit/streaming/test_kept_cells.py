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


class Pyramid(nn.Module):
    """Three maps; with a gate, the first is kept whole in any case, since it is read again behind its statistic."""

    def __init__(self, gated):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 5, 3, 2, 1), nn.Conv2d(5, 6, 3)
        self.gated = gated
        self.double()

    def forward(self, x):
        one = self.first(x)
        two = self.second(one * torch.sigmoid(one.mean((2, 3), keepdim=True)) if self.gated else one)
        return {"one": one, "more": [two, self.third(two)], "again": one}


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("whole", [(), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("memory", [None, "1GB"])
def test_each_of_several_maps_has_cells_of_its_own(gated, whole, memory):
    module, image = Pyramid(gated), torch.randn(2, 3, 41, 37, dtype=torch.float64, requires_grad=True)
    generator = np.random.default_rng(1)
    streamed = stream(module, tile=12, memory=memory)
    plan = streamed.plan(image.shape)
    shapes = plan.output_shapes
    assert any(stage.stage.given for stage in plan.stages) == gated
    masks = [None if number in whole else generator.random(shape[2:]) < 0.2 for number, shape in enumerate(shapes)]
    result, found = module(image), streamed.stream(image, cells=masks)
    expected = [
        map_ if mask is None else map_[:, :, torch.from_numpy(mask)]
        for map_, mask in zip([result["one"], *result["more"]], masks, strict=True)
    ]
    found = [found["one"], *found["more"]]
    weights = [torch.randn(map_.shape, dtype=torch.float64) for map_ in expected]
    answers = [torch.autograd.grad(maps, [image, *module.parameters()], weights) for maps in (expected, found)]
    for one, two in zip((*expected, *answers[0]), (*found, *answers[1]), strict=True):
        assert relative_error(one.detach(), two.detach()) < 1e-10


def test_masks_that_do_not_fit_several_maps_are_refused():
    streamed, image = stream(Pyramid(False), tile=12), torch.zeros(1, 3, 20, 20, dtype=torch.float64)
    fits = [np.ones(shape[2:], dtype=bool) for shape in streamed.plan(image.shape).output_shapes]
    with pytest.raises(RegionError, match="1 mask, and the module returns 3 maps; give a list with one for each"):
        streamed.stream(image, cells=fits[0])
    with pytest.raises(RegionError, match="2 masks, and the module returns 3 maps"):
        streamed.stream(image, cells=fits[:2])
    with pytest.raises(RegionError, match=r"cells\[1\] has shape \(20, 20\).*one boolean per output cell, \(10, 10\)"):
        streamed.stream(image, cells=[None, fits[0], None])
