"""The networks by name: layers and shapes of the published tables, and a clear error for an unknown name."""

import pytest
import torch
from torch import nn

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.config import MIN_SIDE_PX
from napari_gigaclf.models.networks import NETWORKS, build


def _count(module: nn.Module, *kinds: type) -> int:
    return sum(isinstance(m, kinds) for m in module.modules())


def _parameters(network) -> int:
    parts = [network.trunk, network.head] + ([network.tail] if network.tail is not None else [])
    return sum(p.numel() for part in parts for p in part.parameters())


def test_table_1():
    network = build("paper-table1", num_classes=10)
    convolutions = [m for part in (network.trunk, network.tail) for m in part.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [16, 32, 64, 128, 256]
    assert {c.kernel_size for c in convolutions} == {(3, 3)}
    assert _count(network.trunk, nn.Conv2d) == 4
    with torch.no_grad():
        assert network.forward_features(torch.zeros(1, 3, 320, 320)).shape == (1, 256, 2, 2)
    assert _count(network.head, nn.Linear) == 1
    assert network.head(torch.zeros(5, 256)).shape == (5, 10)


@pytest.mark.parametrize("num_layers", [22, 25, 28])
def test_table_2_has_as_many_layers_as_its_name_and_seven_of_them_unstreamed(num_layers):
    with torch.device("meta"):  # 28 layers are 40 M weights: only their shapes are looked at
        network = build(f"paper-table2-{num_layers}")
    streamed = _count(network.trunk, nn.Conv2d, nn.MaxPool2d)
    final = _count(network.tail, nn.Conv2d) + 1 + _count(network.head, nn.Dropout, nn.Linear)  # 1: global max-pool
    assert streamed + final == num_layers
    assert final == 7
    assert network.pooling == "max"
    assert _count(network.trunk, nn.BatchNorm2d) == 0
    assert _count(network.tail, nn.BatchNorm2d) == 4


def test_table_2_channels():
    with torch.device("meta"):
        network = build("paper-table2-25")
    channels = [m.out_channels for m in network.trunk.modules() if isinstance(m, nn.Conv2d)]
    assert channels == [32, 32, 64, 64, 128, 128, 256, 256, 512, 512, 512, 512]


@pytest.mark.parametrize(("name", "millions"), [("resnet18", 11.69), ("resnet34", 21.80)])
def test_resnets_have_the_published_number_of_parameters(name, millions):
    with torch.device("meta"):
        network = build(name, num_classes=1000)
    assert _parameters(network) / 1e6 == pytest.approx(millions, abs=0.005)


def test_resnet18_stride_and_channels():
    network = build("resnet18")
    with torch.no_grad():
        assert network.trunk.eval()(torch.zeros(1, 3, 97, 64)).shape == (1, 512, 4, 2)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_smallest_image_gives_a_cell_and_a_smaller_one_does_not(name):
    side = MIN_SIDE_PX[name]
    with torch.device("meta"):
        network = build(name)
        features = network.forward_features(torch.zeros(2, 3, side, side))
    assert features.shape == (2, network.num_features, 1, 1)
    if side > 1:
        with torch.device("meta"), pytest.raises(RuntimeError):
            network.forward_features(torch.zeros(2, 3, side - 1, side - 1))


def test_unknown_network():
    with pytest.raises(ModelError, match="no network is called 'vgg'; known are cell-net, cell-net-context, "):
        build("vgg")
