"""The wrapper behaves as the module it wraps: names, modes, optimisers, autocast, and the run's own controls."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.errors import Cancelled, RegionError
from napari_gigaclf.streaming import Sink, Source, stream
from napari_gigaclf.testing.networks import ResNet18Trunk, paper_table1_trunk
from napari_gigaclf.testing.oracle import answer, disagreements


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.PReLU(3), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=1))


class ArraySource:
    """A source over an array that counts what is read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.times = np.zeros(array.shape[1:], dtype=int)
        self.reads = 0

    def read(self, *slices):
        self.times[slices] += 1
        self.reads += 1
        return self.array[(slice(None), *slices)]


class Sunk(nn.Module):
    """A streamed module that also gives the image's gradient to a sink."""

    def __init__(self, streamed, sink):
        super().__init__()
        self.streamed, self.sink = streamed, sink

    def forward(self, x):
        return self.streamed.stream(x, self.sink)

    def named_parameters(self, *args, **kwargs):
        return self.streamed.named_parameters(*args, **kwargs)


class CountingSink:
    def __init__(self, shape):
        self.array, self.times = np.full(shape, np.nan), np.zeros(shape[1:], dtype=int)

    def write(self, slices, array):
        self.array[(slice(None), *slices)] = array
        self.times[slices] += 1


def test_names_and_parameters_are_the_modules_own():
    module = small()
    streamed = stream(module, tile=8)
    assert list(streamed.state_dict()) == list(module.state_dict())
    assert all(a is b for a, b in zip(streamed.parameters(), module.parameters(), strict=True))
    other = small()
    streamed.load_state_dict(other.state_dict())
    assert torch.equal(module[0].weight, other[0].weight)
    assert list(nn.Sequential(streamed, nn.ReLU()).state_dict()) == [f"0.{name}" for name in module.state_dict()]


class WithHabits(nn.Module):
    """Does more than usual when its mode is set, and when its state is taken and put back."""

    _version = 3

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.epoch = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), 5

    def forward(self, x):
        return self.norm(self.conv(x))

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def get_extra_state(self):
        return {"epoch": self.epoch}

    def set_extra_state(self, state):
        self.epoch = state["epoch"]

    def _load_from_state_dict(self, state, prefix, *rest):
        for name in ("weight", "bias"):
            if f"{prefix}old.{name}" in state:
                state[f"{prefix}conv.{name}"] = state.pop(f"{prefix}old.{name}")
        super()._load_from_state_dict(state, prefix, *rest)


def test_a_module_that_keeps_its_norms_frozen_does_so_when_streamed():
    """A ``train`` of its own is a common way of training with fixed statistics."""
    module, image = WithHabits(), torch.rand(1, 2, 20, 20)
    streamed = stream(module, tile=8).train()
    assert (streamed.training, module.training, module.norm.training) == (True, True, False)
    streamed(image)
    assert module.norm.num_batches_tracked == 0
    assert not streamed.eval().training
    assert not module.training


@pytest.mark.parametrize("whole", [lambda part: part, lambda part: nn.ModuleDict({"trunk": part})])
def test_state_is_taken_and_put_back_as_the_module_does_it(whole):
    module = WithHabits()
    module.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update({f"{prefix}by": 1}))
    module.register_load_state_dict_pre_hook(lambda module, state, prefix, *rest: state.pop(f"{prefix}by"))
    expected, streamed = whole(module).state_dict(), whole(stream(module))
    found = streamed.state_dict()
    assert list(found) == list(expected)
    assert found._metadata == expected._metadata
    older = {name.replace("conv", "old"): value for name, value in expected.items()}
    for name, value in older.items():
        older[name] = {"epoch": 9} if name.endswith("extra_state") else value + 1
    streamed.load_state_dict(older)
    assert module.epoch == 9
    torch.testing.assert_close(module.conv.weight.detach(), older[next(n for n in older if "old.weight" in n)])


def test_conversion_reaches_the_wrapped_module():
    module = small()
    streamed = stream(module, tile=8).double()
    assert module[0].weight.dtype == torch.float64
    image = torch.randn(1, 2, 20, 20, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(streamed, image)) == {}


def test_copy_is_independent():
    streamed = stream(small(), tile=8)
    twin = copy.deepcopy(streamed)
    with torch.no_grad():
        twin.module[0].weight.add_(1)
    image = torch.randn(1, 2, 20, 20)
    assert not torch.allclose(streamed(image), twin(image))
    torch.testing.assert_close(twin(image), twin.module(image))


def test_training_gives_the_same_losses():
    image = torch.randn(1, 2, 40, 33, dtype=torch.float64)
    losses = []
    for wrap in (lambda m: m, lambda m: stream(m, tile=16)):
        module = small().double()
        run = wrap(module)
        optimiser = torch.optim.SGD(run.parameters(), lr=0.1, momentum=0.9)
        seen = []
        for _ in range(5):
            optimiser.zero_grad()
            loss = run(image).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(run.parameters(), 0.5)
            optimiser.step()
            seen.append(loss.item())
        losses.append(seen)
    assert losses[0][-1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-10)


def test_gradients_accumulate_and_hooks_of_parameters_run_once():
    module = small().double()
    streamed, image = stream(module, tile=8), torch.randn(1, 2, 20, 20, dtype=torch.float64)
    calls = []
    module[0].weight.register_post_accumulate_grad_hook(lambda p: calls.append(1))
    streamed(image).sum().backward()
    once = module[0].weight.grad.clone()
    streamed(image).sum().backward()
    torch.testing.assert_close(module[0].weight.grad, 2 * once)
    assert len(calls) == 2


def test_backward_twice_with_and_without_retained_graph():
    streamed, image = stream(small().double(), tile=8), torch.randn(1, 2, 20, 20, dtype=torch.float64)
    out = streamed(image).sum()
    out.backward(retain_graph=True)
    once = streamed.module[0].weight.grad.clone()
    out.backward()
    torch.testing.assert_close(streamed.module[0].weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_weights_changed_before_backward_are_noticed():
    streamed = stream(small(), tile=8)
    out = streamed(torch.randn(1, 2, 20, 20)).sum()
    with torch.no_grad():
        streamed.module[3].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_frozen_parameters_get_no_gradient_and_the_rest_is_exact():
    module = small().double()
    module[0].requires_grad_(False)
    image = torch.randn(1, 2, 20, 20, dtype=torch.float64)
    module(image).sum().backward()
    expected = [p.grad.clone() for p in module.parameters() if p.requires_grad]
    module.zero_grad()
    stream(module, tile=8)(image).sum().backward()
    assert module[0].weight.grad is None
    found = [p.grad for p in module.parameters() if p.requires_grad]
    torch.testing.assert_close(found, expected)


def test_shared_parameter_gets_both_gradients():
    module = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1)).double()
    module[2].weight = module[0].weight
    image = torch.randn(1, 2, 20, 20, dtype=torch.float64)
    assert disagreements(answer(module, image), answer(stream(module, tile=8), image)) == {}


def test_autocast_of_forward_holds_in_backward():
    module, image = paper_table1_trunk(4), torch.randn(1, 3, 64, 64)
    streamed, gradients = stream(module, tile=32), []
    for run in (module, streamed):
        module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = run(image)
        assert out.dtype == torch.bfloat16
        out.float().square().mean().backward()
        gradients.append(module[0].weight.grad.clone())
    assert gradients[1].dtype == torch.float32
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[0].norm()


def test_without_gradients_only_a_strip_of_borders_is_held():
    streamed, image = stream(small(), tile=8), torch.randn(1, 2, 200, 40)
    streamed(image)
    stored = streamed.last_report.peak_carry_bytes
    with torch.no_grad():
        out = streamed(image)
    assert not out.requires_grad
    assert streamed.last_report.peak_carry_bytes < stored / 5


def test_source_is_read_once_per_pass_and_its_gradient_written_once():
    module, array = small().double(), np.random.default_rng(0).normal(size=(2, 37, 29))
    expected = answer(module, torch.from_numpy(array)[None])
    source, sink, streamed = ArraySource(array), CountingSink(array.shape), stream(module, tile=8)
    assert isinstance(source, Source)
    assert isinstance(sink, Sink)
    module.zero_grad()
    out = streamed.stream(source, sink)
    assert (source.times == 1).all()
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype))
    assert (source.times == 2).all()
    assert source.reads == streamed.last_report.reads == 2 * streamed.plan(array.shape).reads
    assert (sink.times == 1).all()
    np.testing.assert_allclose(sink.array, expected.image_gradient[0].numpy(), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(module[0].weight.grad, expected.gradients["0.weight"])


def test_sink_alone_needs_no_trained_parameter_and_can_be_an_array():
    module, array = small().double().requires_grad_(False), np.random.default_rng(0).normal(size=(2, 20, 21))
    gradient = np.full(array.shape, np.nan)
    stream(module, tile=8).stream(ArraySource(array), gradient).sum().backward()
    leaf = torch.from_numpy(array)[None].requires_grad_()
    module(leaf).sum().backward()
    np.testing.assert_allclose(gradient, leaf.grad[0].numpy(), rtol=1e-10, atol=1e-13)


def test_a_tensor_that_wants_its_gradient_gets_it_beside_a_sink():
    module, image = small().double(), torch.randn(1, 2, 20, 21, dtype=torch.float64)
    expected, sink = answer(module, image), torch.full((2, 20, 21), float("nan"), dtype=torch.float64)
    streamed = stream(module, tile=8)
    assert disagreements(expected, answer(Sunk(streamed, sink), image)) == {}
    torch.testing.assert_close(sink, expected.image_gradient[0], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("sink", "error", "text"),
    [
        (np.zeros((2, 20, 20)), ValueError, r"\(2, 20, 20\).*\(2, 20, 21\)"),
        (np.zeros((20, 21)), ValueError, "shape"),
        (np.zeros((2, 20, 21), np.uint8), ValueError, "whole numbers"),
        ("gradient.zarr", TypeError, "str cannot take a gradient"),
    ],
)
def test_a_sink_that_does_not_fit_is_refused_before_the_forward_pass(sink, error, text):
    tiles = []
    with pytest.raises(error, match=text):
        stream(small(), tile=8).stream(torch.zeros(1, 2, 20, 21), sink, progress=tiles.append)
    assert not tiles


def test_a_sink_for_an_image_of_whole_numbers_is_refused():
    with pytest.raises(ValueError, match=r"uint8.*give it as float32"):
        stream(small(), tile=8).stream(np.zeros((2, 20, 21), np.uint8), np.zeros((2, 20, 21)))


def test_integer_source_is_normalised_by_the_module():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = small()

        def forward(self, x):
            return self.trunk(x / 255 - 0.5)

    array = np.random.default_rng(0).integers(0, 255, size=(2, 20, 21), dtype=np.uint8)
    module = Normalised()
    found = stream(module, tile=8)(ArraySource(array))
    torch.testing.assert_close(found, module(torch.from_numpy(array)[None]))


def test_source_of_wrong_shape_is_noticed():
    class Short(ArraySource):
        def read(self, *slices):
            return super().read(*slices)[:, 1:]

    with pytest.raises(ValueError, match="the source returned shape"):
        stream(small(), tile=8)(Short(np.zeros((2, 20, 20), dtype=np.float32)))


def test_progress_reports_every_tile_of_both_passes():
    streamed, seen = stream(small(), tile=8), []
    streamed.stream(torch.randn(1, 2, 20, 20), progress=seen.append).sum().backward()
    assert [(p.done, p.total, p.phase) for p in seen] == [
        (done, 9, phase) for phase in ("forward", "backward") for done in range(1, 10)
    ]
    assert {p.unit for p in seen} == {"tile"}


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_cancel_stops_between_tiles(phase):
    cancel, seen = threading.Event(), []

    def progress(report):
        seen.append(report)
        if report.phase == phase and report.done == 4:
            cancel.set()

    streamed = stream(small(), tile=8)
    with pytest.raises(Cancelled):  # noqa: PT012 - either pass may be the one
        out = streamed.stream(torch.randn(1, 2, 20, 20), progress=progress, cancel=cancel)
        out.sum().backward()
    assert (seen[-1].phase, seen[-1].done) == (phase, 4)
    assert streamed.module[0].weight.grad is None


def test_output_blocks_arrive_as_part_of_the_map():
    streamed, image = stream(small(), tile=8), torch.randn(1, 2, 30, 21)
    collected = torch.full((1, 4, 15, 10), float("nan"))

    def take(slices, block):
        collected[(slice(None), slice(None), *slices)] = block

    with torch.no_grad():
        out = streamed.stream(image, on_output=take)
    assert torch.equal(collected, out)


def test_geometry_matches_where_gradients_come_from():
    streamed = stream(ResNet18Trunk(2).eval().double())
    cell = streamed.geometry()[0]
    assert (cell.stride, cell.receptive_field, cell.before, cell.offset) == (32, 435, 217, -15.5)
    image = torch.rand(1, 3, 1, 2000, dtype=torch.float64)  # one row: the other axis is all padding
    image.requires_grad_()
    module = nn.Sequential(
        nn.Conv2d(3, 1, (1, 7), (1, 2), (0, 3)), nn.AvgPool2d((1, 3), (1, 2), (0, 1)), nn.Conv2d(1, 1, (1, 5))
    )
    cell = stream(module.double()).geometry()[1]
    module(image)[0, 0, 0, 50].backward()
    touched = image.grad[0, 0, 0].nonzero().flatten()
    first = 50 * cell.stride - cell.before
    assert (touched.min().item(), touched.max().item() + 1) == (first, first + cell.receptive_field)


def test_unpadded_cells_have_whole_offsets():
    module = nn.Sequential(
        nn.ZeroPad2d(32), nn.Conv2d(3, 4, 5, 4), nn.MaxPool2d(4, 4), nn.AvgPool2d(2, 2), nn.Conv2d(4, 4, 1)
    )
    cell = stream(module).geometry()[1]
    assert (cell.stride, cell.before) == (32, 32)
    assert cell.offset == -32 + (cell.receptive_field - 32) / 2


@pytest.mark.parametrize(
    "slices", [(slice(0, 0), slice(0, 2)), (slice(0, 4, 2), slice(0, 2)), (slice(0, 2),), (slice(90, 99), slice(0, 2))]
)
def test_senseless_regions_are_refused(slices):
    with pytest.raises(RegionError):
        stream(small()).region(torch.zeros(1, 2, 20, 20), slices)


def test_region_reads_its_receptive_field_alone():
    source = ArraySource(np.zeros((2, 200, 200), dtype=np.float32))
    stream(small(), tile=8).region(source, (slice(20, 22), slice(30, 31)))
    rows, columns = source.times.nonzero()
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (37, 47, 57, 65)
