"""Networks that no one here wrote: those of ``transformers``, built from configurations, without any download.

At their real depth, with thin channels. What their code does (look at shapes, use keywords, give classes) is read with
torch.export.
"""

import copy

import pytest
import torch

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.zoo import OneMap, shaken


def resnet(depths, layer_type):
    from transformers import ResNetConfig, ResNetModel

    sizes = [8, 8, 12, 16] if layer_type == "basic" else [8, 16, 24, 32]
    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=sizes, depths=depths, layer_type=layer_type))


def regnet():
    from transformers import RegNetConfig, RegNetModel

    return RegNetModel(
        RegNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[2, 7, 17, 1], groups_width=4)
    )


def convnext():
    from transformers import ConvNextConfig, ConvNextModel

    return ConvNextModel(ConvNextConfig(hidden_sizes=[4, 8, 12, 16], depths=[3, 3, 9, 3]))


def mobilenet_v2(tf_padding):
    from transformers import MobileNetV2Config, MobileNetV2Model

    return MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.1, min_depth=2, tf_padding=tf_padding))


def mobilenet_v1():
    from transformers import MobileNetV1Config, MobileNetV1Model

    return MobileNetV1Model(MobileNetV1Config(depth_multiplier=0.1))


def efficientnet():
    from transformers import EfficientNetConfig, EfficientNetModel

    return EfficientNetModel(EfficientNetConfig(width_coefficient=0.25, depth_coefficient=1.0, hidden_dim=320))


def segformer():
    from transformers import SegformerConfig, SegformerModel

    return SegformerModel(SegformerConfig(hidden_sizes=[4, 8, 12, 16], num_attention_heads=[1, 2, 3, 4]))


NETWORKS = {
    "ResNet-18": lambda: resnet([2, 2, 2, 2], "basic"),
    "ResNet-50": lambda: resnet([3, 4, 6, 3], "bottleneck"),
    "RegNet-Y": regnet,
    "ConvNeXt-T": convnext,
    "MobileNetV2": lambda: mobilenet_v2(False),
    "MobileNetV2, sides rounded as TensorFlow does": lambda: mobilenet_v2(True),
    "MobileNetV1": mobilenet_v1,
    "EfficientNet-B0": efficientnet,
}
SLOW = {"ResNet-50", "RegNet-Y", "MobileNetV2, sides rounded as TensorFlow does", "MobileNetV1", "EfficientNet-B0"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NETWORKS])
def test_network_of_transformers_agrees(name):
    torch.manual_seed(0)
    net = shaken(OneMap(NETWORKS[name](), "last_hidden_state"))
    streamed = stream(net, tile=64)
    for shape in ((1, 3, 131, 150), (1, 3, 97, 200)):
        image = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        assert disagreements(answer(net, image), answer(streamed, image)) == {}


def test_classes_as_results_are_refused_with_the_remedy():
    with pytest.raises(UnsupportedOperation, match="last_hidden_state"):
        stream(resnet([1, 1, 1, 1], "basic").eval())


def test_attention_over_all_places_is_refused_by_name():
    with pytest.raises(UnsupportedOperation, match=r"in module 'body\.(stages|encoder)"):
        stream(shaken(OneMap(segformer(), "last_hidden_state")))


def swin():
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4)
    return SwinModel(config, add_pooling_layer=False)


def test_attention_in_windows_is_refused_by_name():
    with pytest.raises(UnsupportedOperation, match="in module 'body"):
        stream(shaken(OneMap(swin(), "last_hidden_state")))


def test_batch_norm_in_training_mode_is_exact_with_running_statistics_and_counter():
    torch.manual_seed(0)
    net = OneMap(resnet([1, 1, 1, 1], "basic"), "last_hidden_state").double().train()
    other = copy.deepcopy(net)
    image = torch.randn(2, 3, 131, 150, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(other, tile=64), image)) == {}
    for (name, ours), theirs in zip(other.named_buffers(), net.buffers(), strict=True):
        assert torch.allclose(ours.double(), theirs.double(), rtol=0, atol=1e-10), name
