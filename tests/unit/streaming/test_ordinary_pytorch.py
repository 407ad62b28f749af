"""What ordinary PyTorch puts around a module works around a streamed one, with the untiled numbers."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad as forward_mode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import ConvNeXt, paper_table1_trunk
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(ConvNeXt(4), nn.Conv2d(8, 3, 3, padding=1)).double()


@pytest.fixture
def image():
    return torch.randn((2, 3, 50, 41), dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Around(nn.Module):
    """Calls something on the image, with the network's parameters as its own."""

    def __init__(self, net, call):
        super().__init__()
        self.net, self.call = net, call

    def forward(self, x):
        return self.call(x)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(net, image, reentrant):
    streamed = stream(net, tile=16)
    around = Around(net, lambda x: checkpoint(streamed, x, use_reentrant=reentrant).sin())
    assert disagreements(answer(Around(net, lambda x: net(x).sin()), image), answer(around, image)) == {}


@pytest.mark.parametrize("hooks", [
    torch.autograd.graph.save_on_cpu(),
    torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor),
])  # fmt: skip
def test_hooks_on_saved_tensors(net, image, hooks):
    expected, streamed = answer(net, image), stream(net, tile=16)
    with hooks:
        found = answer(streamed, image)
    assert disagreements(expected, found) == {}


def test_functional_call_with_other_weights(net, image):
    streamed = stream(net, tile=16)
    weights = {name: (p.detach() * 1.5).requires_grad_() for name, p in net.named_parameters()}
    runs = []
    for module in (net, streamed):
        out = torch.func.functional_call(module, weights, (image,))
        runs.append([out, *torch.autograd.grad(out.square().sum(), list(weights.values()))])
    assert all(relative_error(one, two) < 1e-10 for one, two in zip(*runs, strict=True))
    assert relative_error(net(image), streamed(image)) < 1e-10  # the module's own weights are back


def test_functional_call_with_weights_computed_from_others(net, image):
    """As in meta-learning: one step of gradient descent, and a gradient through the weights it gave."""
    streamed, names = stream(net, tile=16), [name for name, _ in net.named_parameters()]
    start = [p.detach().clone().requires_grad_() for p in net.parameters()]
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    runs = []
    for module in (net, streamed):
        weights = dict(zip(names, (p * scale for p in start), strict=True))
        out = torch.func.functional_call(module, weights, (image,))
        runs.append(torch.autograd.grad(out.square().sum(), [scale, *start]))
    assert all(relative_error(one, two) < 1e-10 for one, two in zip(*runs, strict=True))


@pytest.mark.parametrize("optimiser", [torch.optim.AdamW, torch.optim.RMSprop])
def test_steps_with_clipping_and_accumulation(net, image, optimiser):
    """Three steps, each from two backward passes, clipped by norm and by value."""
    runs = []
    for wrap in (lambda m: m, lambda m: stream(m, tile=16)):
        module = copy.deepcopy(net)
        run, steps = wrap(module), optimiser(module.parameters(), lr=1e-2)
        for _ in range(3):
            for part in (image, image.flip(3)):
                (run(part).square().mean() / 2).backward()
            nn.utils.clip_grad_norm_(run.parameters(), 0.3)
            nn.utils.clip_grad_value_(run.parameters(), 0.05)
            steps.step()
            steps.zero_grad()
        runs.append(list(module.parameters()))
    assert all(relative_error(one, two) < 1e-8 for one, two in zip(*runs, strict=True))


def test_autocast_sums_gradients_of_tiles_in_float32():
    """The error of a gradient does not grow with the number of tiles: it stays that of bfloat16 itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 2, 1, bias=False))
    image = torch.rand(1, 3, 256, 256)
    net(image).mean().backward()
    exact = [p.grad.clone() for p in net.parameters()]
    errors = {}
    for tile in (256, 16):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = stream(net, tile=tile)(image)
        assert out.dtype == torch.bfloat16
        out.float().mean().backward()
        assert all(p.grad.dtype == torch.float32 for p in net.parameters())
        errors[tile] = max(relative_error(one, p.grad) for one, p in zip(exact, net.parameters(), strict=True))
    assert errors[16] < 0.02
    assert errors[16] < 2 * errors[256] + 0.005


class Roundings(TorchDispatchMode):
    """Counts the tensors of some shapes that are turned into half precision."""

    def __init__(self, shapes):
        super().__init__()
        self.shapes, self.count = shapes, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and args[0].shape in self.shapes:
            self.count += (kwargs or {}).get("dtype") == torch.bfloat16
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("train", [False, True])
def test_under_autocast_weights_are_rounded_once_per_pass_and_not_once_per_tile(train):
    torch.manual_seed(0)
    net, image = paper_table1_trunk(4), torch.rand(1, 3, 96, 96)
    streamed = stream(net, tile=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        streamed.plan(image.shape, backward=train)
        with torch.set_grad_enabled(train), Roundings({p.shape for p in net.parameters() if p.ndim == 4}) as roundings:
            out = streamed(image)
    if train:
        with roundings:
            out.float().sum().backward()
    assert streamed.last_report.tiles_run == 9
    assert roundings.count == (8 if train else 4)


def test_the_result_lies_in_memory_as_that_of_the_untiled_network():
    image = torch.rand(1, 3, 64, 64)
    for layout in (torch.channels_last, torch.contiguous_format):
        net = paper_table1_trunk(4).to(memory_format=layout)
        out = stream(net, tile=32)(image.to(memory_format=layout))
        assert out.is_contiguous(memory_format=layout)


def test_ordinary_module_before_and_after(net, image):
    before, after = nn.Conv2d(3, 3, 1).double(), nn.Linear(3, 2).double()

    class Whole(nn.Module):
        def __init__(self, middle):
            super().__init__()
            self.before, self.middle, self.after = before, middle, after

        def forward(self, x):
            return self.after(self.middle(self.before(x)).amax((2, 3)))

    expected, found = answer(Whole(net), image), answer(Whole(stream(net, tile=16)), image)
    assert disagreements(expected, found) == {}


def tangent_along_itself(function, x):
    with forward_mode.dual_level():
        return forward_mode.unpack_dual(function(forward_mode.make_dual(x, x))).tangent


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("transform", [
    lambda f, x: torch.func.grad(lambda y: f(y).sum())(x),
    lambda f, x: torch.func.vjp(f, x),
    lambda f, x: torch.func.vmap(f)(x[None]),
    lambda f, x: torch.func.jvp(f, (x,), (x,)),
    tangent_along_itself,
], ids=["grad", "vjp", "vmap", "jvp", "dual"])  # fmt: skip
def test_transforms_of_functions_are_refused_not_wrong(frozen, transform, image):
    """A frozen network gives no step of autograd that would refuse: its tangents would be lost without a word."""
    streamed = stream(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh()).double().requires_grad_(not frozen), tile=16)
    with pytest.raises(UnsupportedOperation, match=r"torch\.func|forward-mode"):
        transform(streamed, image)


def test_tangents_of_weights_are_refused(image):
    streamed = stream(nn.Conv2d(3, 4, 3).double().requires_grad_(False), tile=16)
    with forward_mode.dual_level():
        weights = {name: forward_mode.make_dual(p, p) for name, p in streamed.named_parameters()}
        with pytest.raises(UnsupportedOperation, match="forward-mode"):
            torch.func.functional_call(streamed, weights, (image,))


@pytest.mark.parametrize("capture", ["fx", "export"])
def test_wrapped_or_first_run_in_inference_mode(capture, image):
    """As in a validation loop: the graph of eval mode is read there, and serves training with frozen norms later."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Upsample(scale_factor=1.7, mode="bilinear")).double()
    streamed = stream(net.train(), tile=16, capture=capture)
    streamed.eval()
    with torch.inference_mode():
        assert relative_error(net(image), streamed(image)) < 1e-10
        streamed = stream(net, tile=16, capture=capture)
        assert relative_error(net(image), streamed(image)) < 1e-10
    assert disagreements(answer(net, image), answer(streamed, image)) == {}
