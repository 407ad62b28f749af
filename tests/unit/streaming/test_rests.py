"""A run that rests: layers behind a kept map have tiles and kept graphs of their own, and no number changes."""

import copy
from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.errors import Cancelled
from napari_gigaclf.streaming import StreamedModule, stream
from napari_gigaclf.streaming.planning.plan import Budget, Layout
from napari_gigaclf.streaming.planning.rests import bottlenecks
from napari_gigaclf.testing.networks import ResNet18Trunk, ThinDenseNet, paper_table2_trunk
from napari_gigaclf.testing.oracle import answer, disagreements

NETWORKS = {
    "paper Table 2": paper_table2_trunk(3, 4),
    "ResNet-18": ResNet18Trunk(4),
    "DenseNet": ThinDenseNet(),
}


def network(name):
    return copy.deepcopy(NETWORKS[name]).double().eval()


def resting(module, *tiles, rests=None, memory=None):
    """Return the module, streamed with a rest in the middle (or given ones), in these tiles."""
    narrow = bottlenecks(stream(module)._graph())
    rests = {narrow[len(narrow) // 2]} if rests is None else rests
    layout = Layout(tiles=tuple((tile,) for tile in tiles), rests=frozenset(rests))
    return StreamedModule(module, Budget(layout=layout, memory_bytes=memory))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("tiles", [(32, 64), (64, 32), (48, 170), (400, 400)])
def test_numbers_are_the_untiled_module_s(name, tiles):
    module, image = network(name), torch.randn(2, 3, 150, 170, dtype=torch.float64)
    streamed = resting(module, *tiles)
    assert len(streamed.plan(image.shape).stages) == 2
    assert disagreements(answer(module, image), answer(streamed, image)) == {}


def test_three_stages_between_two_rests():
    module, image = network("ResNet-18"), torch.randn(1, 3, 190, 130, dtype=torch.float64)
    narrow = bottlenecks(stream(module)._graph())
    streamed = resting(module, 32, 64, 96, rests={narrow[len(narrow) // 3], narrow[2 * len(narrow) // 3]})
    assert [stage.tile for stage in streamed.plan(image.shape).stages] == [(32, 32), (64, 64), (96, 96)]
    assert disagreements(answer(module, image), answer(streamed, image)) == {}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_graphs_of_both_stages_are_kept_while_there_is_room(share):
    module, image = network("ResNet-18"), torch.randn(1, 3, 150, 170, dtype=torch.float64)
    plain = resting(module, 32, 64).plan(image.shape)
    everything = plain.peak_bytes + sum(stage.num_tiles * stage.graph_bytes for stage in plain.stages)
    memory = plain.peak_bytes + int(share * (everything - plain.peak_bytes))
    streamed = resting(module, 32, 64, memory=memory)
    plan = streamed.plan(image.shape)
    assert plan.peak_bytes <= memory
    assert disagreements(answer(module, image), answer(streamed, image)) == {}
    assert streamed.last_report.tiles_kept == plan.kept_graphs == sum(stage.kept_graphs for stage in plan.stages)
    tiles = [stage.num_tiles for stage in plan.stages]
    assert (plan.kept_graphs == sum(tiles)) == (share == 1.0)
    # What is dear for its bytes is kept first: the layers behind the rest.
    assert plan.stages[0].kept_graphs == 0 or plan.stages[1].kept_graphs == tiles[1]


def test_borders_go_to_disk_stage_by_stage(tmp_path):
    module, image = network("ResNet-18"), torch.randn(1, 3, 150, 170, dtype=torch.float64)
    least = resting(module, 16, 32, memory=1).plan(image.shape)
    assert 0 < least.spill_bytes == sum(stage.spill_bytes for stage in least.stages)
    assert least.peak_bytes < resting(module, 16, 32).plan(image.shape).peak_bytes
    streamed = resting(module, 16, 32, memory=1)
    assert disagreements(answer(module, image), answer(streamed, image)) == {}
    assert streamed.last_report.spilled_bytes == least.spill_bytes


class Glass:
    """White around one square of noise; tells where it is white."""

    dtype, flat_value = np.float64, np.ones(3)

    def __init__(self):
        self.pixels = np.ones((3, 300, 260))
        self.pixels[:, 120:150, 40:70] = np.random.default_rng(0).random((3, 30, 30))
        self.shape = self.pixels.shape

    def read(self, *slices):
        return self.pixels[(slice(None), *slices)]

    def is_flat(self, *slices):
        return bool((self.read(*slices) == 1).all())


def test_glass_is_skipped_in_every_stage_and_gradients_find_their_sink():
    # No max-pooling: in a flat image rounding decides which of equal values is the largest.
    layers = [nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 2, 3, 2, 1)]
    module, glass = nn.Sequential(*layers).double(), Glass()
    streamed, found = resting(module, 16, 32), np.full(glass.shape, np.nan)
    out = streamed.stream(glass, sink=found)
    direction = torch.randn(out.shape, dtype=torch.float64)
    out.backward(direction)
    stages, report = streamed.plan((1, *glass.shape)).stages, streamed.last_report
    assert report.tiles_skipped_flat > 0.5 * sum(stage.num_tiles for stage in stages)
    image = torch.from_numpy(glass.pixels)[None].requires_grad_()
    gradients = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    expected = module(image)
    expected.backward(direction)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.from_numpy(found), image.grad[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients, [p.grad for p in module.parameters()], rtol=1e-10, atol=1e-10)


def test_tiles_without_gradient_are_skipped_in_every_stage():
    module, image = network("paper Table 2"), torch.randn(1, 3, 256, 256, dtype=torch.float64)
    streamed = resting(module, 16, 32)
    streamed(image)[0, :, 3, 4].sum().backward()
    report = streamed.last_report
    assert report.tiles_run_backward <= 16  # of 320
    gradients = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    module(image)[0, :, 3, 4].sum().backward()
    torch.testing.assert_close(gradients, [p.grad for p in module.parameters()], rtol=1e-10, atol=1e-10)


def test_progress_counts_the_tiles_of_all_stages_and_output_comes_once():
    module, image = network("ResNet-18"), torch.randn(1, 3, 150, 170, dtype=torch.float64)
    streamed, steps = resting(module, 32, 64), []
    found = torch.full(module(image).shape, float("nan"), dtype=torch.float64)

    def put(slices, block):
        assert found[(..., *slices)].isnan().all()
        found[(..., *slices)] = block

    out = streamed.stream(image, progress=steps.append, on_output=put)
    out.sum().backward()
    total = sum(stage.num_tiles for stage in streamed.plan(image.shape).stages)
    for phase in ("forward", "backward"):
        assert [s.done for s in steps if s.phase == phase] == list(range(1, total + 1))
    assert {s.total for s in steps} == {total}
    torch.testing.assert_close(found, out.detach())


def test_wanted_cells_and_a_cancelled_run():
    module, image = network("paper Table 2"), torch.randn(1, 3, 96, 96, dtype=torch.float64)
    streamed = resting(module, 16, 32)
    cells = torch.rand(12, 12) > 0.5
    torch.testing.assert_close(streamed.stream(image, cells=cells), module(image)[..., cells], rtol=1e-10, atol=1e-10)
    cancel = Event()
    with pytest.raises(Cancelled):
        streamed.stream(image, cancel=cancel, progress=lambda p: cancel.set() if p.done == 40 else None)


def test_out_of_memory_halves_the_tiles_of_every_stage():
    module, image = network("ResNet-18"), torch.randn(1, 3, 256, 256, dtype=torch.float64)

    class Tight:
        shape, dtype = (3, 256, 256), np.float64

        def read(self, *slices):
            if np.prod([s.stop - s.start for s in slices]) > 64 * 64:
                raise MemoryError("no room")
            return image[(0, slice(None), *slices)].numpy()

    streamed = resting(module, 128, 256)
    with pytest.warns(RuntimeWarning, match="tiles of 128 x 128 and 256 x 256 px; going on with 64 x 64 and 128 x 128"):
        out = streamed(Tight())
    out.sum().backward()
    found = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    module(image).sum().backward()
    torch.testing.assert_close(found, [p.grad for p in module.parameters()], rtol=1e-10, atol=1e-10)


def test_training_mode_norms_keep_graphs_in_every_stage():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.ReLU(),
        nn.Conv2d(4, 4, 3),
    ).double().train()  # fmt: skip
    image = torch.randn(2, 3, 90, 70, dtype=torch.float64)
    plain = stream(module, tile=16).plan(image.shape)
    room = plain.peak_bytes + sum(stage.num_tiles * stage.graph_bytes for stage in plain.stages) // 2
    one, two = copy.deepcopy(module), copy.deepcopy(module)
    streamed = stream(two, tile=16, memory=room)
    assert disagreements(answer(one, image), answer(streamed, image)) == {}
    assert 0 < streamed.last_report.tiles_kept < sum(stage.num_tiles for stage in plain.stages)
    torch.testing.assert_close(list(one.buffers()), list(two.buffers()), rtol=1e-10, atol=1e-10)


def test_a_large_step_rests_without_being_asked_and_costs_less():
    module = ResNet18Trunk().eval()
    chosen = stream(module).plan((3, 2048, 2048))
    single = [stream(module, tile=tile).plan((3, 2048, 2048)) for tile in (256, 384, 512)]
    assert chosen.layout.rests
    assert chosen.step_macs < 0.95 * min(plan.step_macs for plan in single)
    assert chosen.effort < 0.9 * min(plan.effort for plan in single)
    assert chosen.peak_bytes < 1.25 * single[-1].peak_bytes
    assert not stream(module).plan((3, 2048, 2048), backward=False).layout.rests
    assert "pass 2" in str(chosen)


def test_a_frozen_stage_is_read_once_and_not_run_backward():
    module, image = network("ResNet-18"), torch.randn(1, 3, 150, 170, dtype=torch.float64)
    narrow = bottlenecks(stream(module)._graph())
    rest = narrow[len(narrow) // 2]
    last = int(stream(module)._graph().nodes[rest].name.split(".")[0])
    for layer in list(module)[: last + 1]:
        layer.requires_grad_(False)
    streamed = resting(module, 32, 64, rests={rest})
    first, second = streamed.plan(image.shape).stages
    streamed(image).square().sum().backward()
    report = streamed.last_report
    assert (report.reads, report.tiles_run_backward) == (first.num_tiles, second.num_tiles)
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    module(image).square().sum().backward()
    expected = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
