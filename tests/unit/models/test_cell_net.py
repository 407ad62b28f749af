"""The geometry of the built-in network: by arithmetic, and by asking the network itself."""

import pytest
import torch

from napari_gigaclf.models.networks.cell_net import CELL_PX, CONTEXT_PX, cell_trunk, field_and_stride, without_padding


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return cell_trunk().eval().double()


def test_receptive_field_and_stride_by_arithmetic():
    assert field_and_stride() == (96, 32) == (CONTEXT_PX, CELL_PX)


def test_arithmetic_agrees_with_the_layers_that_are_built(trunk):
    field, stride = 1, 1
    for module in without_padding(trunk):
        if isinstance(module, torch.nn.Conv2d | torch.nn.MaxPool2d):
            kernel, step = (v[0] if isinstance(v, tuple) else v for v in (module.kernel_size, module.stride))
            padding = module.padding[0] if isinstance(module.padding, tuple) else module.padding
            assert padding == 0
            field, stride = field + (kernel - 1) * stride, stride * step
    assert (field, stride) == (96, 32)


def test_costs(trunk):
    """At most 1 M parameters and 80 million multiply-accumulates per tile."""
    assert sum(p.numel() for p in trunk.parameters()) < 1_000_000
    macs = 0

    def count(module, inputs, output):
        nonlocal macs
        macs += output[0].numel() * module.weight[0].numel()

    handles = [m.register_forward_hook(count) for m in trunk.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        without_padding(trunk)(torch.zeros(1, 3, 96, 96, dtype=torch.float64))
    for handle in handles:
        handle.remove()
    assert 10e6 < macs < 80e6


@pytest.mark.parametrize("shape", [(32, 32), (95, 64), (96, 127), (160, 161)])
def test_one_cell_per_whole_32_px(trunk, shape):
    with torch.no_grad():
        cells = trunk(torch.zeros(1, 3, *shape, dtype=torch.float64))
    assert cells.shape == (1, 128, shape[0] // 32, shape[1] // 32)


def test_a_cell_depends_on_exactly_its_96_px(trunk):
    """The gradient of cell (2, 2) reaches pixels [32, 128) on both axes, first and last included, and no other."""
    x = torch.rand(1, 3, 192, 192, dtype=torch.float64, requires_grad=True)
    touched = torch.zeros(192, 192, dtype=torch.bool)
    for _ in range(5):  # max-pools and ReLUs hide some pixels of one image
        x = torch.rand(1, 3, 192, 192, dtype=torch.float64, requires_grad=True)
        trunk(x)[0, :, 2, 2].sum().backward()
        touched |= x.grad[0].abs().amax(0) > 0
    rows, columns = touched.any(1).nonzero()[:, 0], touched.any(0).nonzero()[:, 0]
    assert 32 <= rows.min() <= 36
    assert 124 <= rows.max() <= 127
    assert 32 <= columns.min() <= 36
    assert 124 <= columns.max() <= 127


def test_a_tile_of_96_px_gives_the_cell_of_the_image(trunk):
    """Training on tiles and running over images are the same function: interior and border cells."""
    image = torch.randn(1, 3, 160, 192, dtype=torch.float64)
    with torch.no_grad():
        cells = trunk(image)
        framed = torch.nn.functional.pad(image, (32, 32, 32, 32))
        for i in range(5):
            for j in range(6):
                tile = framed[:, :, 32 * i : 32 * i + 96, 32 * j : 32 * j + 96]
                torch.testing.assert_close(without_padding(trunk)(tile)[0, :, 0, 0], cells[0, :, i, j])
