"""Code that a captured graph could misread: the streamed module gives the untiled numbers, or refuses."""

import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements


class Written(nn.Module):
    """Two convolutions and a forward written in the test."""

    def __init__(self, code):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.code, self.alpha, self.scales, self.options = code, 2.0, [1.0, 2.0], {"k": 3.0}
        self.tensor = torch.ones(1, 4, 1, 1, dtype=torch.float64)
        self.double()

    def forward(self, image):
        return self.code(self, image)


@pytest.fixture
def image():
    return torch.randn((1, 3, 23, 19), dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def without_gradient(net, x):
    with torch.no_grad():
        first = net.first(x)
    return net.second(first)


def weight_without_gradient(net, x):
    with torch.no_grad():
        weight = net.first.weight * 2
    return F.conv2d(x, weight, padding=1)


def autocast_inside(net, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = net.first(x)
    return net.second(first)


def overwritten_after(share):
    def code(net, x):
        first = net.first(x)
        other = share(first)
        other.mul_(2)
        return net.second(first)

    return code


def original_overwritten(net, x):
    first = net.first(x)
    other = first.contiguous()
    first.mul_(2)
    return net.second(other)


def into_given(net, x):
    first, second = net.first(x), net.first(x)
    torch.add(first, second, out=second)
    return net.second(second)


@pytest.mark.parametrize(
    "code",
    [
        without_gradient,
        weight_without_gradient,
        autocast_inside,
        overwritten_after(lambda y: y.contiguous()),
        overwritten_after(lambda y: y.double()),
        overwritten_after(lambda y: y.to(torch.float64)),
        lambda net, x: net.second(net.first(x).to("cpu")),
        overwritten_after(lambda y: y.detach()),
        overwritten_after(lambda y: +y),
        original_overwritten,
        into_given,
        lambda net, x: net.first(x) * random.random(),
        lambda net, x: net.first(x) * np.random.rand(),  # noqa: NPY002
    ],
)
def test_refused(code):
    state = random.getstate()
    with pytest.raises(UnsupportedOperation):
        stream(Written(code), tile=8)
    random.setstate(state)


def asks_for_tensor(net, x):
    return net.first(x * 2) if isinstance(x, torch.Tensor) else net.first(x)


def asks_is_tensor(net, x):
    return net.first(x * 2) if torch.is_tensor(x) else net.first(x)


def changes_another_name(net, x):
    first = net.first(x)
    other = first
    first += net.first(x * 2)
    first *= 3
    return net.second(other)


@pytest.mark.parametrize(
    "code",
    [
        asks_for_tensor,
        asks_is_tensor,
        changes_another_name,
        lambda net, x: net.first(x if isinstance(x, torch.Tensor) else torch.cat(x)),
        lambda net, x: nn.Softmax(dim=1)(net.first(x)),  # a module made inside forward
        lambda net, x: net.second(net.first(x).to(torch.float32).to(dtype=torch.float64, non_blocking=True)),
        lambda net, x: net.second(net.first(x).to(x.dtype)),
        lambda net, x: net.first(x.parameter if isinstance(x, nn.Parameter) else x),
    ],
)
def test_same(code, image):
    net = Written(code)
    assert torch.allclose(stream(net, tile=8)(image), net(image), rtol=1e-10, atol=1e-10)


def chosen_by_another_map(net, x):
    first = net.first(x)
    return torch.where(first > 0, first, net.second(first))


def counted(net, x):
    return net.second(net.first(x) * F.max_pool2d((net.first(x) > 0).to(x.dtype), 3, 1, 1))


@pytest.mark.parametrize("options", [{"tile": 8}, {"tile": 8, "memory": "10MB"}, {"tile": 8, "compile": "aot_eager"}])
@pytest.mark.parametrize("code", [chosen_by_another_map, counted])
def test_maps_without_a_gradient_are_carried(code, options):
    """Borders of a map of booleans go from tile to tile like any other's, and have no gradient."""
    net, image = Written(code), torch.randn((2, 3, 43, 39), dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, **options), image)) == {}


class Rounded(torch.autograd.Function):
    """Rounds, and lets gradients pass as if it had not: as in quantised training."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x * 4) / 4

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def hook_in_forward(net, x):
    first = net.first(x)
    first.register_hook(lambda gradient: -gradient)
    return net.second(first)


def remembers(net, x):
    net.features = net.first(x)
    return net.second(net.features)


def counts(net, x):
    net.alpha += 1
    return net.first(x) * net.alpha


def collects(net, x):
    net.scales.append(1.0)
    return net.first(x) * len(net.scales)


@pytest.mark.parametrize("capture", ["auto", "export"])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (lambda net, x: net.second(Rounded.apply(net.first(x))), "Rounded: it is a torch.autograd.Function"),
        (lambda net, x: F.conv2d(x, Rounded.apply(net.first.weight)), "Rounded: it is a torch.autograd.Function"),
        (hook_in_forward, "hooks on gradients"),
        (remembers, "changes its 'features'"),
        (counts, "changes its 'alpha'"),
        (collects, "changes its 'scales'"),
    ],
)
def test_what_the_list_of_operations_does_not_tell_is_refused(code, text, capture, image):
    """Backward passes of its own, and state from call to call: results or gradients would differ without a word."""
    net = Written(code)
    before = dict(net.__dict__)
    with pytest.raises(UnsupportedOperation, match=text):
        stream(net, tile=8, capture=capture)
    assert net.__dict__.keys() == before.keys()  # no stand-in is left in the module
    assert (net.alpha, net.tensor) == (before["alpha"], before["tensor"])
    net(image).sum().backward()  # and functions have their backward passes again


def set_forward(net):
    net.first.forward = lambda x: F.conv2d(x, net.first.weight) * 2


class TestChangedSince:
    EDITS: ClassVar = [
        lambda net: setattr(net.first, "stride", (2, 2)),
        lambda net: setattr(net.first, "padding", (0, 0)),
        lambda net: setattr(net.first, "bias", None),
        lambda net: setattr(net.first, "weight", nn.Parameter(torch.ones(4, 3, 5, 5, dtype=torch.float64))),
        lambda net: setattr(net, "second", nn.Conv2d(4, 2, 1).double()),
        lambda net: setattr(net, "alpha", 5.0),
        lambda net: setattr(net, "tensor", net.tensor * 2),
        lambda net: net.tensor.mul_(3),
        lambda net: net.scales.__setitem__(0, 7.0),
        lambda net: net.options.update(k=7.0),
    ]

    @pytest.mark.parametrize("edit", EDITS)
    def test_shows(self, edit, image):
        def code(net, x):
            return net.second(net.first(x) * net.alpha * net.tensor * net.scales[0] * net.options["k"])

        net = Written(code)
        streamed = stream(net, tile=8)
        before = streamed(image)
        edit(net)
        assert torch.allclose(streamed(image), net(image), rtol=1e-10, atol=1e-10)
        assert before.shape != net(image).shape or not torch.allclose(before, net(image))

    def test_batch_norm_setting_shows(self, image):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double().eval()
        streamed = stream(net, tile=8)
        streamed(image)
        net[1].eps = 0.5
        assert torch.allclose(streamed(image), net(image), rtol=1e-10, atol=1e-10)

    def test_unchanged_is_captured_once(self, image):
        streamed = stream(Written(lambda net, x: net.first(x)), tile=8)
        streamed(image)
        with torch.no_grad():
            streamed.module.first.weight.mul_(2)
        streamed(image)
        assert len(streamed._graphs) == 1


def test_replaced_forward_of_a_layer_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    streamed = stream(net)
    net[1].forward = lambda x: x * 2
    with pytest.raises(UnsupportedOperation, match="ReLU"):
        streamed(torch.zeros(1, 3, 9, 9))
    with pytest.raises(UnsupportedOperation, match="ReLU"):
        stream(net)


def test_hooks_on_all_modules_are_refused(image):
    streamed = stream(Written(lambda net, x: net.first(x)), tile=8)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda module, given, result: result * 2)
    try:
        with pytest.raises(UnsupportedOperation, match="hooks for all modules"):
            streamed(image)
    finally:
        handle.remove()


def test_statistics_changed_before_backward_are_noticed(image):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double().eval()
    result = stream(net, tile=8)(image).sum()
    net[1].running_var.mul_(4)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@pytest.mark.parametrize("wrong", [{"tile": 2.5}, {"tile": 10**30}, {"memory": 2.5}, {"memory": "1e400"}])
def test_impossible_sizes(wrong):
    with pytest.raises(ValueError, match="="):
        stream(nn.Conv2d(3, 4, 3), **wrong)


def torch_batch_norm(net, x):
    first = net.first(x)
    shift, scale = torch.arange(4.0, dtype=x.dtype), torch.arange(1.0, 5.0, dtype=x.dtype)
    return torch.batch_norm(first, scale, shift, 2 * shift, 3 * scale, False, 0.1, 1e-5, True)


def torch_instance_norm(net, x):
    shift, scale = torch.arange(4.0, dtype=x.dtype), torch.arange(1.0, 5.0, dtype=x.dtype)
    return torch.instance_norm(net.first(x), scale, shift, None, None, True, 0.1, 1e-5, True)


def torch_group_norm(net, x):
    shift, scale = torch.arange(4.0, dtype=x.dtype), torch.arange(1.0, 5.0, dtype=x.dtype)
    return torch.group_norm(net.first(x), 2, scale, shift, 1e-5, True)


@pytest.mark.parametrize(
    "code",
    [
        torch_batch_norm, torch_instance_norm, torch_group_norm, lambda net, x: torch.softmax(net.first(x), 1),
        lambda net, x: torch.dropout(net.first(x), 0.5, False),
        lambda net, x: torch.conv2d(x, net.first.weight, None, 2),
        lambda net, x: torch.celu(net.first(x), 0.5), lambda net, x: torch.max_pool2d(net.first(x), 3, 2, 1, 1, True),
    ],
)  # fmt: skip
def test_functions_of_torch_take_their_own_order_of_arguments(code, image):
    net = Written(code)
    try:
        found = stream(net, tile=8)(image)
    except UnsupportedOperation:
        return
    torch.testing.assert_close(found, net(image), rtol=1e-10, atol=1e-12)
