"""Tiles that do the same work, run compiled, give the numbers of the untiled network.

PyTorch's backend "aot_eager" derives and runs the compiled function's forward and backward pass without a C++ compiler.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import nn

from napari_gigaclf.errors import CompileError
from napari_gigaclf.streaming import Patchwise, stream
from napari_gigaclf.streaming.running.graphs import TileGraph
from napari_gigaclf.testing.global_networks import se_resnet
from napari_gigaclf.testing.networks import ConvNeXt, InceptionBlock, UNet
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.strategies import Case, cases
from napari_gigaclf.testing.zoo import resnet, shaken


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, 1, 1, padding_mode="reflect"),
        nn.AvgPool2d(3, 2, 1), nn.Conv2d(5, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.PReLU(3),
    ).double().eval()  # fmt: skip


def picture(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


NETWORKS = {
    "chain": (small(), (1, 3, 90, 77), 16),
    "two samples": (small(), (2, 3, 60, 70), 12),
    "one strip": (small(), (1, 3, 11, 90), 16),
    "1-D": (nn.Sequential(nn.Conv1d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv1d(4, 2, 3, padding=1)), (1, 3, 100), 16),
    "ResNet-18": (shaken(resnet()), (1, 3, 60, 700), 64),
    "squeezed, in stages": (shaken(se_resnet(4)), (1, 3, 100, 110), 16),
    "batch norm in training mode": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)), (2, 3, 50, 60), 10,
    ),
    "U-Net": (shaken(UNet(3, 2, 4, depth=2, way="bilinear", joining="size")), (1, 3, 160, 144), 32),
    "Inception": (nn.Sequential(nn.Conv2d(3, 5, 3, 2), InceptionBlock(5)), (1, 3, 90, 95), 24),
    "ConvNeXt": (ConvNeXt(4), (1, 3, 200, 220), 32),
    "on patches": (
        Patchwise(nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.GELU()), 4, 3, 1), (1, 3, 70, 64), 15,
    ),
    "transposed": (
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1)), (1, 3, 60, 70), 12,
    ),
}  # fmt: skip


QUICK = {"chain", "one strip", "1-D", "on patches", "transposed"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
@pytest.mark.parametrize("memory", [None, pytest.param("1GB", marks=pytest.mark.slow)])
def test_value_and_all_gradients_are_the_untiled_networks(name, memory):
    module, shape, tile = NETWORKS[name]
    module, image = module.double(), picture(*shape)
    expected = answer(module, image)
    streamed = stream(module, tile=tile, memory=memory, compile="aot_eager")
    assert disagreements(expected, answer(streamed, image), floor=1e-3) == {}
    report = streamed.last_report
    assert report.tiles_compiled >= 2 * (1 if report.tiles_kept else 2)  # with kept graphs only the forward pass runs
    with torch.no_grad():
        assert (streamed(image) - expected.value).norm() <= 1e-10 * expected.value.norm()
    assert streamed.last_report.tiles_compiled >= 2


@pytest.mark.slow
@settings(
    max_examples=60, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(cases())
def test_drawn_networks_agree(case: Case):
    streamed = stream(case.module, tile=case.tile, compile="aot_eager")
    assert disagreements(answer(case.module, case.image), answer(streamed, case.image)) == {}


class Counting:
    """A backend that counts what it is given, and runs it as it is."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


def test_one_function_serves_all_images_and_steps():
    backend = Counting()
    streamed = stream(small(), tile=12, compile=backend)
    for side in (60, 60, 77):
        streamed(picture(1, 3, side, side)).sum().backward()
    assert backend.graphs == 2  # without gradients forward, with them backward
    with torch.no_grad():
        streamed(picture(1, 3, 83, 60))
    assert backend.graphs == 2


def test_more_kinds_of_tiles_than_the_compiler_remembers_of_one_function():
    backend, module, image = Counting(), nn.Conv1d(3, 4, 3, padding=1).double(), picture(1, 3, 100)
    with torch.no_grad():
        for tile in range(4, 16):
            streamed = stream(module, tile=tile, compile=backend)
            torch.testing.assert_close(streamed(image), module(image), rtol=1e-10, atol=1e-12)
    assert backend.graphs == 12


def test_nothing_is_compiled_unless_asked_for_or_where_no_two_tiles_are_alike():
    image = picture(1, 3, 59, 58)
    odd = UNet(3, 2, 4, depth=2, way="bilinear", joining="size").double().eval()  # interpolates 14 cells to 29, say
    for streamed in (
        stream(small(), tile=12), stream(small(), tile=30, compile="aot_eager"),
        stream(odd, tile=12, compile="aot_eager"),
    ):  # fmt: skip
        streamed(image).sum().backward()
        assert streamed.last_report.tiles_compiled == 0
        assert streamed.last_report.tiles_run > 3


def test_tiles_with_masks_of_their_own_are_not_alike():
    module = nn.Sequential(small(), nn.Dropout(0.5))
    module[1].train()
    streamed, plain = stream(module, tile=12, compile="aot_eager"), stream(module, tile=60)
    found = []
    for run in (streamed, plain):
        torch.manual_seed(3)
        found.append(run(picture(1, 3, 60, 60)))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)
    assert streamed.last_report.tiles_compiled == 0


class Glass:
    """Noise in the middle of a constant."""

    shape, dtype, flat_value = (3, 120, 120), np.float32, np.array([0.1, 0.2, 0.3], dtype=np.float32)

    def __init__(self):
        self.array = np.broadcast_to(self.flat_value[:, None, None], self.shape).copy()
        self.array[:, 50:80, 50:80] = np.random.default_rng(0).random((3, 30, 30))

    def read(self, *slices):
        return self.array[(slice(None), *slices)]

    def is_flat(self, rows, columns):
        return rows.stop <= 50 or rows.start >= 80 or columns.stop <= 50 or columns.start >= 80


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_borders_lie_in_memory_as_they_may(layout):
    module, source = small().to(memory_format=layout), Glass()
    expected = module(torch.from_numpy(source.array).double()[None])
    streamed = stream(module, tile=12, compile="aot_eager")
    for _ in range(2):
        found = streamed(source)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert streamed.last_report.tiles_skipped_flat > 10
    assert streamed.last_report.tiles_compiled > 0


@pytest.mark.slow
def test_autocast_is_that_of_the_run():
    module, image = small().float(), picture(1, 3, 60, 60).float()
    plain, streamed, found = stream(module, tile=12), stream(module, tile=12, compile="aot_eager"), []
    for run in (plain, streamed):
        module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = run(image)
        out.float().square().mean().backward()
        found.append([out.float(), *(p.grad for p in module.parameters())])
    assert out.dtype == torch.bfloat16
    for one, two in zip(*found, strict=True):
        assert (one - two).norm() <= 0.02 * one.norm()
    with torch.no_grad():  # and without it the numbers are single precision's
        torch.testing.assert_close(streamed(image), module(image), rtol=1e-4, atol=1e-5)
    assert streamed.last_report.tiles_compiled > 0


def test_layers_behind_unused_outputs_get_no_gradient():
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3)

        def forward(self, x):
            x = self.trunk(x)
            return self.one(x), self.two(x)

    module = TwoHeads().double()
    for used in (0, 1):
        module.zero_grad()
        stream(module, tile=8, compile="aot_eager")(picture(1, 3, 50, 50))[used].sum().backward()
        assert (module.one.weight.grad is None) == (used == 1)
        assert (module.two.weight.grad is None) == (used == 0)


def test_a_lost_gradient_of_a_border_is_noticed(monkeypatch):
    module, image = small(), picture(1, 3, 90, 77)
    back = TileGraph.back

    def without_seeds(self, targets, seeds, add):
        return back(self, targets, {} if self.result.compiled else seeds, add)

    monkeypatch.setattr(TileGraph, "back", without_seeds)
    found = disagreements(answer(module, image), answer(stream(module, tile=16, compile="aot_eager"), image))
    assert "value" not in found
    assert "image gradient" in found


def test_what_cannot_be_compiled_is_an_error_and_nothing_else_runs_in_its_place():
    def failing(graph, inputs):
        raise RuntimeError("no compiler in the house")

    streamed, image = stream(small(), tile=12, compile=failing), picture(1, 3, 60, 60)
    with pytest.raises(CompileError, match=r"failing.*no compiler in the house.*or leave compile away"):
        streamed(image)
    assert stream(small(), tile=30, compile=failing)(image).shape == (1, 3, 15, 15)  # nothing to compile


def test_an_unknown_compiler_is_refused():
    with pytest.raises(ValueError, match=r"compile='inductr' is no compiler that PyTorch knows here.*'inductor'"):
        stream(small(), compile="inductr")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "ResNet-18", "squeezed, in stages", "U-Net", "ConvNeXt"])
def test_inductor_gives_the_same_numbers(name):
    module, shape, tile = NETWORKS[name]
    module, image = module.double(), picture(*shape)
    streamed = stream(module, tile=tile, compile=True)
    assert disagreements(answer(module, image), answer(streamed, image), floor=1e-3) == {}
    assert streamed.last_report.tiles_compiled >= 4


def test_inductor_without_a_compiler_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    settings = {"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}
    with torch._inductor.config.patch(settings), pytest.raises(CompileError, match=r"C\+\+ compiler"):
        stream(small(), tile=12, compile=True)(picture(1, 3, 60, 60))
