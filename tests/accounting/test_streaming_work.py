"""Work is counted, not timed: arithmetic, reads and bytes are what the plan promised."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.networks import (
    ConvNeXt,
    InceptionBlock,
    ResNet18Trunk,
    UNet,
    paper_table1_trunk,
    paper_table2_trunk,
)

DROPPING = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(8, 8, 3), nn.Dropout2d())

NETWORKS = {
    "paper Table 1": paper_table1_trunk(8),
    "paper Table 2": paper_table2_trunk(4, 8),
    "ResNet-18": ResNet18Trunk(8).eval(),
    "Inception block": InceptionBlock(3),
    "U-Net, nearest": UNet(3, 2, 6, depth=3, way="nearest").eval(),
    "U-Net, bilinear": UNet(3, 2, 6, depth=3, way="bilinear").eval(),
    "U-Net, transposed": UNet(3, 2, 6, depth=3, way="transposed").eval(),
    "ConvNeXt": ConvNeXt(8),
    "active dropout": DROPPING,
}


def counted_macs(run, image):
    """Return the multiply-accumulates that PyTorch's own counter sees."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        run(image)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("tile", [32, 64, (48, 200)])
def test_arithmetic_is_that_of_the_untiled_network_plus_what_was_promised(name, tile):
    module, image = NETWORKS[name], torch.randn(2, 3, 144, 112)
    streamed = stream(module, tile=tile)
    plan = streamed.plan(image.shape)
    with torch.no_grad():
        streamed(image)  # the first call also looks at one pixel to learn channels
    assert plan.untiled_macs == counted_macs(module, image)
    assert plan.macs == counted_macs(streamed, image)


def test_recomputation_is_small_where_the_plan_chooses():
    plan = stream(ResNet18Trunk().eval()).plan((3, 8192, 8192))
    assert plan.recomputed_macs < 0.02 * plan.untiled_macs


@pytest.mark.parametrize("name", NETWORKS)
def test_carried_bytes_are_as_promised(name):
    module, image = NETWORKS[name], torch.randn(1, 3, 232, 192)
    streamed = stream(module, tile=32)
    streamed(image)
    assert streamed.last_report.peak_carry_bytes == streamed.plan(image.shape, backward=True).carry_bytes
    with torch.no_grad():
        streamed(image)
    assert streamed.last_report.peak_carry_bytes <= streamed.plan(image.shape, backward=False).carry_bytes


def live_bytes(run):
    """Return the most bytes of CPU tensors allocated at once while running."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    live, peak = 0, 0
    events = sorted(
        (e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()
    )
    for event in events:
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("backward", "kept"), [(False, 0), (True, 0), (True, 5), (True, 16)])
def test_peak_memory_stays_below_what_was_promised(name, backward, kept):
    module, image = NETWORKS[name], torch.randn(1, 3, 384, 320)
    streamed = stream(module, tile=96)
    plan = streamed.plan(image.shape, backward=backward)
    if kept:
        streamed = stream(module, tile=96, memory=plan.peak_bytes + (kept - 1) * plan.graph_bytes)
        plan = streamed.plan(image.shape)
        assert plan.kept_graphs == kept

    def run():
        with torch.set_grad_enabled(backward):
            out = streamed(image)
            if backward:
                out.sum().backward()

    module.zero_grad(set_to_none=True)
    run()  # libraries, caches
    module.zero_grad(set_to_none=True)
    output_bytes = 4 * torch.Size(plan.output_shape).numel()
    weights = sum(p.numel() * 4 for p in module.parameters())
    assert live_bytes(run) <= plan.peak_bytes + 2 * output_bytes + 3 * weights


@pytest.mark.parametrize("name", NETWORKS)
def test_peak_memory_stays_below_what_was_promised_with_borders_on_disk(name):
    module, image = NETWORKS[name], torch.randn(1, 3, 384, 320)
    plan = stream(module, tile=32).plan(image.shape)
    streamed = stream(module, tile=32, memory=plan.peak_bytes - plan.carry_bytes // 2)
    assert streamed.plan(image.shape).spilled_tiles > 0

    def run():
        module.zero_grad(set_to_none=True)
        streamed(image).sum().backward()

    run()
    output_bytes = 4 * torch.Size(plan.output_shape).numel()
    weights = sum(p.numel() * 4 for p in module.parameters())
    assert live_bytes(run) <= streamed.plan(image.shape).peak_bytes + 2 * output_bytes + 3 * weights


def test_plan_is_a_pure_value_and_prints():
    streamed = stream(ResNet18Trunk(8).eval(), tile=64)
    plan = streamed.plan((3, 1000, 900))
    assert plan == stream(ResNet18Trunk(8).eval(), tile=64).plan((1, 3, 1000, 900))
    assert plan.output_shape == (1, 64, 32, 29)
    assert plan.num_tiles == plan.reads == 16 * 15
    assert "240 (16 x 15)" in str(plan)


def test_more_memory_never_means_smaller_tiles():
    module = paper_table1_trunk()
    sides = [stream(module, memory=memory).plan((3, 4096, 4096)).tile[0] for memory in ("80MB", "200MB", "1GB", "20GB")]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]


def test_explicit_memory_is_kept():
    plan = stream(paper_table1_trunk(), memory="100MB").plan((3, 4096, 4096))
    assert plan.peak_bytes <= 100_000_000
