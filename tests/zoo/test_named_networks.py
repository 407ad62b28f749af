"""Networks by name at their real depth, streamed and untiled: equal to rounding in float64."""

import pytest
import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import InceptionBlock, paper_table1_trunk, paper_table2_trunk
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.zoo import (
    UNet,
    ValidUNet,
    densenet121,
    mobilenet_v3_small,
    resnet,
    resnet3d_18,
    shaken,
    shufflenet_v2,
    vgg16,
)

NETWORKS = {
    "paper Table 1": (lambda: paper_table1_trunk(4), (93, 101), 32),
    "paper Table 2, 22": (lambda: paper_table2_trunk(5, 2, 32), (77, 93), 32),
    "paper Table 2, 25": (lambda: paper_table2_trunk(6, 2, 32), (141, 130), 64),
    "paper Table 2, 28": (lambda: paper_table2_trunk(7, 1, 16), (275, 260), 128),
    "VGG-16": (lambda: vgg16(2), (131, 150), 64),
    "Inception": (lambda: nn.Sequential(nn.Conv2d(3, 5, 3, 2), InceptionBlock(5), InceptionBlock(16)), (61, 74), 24),
    "ResNet-18": (lambda: resnet(), (131, 167), 64),
    "ResNet-34": (lambda: resnet((3, 4, 6, 3)), (131, 167), 64),
    "ResNet-50": (lambda: resnet((3, 4, 6, 3), 2, expansion=4), (131, 167), 64),
    "ResNeXt-50": (lambda: resnet((3, 4, 6, 3), 4, expansion=4, groups=2), (131, 167), 64),
    "DenseNet-121": (densenet121, (131, 150), 64),
    "3-D ResNet-18": (resnet3d_18, (19, 37, 41), 16),
    "SE-ResNet-18": (lambda: resnet(squeeze=True), (131, 150), 64),
    "GroupNorm ResNet-18": (lambda: resnet(norm=lambda c: nn.GroupNorm(2, c)), (131, 150), 64),
    "MobileNetV3-Small": (mobilenet_v3_small, (131, 150), 64),
    "ShuffleNetV2": (shufflenet_v2, (131, 150), 64),
    "U-Net": (UNet, (80, 112), 48),
    "U-Net with crops": (ValidUNet, (204, 220), 48),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_named_network_agrees(name):
    build, space, tile = NETWORKS[name]
    net = shaken(build())
    channels = next(child.in_channels for child in net.modules() if hasattr(child, "in_channels"))
    image = torch.randn(1, channels, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert disagreements(answer(net, image), answer(stream(net, tile=tile), image)) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["ShuffleNetV2", "U-Net with crops"])
def test_the_other_way_of_reading_agrees(name):
    build, space, tile = NETWORKS[name]
    net, image = shaken(build()), torch.randn(2, 3, *space, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile, capture="export"), image)) == {}
