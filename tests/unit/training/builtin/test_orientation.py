"""A network with tied weights, written out as ordinary layers, gives turned maps for turned images."""

import pytest
import torch

from napari_gigaclf.models.networks.cell_net import CELL_NETS, cell_trunk, field_and_stride, without_padding
from napari_gigaclf.training.builtin.orientation import (
    ORIENTATIONS,
    hand_back,
    oriented_trunk,
    read_in,
    turned,
    write_out,
)


@pytest.fixture(scope="module", params=CELL_NETS)
def layers(request):
    return CELL_NETS[request.param]


@pytest.fixture(scope="module")
def pair(layers):
    """Return an oriented trunk with used batch norms and the ordinary trunk written from it."""
    torch.manual_seed(0)
    oriented, plain = oriented_trunk(layers=layers), cell_trunk(layers=layers)
    for _ in range(3):
        oriented(torch.rand(4, 3, 96, 96))
    for module in oriented:
        if hasattr(module, "shift"):
            torch.nn.init.normal_(module.shift, std=0.2)
            torch.nn.init.uniform_(module.scale, 0.5, 1.5)
    write_out(oriented, plain)
    return oriented.eval().double(), plain.eval().double()


def test_a_cell_sees_one_tile(layers):
    assert field_and_stride(layers) == (96, 32)
    with torch.no_grad():
        assert without_padding(cell_trunk(layers=layers).eval())(torch.zeros(1, 3, 96, 96)).shape[2:] == (1, 1)


def test_orientations_are_eight_different_ones():
    probe = torch.arange(9).reshape(3, 3)
    assert len({tuple(turned(probe, g).flatten().tolist()) for g in range(ORIENTATIONS)}) == 8


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_the_map_turns_with_the_image(pair, orientation):
    image = torch.randn(1, 3, 96, 160, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(pair[1](turned(image, orientation)), turned(pair[1](image), orientation))


def test_an_untied_network_does_not_turn():
    """Guards the test above against passing for any network."""
    torch.manual_seed(0)
    trunk, image = cell_trunk(), torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        for _ in range(20):
            trunk(torch.randn(2, 3, 96, 96))
        trunk.eval()
        features, of_turned = trunk(image), trunk(turned(image, 1))
    assert (of_turned - turned(features, 1)).abs().mean() > 0.01 * features.abs().mean()


def test_written_out_layers_compute_the_same(pair):
    """Equal once the running statistics of a feature's orientations are shared, as they are when written out."""
    oriented, plain = pair
    for module in oriented:
        if hasattr(module, "copies"):
            for statistic in (module.norm.running_mean, module.norm.running_var):
                statistic.copy_(statistic.reshape(-1, module.copies).mean(1).repeat_interleave(module.copies))
    tiles = torch.rand(2, 3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(oriented(tiles), without_padding(plain)(tiles), rtol=1e-4, atol=1e-5)


def test_written_out_weights_are_read_back(pair, layers):
    plain = pair[1]
    again, written = oriented_trunk(layers=layers).double(), cell_trunk(layers=layers).double()
    read_in(again, plain)
    write_out(again, written)
    for name, value in plain.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(written.state_dict()[name], value, rtol=1e-14, atol=0)


def test_gradients_of_ordinary_layers_are_handed_back_to_the_tied_weights(pair):
    """The network with tied weights, differentiated as it is, says what they must come to."""
    tied, trunk = pair
    read_in(tied, trunk)  # statistics shared by orientations, as written
    tied.zero_grad()
    trunk.zero_grad()
    tiles = torch.rand(2, 3, 96, 96, dtype=torch.float64)
    weight = torch.randn(128, 1, 1, dtype=torch.float64)
    (without_padding(trunk)(tiles) * weight).sum().backward()
    hand_back(tied, trunk)
    found = [parameter.grad.clone() for parameter in tied.parameters()]
    tied.zero_grad()
    (tied(tiles) * weight).sum().backward()
    for parameter, gradient in zip(tied.parameters(), found, strict=True):
        assert parameter.grad.abs().max() > 0
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-10 * float(parameter.grad.abs().max()))
