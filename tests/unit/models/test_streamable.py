"""What a classifier streams gives the same features streamed as at once."""

import pytest
import torch

from napari_gigaclf.models.networks import build
from napari_gigaclf.streaming import stream


def test_features_of_the_built_in_network(make_model):
    model = make_model().double()
    image = torch.rand(1, 3, 230, 170, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        streamed, at_once = stream(model.features, tile=64)(image), model.features(image)
    torch.testing.assert_close(streamed, at_once, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["paper-table1", "resnet18", "cell-net-fine"])
def test_trunks_by_name(name):
    torch.manual_seed(0)
    trunk = build(name).trunk.eval().double()
    image = torch.rand(1, 3, 131, 94, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(stream(trunk, tile=64)(image), trunk(image), rtol=1e-10, atol=1e-12)


def test_geometry_of_the_built_in_network(make_model):
    """Stride 32, receptive field 96, starting 32 px before the cell: on both axes."""
    for axis in stream(make_model().features).geometry():
        assert (axis.stride, axis.receptive_field, axis.before, axis.offset) == (32, 96, 32, 0)
