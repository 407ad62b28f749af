"""A memory budget is used up: graphs are kept instead of run again, and the numbers stay the same."""

import copy
import errno

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from napari_gigaclf.errors import OutputError, UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.planning.choosing import THRIFT
from napari_gigaclf.streaming.running.spill import SpillFile
from napari_gigaclf.testing.networks import InceptionBlock, ResNet18Trunk, ThinDenseNet, paper_table2_trunk
from napari_gigaclf.testing.oracle import answer, disagreements

NETWORKS = {
    "paper Table 2": paper_table2_trunk(3, 4),
    "ResNet-18": ResNet18Trunk(4),
    "Inception block": InceptionBlock(3),
    "DenseNet": ThinDenseNet(),
}


def budget_for(module, image, tile, kept):
    """Return the memory at which a step keeps exactly this many graphs."""
    plan = stream(module, tile=tile).plan(image.shape)
    return plan.peak_bytes + max(kept - 1, 0) * plan.graph_bytes


def step_macs(run, image):
    counter = FlopCounterMode(display=False)
    with counter:
        run(image).sum().backward()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kept", [1, 4, 11, 30])
def test_kept_graphs_change_no_number(name, kept):
    module, image = copy.deepcopy(NETWORKS[name]).double().eval(), torch.randn(2, 3, 150, 170, dtype=torch.float64)
    streamed = stream(module, tile=32, memory=budget_for(module, image, 32, kept))
    assert streamed.plan(image.shape).kept_graphs == kept
    assert disagreements(answer(module, image), answer(streamed, image)) == {}
    report = streamed.last_report
    assert (report.tiles_kept, report.tiles_run_backward) == (kept, 30)
    assert report.reads == 30 + (30 - kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_arithmetic_saved_is_what_the_plan_said(name):
    module, image = copy.deepcopy(NETWORKS[name]).eval(), torch.randn(1, 3, 150, 170)
    counts, plans = {}, {}
    for kept in (1, 7, 30):
        streamed = stream(module, tile=32, memory=budget_for(module, image, 32, kept))
        plans[kept] = streamed.plan(image.shape)
        counts[kept] = step_macs(streamed, image)
    assert plans[30].rerun_macs == 0
    for kept in (1, 7):
        assert counts[kept] - counts[30] == plans[kept].rerun_macs > 0


def test_a_tile_that_is_asked_for_keeps_nothing_and_a_default_plan_what_takes_little():
    assert stream(paper_table2_trunk(2, 4), tile=32).plan((3, 64, 64)).kept_graphs == 0
    assert stream(paper_table2_trunk(2, 4)).plan((3, 64, 64)).rerun_macs == 0


@pytest.mark.parametrize("name", ["paper Table 2", "ResNet-18"])
def test_a_plan_of_its_own_choice_takes_more_memory_only_where_that_saves_enough(name):
    module = {"paper Table 2": paper_table2_trunk(5), "ResNet-18": ResNet18Trunk()}[name].eval()
    shape = (1, 3, 2048, 2048)
    chosen = stream(module).plan(shape)

    def price(plan):
        return plan.effort * plan.peak_bytes**THRIFT

    others = [stream(module, memory=int(share * chosen.peak_bytes)).plan(shape) for share in (0.8, 1.0, 1.2, 1.5)]
    lean = [plan for plan in others if plan.peak_bytes <= 1.2 * chosen.peak_bytes and not plan.spill_bytes]
    assert lean
    assert all(price(chosen) <= 1.001 * price(plan) for plan in lean)


def test_forward_alone_keeps_nothing():
    streamed, image = stream(paper_table2_trunk(2, 4), memory="1GB"), torch.randn(1, 3, 64, 64)
    assert streamed.plan(image.shape, backward=False).kept_graphs == 0
    assert streamed.plan(image.shape, backward=True).kept_graphs > 0


def test_backward_twice_runs_again_what_was_kept():
    module, image = paper_table2_trunk(2, 4).double(), torch.randn(1, 3, 70, 70, dtype=torch.float64)
    streamed = stream(module, tile=16, memory="1GB")
    out = streamed(image).sum()
    out.backward(retain_graph=True)
    assert streamed.last_report.tiles_kept == 25
    once = module[0].weight.grad.clone()
    out.backward()
    assert streamed.last_report.tiles_kept == 0
    torch.testing.assert_close(module[0].weight.grad, 2 * once, rtol=1e-10, atol=0)


def test_a_weight_changed_before_backward_is_noticed_with_kept_graphs():
    streamed = stream(paper_table2_trunk(2, 4), memory="1GB")
    out = streamed(torch.randn(1, 3, 64, 64)).sum()
    with torch.no_grad():
        streamed.module[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_frozen_parameters_with_kept_graphs():
    module = paper_table2_trunk(2, 4).double()
    module[0].requires_grad_(False)
    image = torch.randn(1, 3, 70, 70, dtype=torch.float64)
    module(image).square().sum().backward()
    expected = [p.grad.clone() for p in module.parameters() if p.requires_grad]
    module.zero_grad()
    streamed = stream(module, tile=16, memory="1GB")
    streamed(image).square().sum().backward()
    assert module[0].weight.grad is None
    assert streamed.last_report.tiles_kept == 25
    found = [p.grad for p in module.parameters() if p.requires_grad]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_sink_gets_its_gradient_from_kept_graphs():
    module = paper_table2_trunk(2, 4).double().requires_grad_(False)
    image = torch.randn(1, 3, 70, 61, dtype=torch.float64)
    gradient = np.full((3, 70, 61), np.nan)
    streamed = stream(module, tile=16, memory="1GB")
    streamed.stream(image, gradient).square().sum().backward()
    leaf = image.clone().requires_grad_()
    module(leaf).square().sum().backward()
    assert streamed.last_report.tiles_kept > 0
    np.testing.assert_allclose(gradient, leaf.grad[0].numpy(), rtol=1e-9, atol=1e-12)


def test_autocast_with_kept_graphs():
    module, image, gradients = paper_table2_trunk(2, 8), torch.randn(1, 3, 64, 64), []
    for run in (stream(module, tile=16), stream(module, tile=16, memory=budget_for(module, image, 16, 5))):
        module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = run(image)
        out.float().square().mean().backward()
        gradients.append(module[0].weight.grad.clone())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)


def test_graphs_die_with_the_output():
    streamed = stream(paper_table2_trunk(2, 4), memory="1GB")
    out = streamed(torch.randn(1, 3, 64, 64))
    graphs = out.grad_fn.tape.graphs
    assert graphs
    out.sum().backward()
    assert not graphs


def test_a_tile_that_was_asked_for_stays_and_spills_what_it_can():
    streamed = stream(paper_table2_trunk(2, 4), tile=32, memory=1000)
    plan = streamed.plan((3, 300, 300))
    assert plan.tile == (32, 32)
    assert 1000 < plan.peak_bytes < stream(streamed.module, tile=32).plan((3, 300, 300)).peak_bytes


def test_too_little_memory_for_any_tile_is_refused():
    with pytest.raises(UnsupportedOperation, match="too small"):
        stream(paper_table2_trunk(2, 4), memory=1000).plan((3, 300, 300))


@pytest.fixture
def tight():
    """A network, an image, and the least memory in which a step of it fits."""
    module, image = paper_table2_trunk(2, 4).double(), torch.randn(1, 3, 300, 70, dtype=torch.float64)
    return module, image, stream(module, tile=16, memory=1).plan(image.shape).peak_bytes


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_borders_go_to_disk_where_there_is_no_room(tmp_path, tight, share):
    module, image, least = tight
    roomy = stream(module, tile=16).plan(image.shape).peak_bytes
    memory = least + int(share * (roomy - least))
    streamed = stream(module, tile=16, memory=memory, spill=tmp_path)
    plan = streamed.plan(image.shape)
    assert 0 < plan.spilled_tiles <= plan.num_tiles
    assert plan.peak_bytes <= memory
    assert disagreements(answer(module, image), answer(streamed, image)) == {}
    report = streamed.last_report
    assert report.spilled_bytes == plan.spill_bytes > 0
    assert report.peak_carry_bytes < plan.carry_bytes
    assert list(tmp_path.iterdir()) == []
    assert f"of {plan.spilled_tiles} tiles" in str(plan)


def test_spilling_lowers_what_is_held(tight):
    module, image, least = tight
    held = []
    for memory in (None, least):
        streamed = stream(module, tile=16, memory=memory)
        streamed(image).sum().backward()
        held.append(streamed.last_report.peak_carry_bytes)
    assert held[1] < held[0] / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_spilled_pieces_come_back_bit_by_bit(tmp_path, dtype, layout):
    pieces = {
        (0, 1): torch.randn(2, 3, 5, 7).to(dtype, memory_format=layout),
        (4, 0): torch.zeros(0, 3, 1, 2).to(dtype),
    }
    file = SpillFile(tmp_path)
    file.put((0, 1), {(9, 9): torch.ones(3)})
    file.put((2, 1), pieces)
    found = file.get((2, 1))
    assert file.num_bytes == 12 + 2 * 3 * 5 * 7 * dtype.itemsize
    for key, piece in pieces.items():
        assert torch.equal(found[key], piece)
        assert found[key].stride() == piece.stride()
    assert file.get((0, 0)) == {}


def test_no_room_on_disk_is_one_line(tmp_path, tight, monkeypatch):
    module, image, least = tight
    with pytest.raises(OutputError, match="give stream"):
        stream(module, tile=16, memory=least, spill=tmp_path / "missing")(image)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SpillFile, "_write", full)
    with pytest.raises(OutputError, match="No space left on device"):
        stream(module, tile=16, memory=least, spill=tmp_path)(image)


def test_smaller_tiles_come_before_the_disk():
    module = paper_table2_trunk(2, 4)
    plan = stream(module, memory=stream(module, tile=64).plan((3, 512, 512)).peak_bytes).plan((3, 512, 512))
    assert plan.spilled_tiles == 0


def test_a_flat_image_spills_nothing():
    class Glass:
        shape, dtype, flat_value = (3, 300, 70), np.float64, np.ones(3)

        def read(self, *slices):
            return np.ones((3, *(s.stop - s.start for s in slices)))

        def is_flat(self, *slices):
            return True

    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).double()
    least = stream(module, tile=16, memory=1).plan((3, 300, 70)).peak_bytes
    streamed, plain = stream(module, tile=16, memory=least), stream(module, tile=16)
    gradients = []
    for run in (streamed, plain):
        module.zero_grad()
        run(Glass()).square().sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
    assert streamed.last_report.spilled_bytes < streamed.plan((3, 300, 70)).spill_bytes / 2
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=0)


class Checkpointed(nn.Module):
    def __init__(self, streamed):
        super().__init__()
        self.streamed = streamed

    def forward(self, x):
        return checkpoint(self.streamed, x, use_reentrant=False)


def test_checkpointing_around_kept_graphs():
    module, image = paper_table2_trunk(2, 4).double(), torch.randn(1, 3, 70, 70, dtype=torch.float64)
    run = Checkpointed(stream(module, tile=16, memory="1GB"))
    assert disagreements(answer(Checkpointed(module), image), answer(run, image)) == {}


def test_half_precision_gets_larger_tiles_forward_and_no_larger_ones_in_a_step():
    module, shape = ResNet18Trunk().eval(), (1, 3, 2048, 2048)
    whole = {backward: stream(module).plan(shape, backward=backward) for backward in (False, True)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = {backward: stream(module).plan(shape, backward=backward) for backward in (False, True)}
    assert half[False].tile > whole[False].tile
    assert half[True].tile == whole[True].tile
