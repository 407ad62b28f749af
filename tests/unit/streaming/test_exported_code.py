"""Code that torch.fx cannot follow is read with torch.export: the same numbers, for every image, or a refusal."""

import random
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import DenseBlock, InceptionBlock, ResNet18Trunk
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.strategies import CONVOLUTIONS, Case, cases


@dataclass
class Result:
    """What a network gives, in a class of its own."""

    map: torch.Tensor
    pooled: torch.Tensor


class Written(nn.Module):
    """Two convolutions and a forward written in the test."""

    def __init__(self, code):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.code, self.tensor = code, torch.rand(1, 4, 1, 1, dtype=torch.float64)
        self.double().eval()
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, image):
        return self.code(self, image)


def image(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def checks_channels(net, x):
    if x.shape[1] != 3:
        raise ValueError("three channels, please")
    return net.second(net.first(x))


def gives_a_class(net, x):
    assert x.ndim == 4
    result = Result(map=net.norm(net.second(net.first(input=x))), pooled=x.flatten(1).sum())
    return result.map


def overwrites(net, x):
    assert x.ndim == 4
    first = net.first(x)
    other = first
    first += net.first(x * 2)
    F.relu(first, True)
    return net.second(other) + F.hardtanh(other, 0.0, 6.0)


def makes_constants(net, x):
    assert x.ndim == 4
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=x.dtype, device=x.device).view(1, 4, 1, 1)
    return net.first(x) * scale * net.tensor / 2.0 + net.second.weight.mean()


def cuts_channels(net, x):
    assert x.ndim == 4
    one, two = net.first(x).chunk(2, dim=1)
    three, four = torch.split(net.first(x), [1, 3], dim=1)
    return net.second(torch.cat([one * torch.sigmoid(two), three * 0.5, four[:, :1]], 1))


def normalises_channels_last(net, x):
    assert x.ndim == 4
    last = net.first(x).permute(0, 2, 3, 1)
    last = F.linear(F.layer_norm(last, (4,)), net.second.weight[:, :, 0, 0])
    return last.permute(0, 3, 1, 2).contiguous()


def pads(net, x):
    _, _, height, width = x.shape
    if height % 4 or width % 4:
        x = F.pad(x, (0, 4 - width % 4, 0, 4 - height % 4))
    return F.avg_pool2d(net.first(x), 4)


def brings_back(net, x):
    assert x.ndim == 4
    first = net.first(x)
    coarse = F.max_pool2d(first, 2)
    middle = F.interpolate(F.max_pool2d(coarse, 3), size=coarse.shape[2:], mode="bilinear")
    return net.second(first + F.interpolate(coarse + middle, size=(first.shape[2], first.size(3))))


def rearranges(net, x):
    assert x.ndim == 4
    coarse = F.max_pool2d(net.first(x), 3, 2, 1)  # no one can tell from its size's formula whether 2 divides it
    height, width = coarse.shape[2:]
    return F.pixel_unshuffle(F.pad(coarse, (0, width % 2, 0, height % 2)), 2)


def looks_at_parity(net, x):
    return net.second(net.first(x)) if x.shape[2] % 2 == 0 else net.first(x)


def looks_for_small(net, x):
    return net.first(x) if min(x.shape[2:]) > 25 else net.first(x) * 2


def looks_for_one_sample(net, x):
    return net.first(x) if x.shape[0] == 1 else net.first(x) * 2


def divides_by_size(net, x):
    assert x.ndim == 4
    return net.first(x) / x.shape[2] + x.shape[3]


SAME = [
    checks_channels, gives_a_class, overwrites, makes_constants, cuts_channels, normalises_channels_last, pads,
    brings_back, rearranges, looks_at_parity, looks_for_small, looks_for_one_sample, divides_by_size,
]  # fmt: skip


@pytest.mark.parametrize("code", SAME)
def test_every_image_gets_the_untiled_numbers(code):
    net = Written(code)
    streamed = stream(net, tile=11)
    for shape in ((1, 3, 30, 27), (1, 3, 31, 27), (2, 3, 23, 40), (1, 3, 7, 50)):
        assert disagreements(answer(net, image(*shape)), answer(streamed, image(*shape))) == {}, shape


@pytest.mark.parametrize("train", [False, True])
def test_an_image_that_does_not_suit_raises_the_module_s_own_error(train):
    """The code was followed for images of three channels; it is not the code that is wrong."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReflectionPad2d(5)).train(train)
    streamed = stream(net, tile=8, capture="export")
    for image, text in (
        (torch.zeros(1, 4, 20, 20), "to have 3 channels, but got 4"),
        (torch.zeros(1, 3, 5, 5), "Padding"),
    ):
        for module in (net, streamed):
            before = net[1].num_batches_tracked.clone()
            with pytest.raises(RuntimeError, match=text):
                module(image)
            assert module is net or net[1].num_batches_tracked == before


def test_fx_alone_refuses_what_it_cannot_follow():
    with pytest.raises(UnsupportedOperation, match="looking at the image or its shape"):
        stream(Written(checks_channels), capture="fx")


def test_unknown_way_of_capturing():
    with pytest.raises(ValueError, match="capture='jit'"):
        stream(Written(checks_channels), capture="jit")


def whole_result(net, x):
    assert x.ndim == 4
    return Result(map=net.first(x), pooled=x.sum())


def without_gradient(net, x):
    assert x.ndim == 4
    with torch.no_grad():
        first = net.first(x)
    return net.second(first)


def autocast_inside(net, x):
    assert x.ndim == 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = net.first(x)
    return net.second(first)


def overwrites_a_part(net, x):
    assert x.ndim == 4
    first = net.first(x)
    part = first[:, :, 1:]
    part *= 2
    return net.second(first)


def overwrites_some_channels(net, x):
    assert x.ndim == 4
    first = net.first(x)
    first[:, :2] *= 2
    return net.second(first)


def overwrites_after_contiguous(net, x):
    assert x.ndim == 4
    first = net.first(x)
    first.contiguous().mul_(2)
    return net.second(first)


def counts_its_calls(net, x):
    assert x.ndim == 4
    net.norm.num_batches_tracked.add_(1)
    return net.first(x)


def changes_a_buffer(net, x):
    net.norm.running_mean.add_(1)
    return net.first(x)


def looks_at_memory(net, x):
    return net.first(x) if x.is_contiguous() else net.second(net.first(x))


def by_value(net, x):
    return net.first(x) if x.shape[1] == 3 and x.sum() > 0 else net.first(x) * 2


REFUSED = {
    "result is a Result.*last_hidden_state|Result": whole_result,
    "set_grad_enabled in the outermost.*gradients off.*requires_grad_": without_gradient,
    "wrap_with_autocast.*switches autocast": autocast_inside,
    "mul in the outer.*share its memory": overwrites_a_part,
    "mul in the outermost.*share its memory": overwrites_some_channels,
    "mul in the .*share its memory.*clone": overwrites_after_contiguous,
    "counts up 'norm.num_batches_tracked' without a batch norm": counts_its_calls,
    "add_? in the outermost.*changes or draws": changes_a_buffer,
    "lies in memory .is_contiguous": looks_at_memory,
    "decides by looking at the image's values": by_value,
    "random": lambda net, x: net.first(x) * (x.shape[1] + random.random() if x.ndim == 4 else 1),
    "random|draws": lambda net, x: net.first(x) * (torch.rand(1, dtype=x.dtype) if x.ndim == 4 else 1),
    "mean in the outermost module": lambda net, x: net.first(x).mean() if x.ndim == 4 else x,
    "place to place": lambda net, x: net.first(x) + torch.arange(x.shape[3]) if x.ndim == 4 else x,
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    state = random.getstate()
    with pytest.raises(UnsupportedOperation, match=text):
        stream(Written(REFUSED[text]), tile=8, capture="export").plan((3, 30, 30))
    random.setstate(state)


def test_images_that_meet_the_conditions_are_read_once():
    streamed = stream(Written(checks_channels), tile=16)
    streamed(image(1, 3, 40, 50))
    streamed(image(1, 3, 61, 33))
    assert [len(graphs) for graphs in streamed._graphs.values()] == [1]
    with pytest.raises((ValueError, UnsupportedOperation), match="three channels"):
        streamed(image(1, 2, 40, 50))


def test_change_since_shows():
    net = Written(makes_constants)
    streamed = stream(net, tile=8)
    before = streamed(image(1, 3, 20, 20))
    net.tensor.mul_(3)
    assert not torch.allclose(before, net(image(1, 3, 20, 20)))
    assert torch.allclose(streamed(image(1, 3, 20, 20)), net(image(1, 3, 20, 20)), rtol=1e-10)
    net.float()
    net.tensor = net.tensor.float()
    assert streamed(image(1, 3, 20, 20).float()).dtype == torch.float32


def test_names_of_parameters_and_of_modules():
    net = nn.Sequential(ResNet18Trunk(4), nn.Sequential(nn.Conv2d(32, 2, 1), nn.Unfold(3))).eval()
    with pytest.raises(UnsupportedOperation, match=r"im2col in module '1\.1'"):
        stream(net, capture="export")


def test_one_and_three_axes():
    line = nn.Sequential(nn.Conv1d(2, 3, 5, 2, 2), nn.ReLU(), nn.MaxPool1d(2)).double()
    volume = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.GELU(), nn.AvgPool3d(2, ceil_mode=True)).double()
    for net, shape in ((line, (1, 2, 61)), (volume, (2, 1, 9, 10, 11))):
        streamed = stream(net, tile=7, capture="export")
        assert disagreements(answer(net, image(*shape)), answer(streamed, image(*shape))) == {}


@pytest.mark.parametrize("net", [nn.Sequential(nn.Conv2d(3, 5, 3), InceptionBlock(5), DenseBlock(16, 3, 2))])
def test_both_ways_give_the_same_plan(net):
    net = net.eval()
    one, two = (stream(net, tile=32, capture=how).plan((3, 100, 90)) for how in ("fx", "export"))
    assert (one.macs, one.untiled_macs, one.peak_bytes) == (two.macs, two.untiled_macs, two.peak_bytes)


def agrees(case: Case) -> None:
    """Compare a network with itself untiled."""
    channels, axes = case.image.shape[1], case.image.ndim - 2
    first = CONVOLUTIONS[axes - 1](channels, channels, 1).double()  # tells which images the network takes
    net = nn.Sequential(first, case.module)
    streamed = stream(net, tile=case.tile, capture="export")
    assert disagreements(answer(net, case.image), answer(streamed, case.image)) == {}


FEW = settings(
    max_examples=4,
    phases=[Phase.generate],  # an example takes a second, and shrinking hundreds of them
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@FEW
@given(cases())
def test_random_networks_agree(case: Case) -> None:
    agrees(case)


@pytest.mark.slow
def test_many_random_networks_agree() -> None:
    settings(FEW, max_examples=150)(given(cases())(agrees))()
