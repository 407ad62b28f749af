"""What is skipped is skipped exactly, and counted: glass going forward, tiles without a gradient going back."""

from math import prod

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.planning.glass import LEAF_SIDE, MAX_QUESTIONS, find_glass
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error


class Glass:
    """An image of one colour with a patch of tissue, which says so."""

    def __init__(self, shape, tissue, value=1.0):
        rng = np.random.default_rng(0)
        self.array = np.full((3, *shape), value)
        self.tissue = tissue
        self.array[(slice(None), *tissue)] = rng.normal(size=(3, *(s.stop - s.start for s in tissue)))
        self.shape, self.dtype, self.flat_value = self.array.shape, self.array.dtype, np.full(3, value)
        self.asked = []

    def read(self, *slices):
        self.asked.append(slices)
        return self.array[(slice(None), *slices)]

    def is_flat(self, *slices):
        return any(s.stop <= t.start or s.start >= t.stop for s, t in zip(slices, self.tissue, strict=True))


def network(first_padding=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=first_padding), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3, 2, padding=1),
    ).double().eval()  # fmt: skip


TISSUE = (slice(60, 80), slice(100, 130))


def test_flat_tiles_are_filled_exactly_and_counted():
    module, source = network(), Glass((170, 210), TISSUE)
    streamed = stream(module, tile=16)
    expected = answer(module, torch.from_numpy(source.array)[None])
    module.zero_grad()
    out = streamed(source)
    report = streamed.last_report
    assert report.tiles_skipped_flat + report.tiles_run == report.tiles == 11 * 14
    assert report.tiles_skipped_flat > 80
    assert report.reads == report.tiles_run == len(source.asked)
    assert relative_error(expected.value, out.detach()) < 1e-10
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype))
    for name, parameter in module.named_parameters():
        assert relative_error(expected.gradients[name], parameter.grad) < 1e-10, name


def test_tiles_near_padding_are_not_flat():
    source = Glass((64, 64), (slice(60, 64), slice(60, 64)))
    streamed = stream(network(), tile=16)
    streamed(source)
    skipped = streamed.last_report.tiles_skipped_flat
    assert 0 < skipped <= 9 - 1  # of 16 tiles, the 7 of the first row and column see padding


def test_padding_that_equals_the_glass_counts_as_glass():
    module = nn.Sequential(nn.ZeroPad2d(4), nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3)).double()
    blank, white = (
        Glass((64, 64), (slice(60, 64), slice(60, 64)), value=0.0),
        Glass((64, 64), (slice(60, 64), slice(60, 64))),
    )
    counts = []
    for source in (blank, white):
        streamed = stream(module, tile=16)
        found = streamed(source)
        torch.testing.assert_close(found, module(torch.from_numpy(source.array)[None]), rtol=1e-10, atol=1e-12)
        counts.append(streamed.last_report.tiles_skipped_flat)
    assert counts[0] > counts[1]


def test_tiles_without_gradient_are_skipped_exactly_and_counted():
    module, image = network(), torch.randn(1, 3, 130, 150, dtype=torch.float64)

    class Picked(nn.Module):
        def __init__(self, trunk):
            super().__init__()
            self.trunk = trunk

        def forward(self, x):
            return self.trunk(x).flatten(2).max(2).values  # global max-pooling: few cells get a gradient

    streamed = stream(module, tile=16)
    assert disagreements(answer(Picked(module), image), answer(Picked(streamed), image)) == {}
    report = streamed.last_report
    assert report.tiles_skipped_zero + report.tiles_run_backward == report.tiles == 9 * 10
    assert report.tiles_skipped_zero > 50
    assert report.reads == report.tiles_run + report.tiles_run_backward


def test_sink_gets_zeros_where_nothing_was_run():
    source, gradient = Glass((64, 64), (slice(10, 20), slice(30, 40))), np.full((3, 64, 64), np.nan)
    streamed = stream(network().requires_grad_(False), tile=16)
    streamed.stream(source, gradient)[0, 0, 0, 0].backward()
    assert streamed.last_report.tiles_skipped_zero > 5
    leaf = torch.from_numpy(source.array)[None].requires_grad_()
    network()(leaf)[0, 0, 0, 0].backward()
    np.testing.assert_allclose(gradient, leaf.grad[0].numpy(), atol=1e-14)


@pytest.mark.parametrize("tile", [1, 3, 7])
def test_flat_skipping_with_tiles_below_the_reach(tile):
    module, source = network(), Glass((40, 36), (slice(3, 9), slice(30, 33)))
    streamed = stream(module, tile=tile)
    found = streamed(source)
    assert streamed.last_report.tiles_skipped_flat > 0
    torch.testing.assert_close(found, module(torch.from_numpy(source.array)[None]), rtol=1e-10, atol=1e-12)


def test_a_gradient_of_zeros_gives_zeros_and_not_none():
    module, image = network(), torch.randn(1, 3, 40, 40, dtype=torch.float64)
    streamed = stream(module, tile=16)
    (0.0 * streamed(image)).sum().backward()
    assert streamed.last_report.tiles_run_backward == 0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any()


def test_tiles_are_chosen_by_the_glass_that_they_can_skip():
    """A strip of tissue: small tiles run little beside it; on tissue everywhere, larger tiles cost less."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3), nn.ReLU())
    source = Glass((1024, 1024), (slice(0, 1024), slice(700, 760)))
    everywhere = stream(module, memory="200MB")
    pixels = []
    with torch.no_grad():
        for streamed in (everywhere, stream(module, tile=everywhere.plan((3, 1024, 1024), backward=False).tile)):
            source.asked.clear()
            streamed.stream(source)
            pixels.append(sum(prod(s.stop - s.start for s in slices) for slices in source.asked))
    assert pixels[0] < 0.8 * pixels[1]


def test_where_glass_is_found_costs_few_questions():
    asked = []

    def is_flat(extent):
        asked.append(extent)
        return not any(a < 70_000 and b > 69_000 for a, b in extent[:1])

    glass = find_glass(is_flat, (100_000, 90_000))
    assert len(asked) <= MAX_QUESTIONS
    rows = np.flatnonzero(glass.live.any(axis=1)) * glass.side
    assert rows.min() <= 69_000 < 70_000 <= rows.max() + glass.side
    assert rows.max() - rows.min() < 2000 + 2 * glass.side
    starts = np.arange(0, 100_000, 1000)
    views = [(starts, np.minimum(starts + 1000, end)) for end in (100_000, 90_000)]
    assert glass.live_share([views[0], (starts[:90], starts[:90] + 1000)]) == pytest.approx(0.01, abs=0.021)


@pytest.mark.parametrize("space", [(1000,), (300, 200, 260)])
def test_glass_is_found_along_any_number_of_axes(space):
    glass = find_glass(lambda extent: extent[0][0] >= 128, space)
    assert glass.side == LEAF_SIDE
    assert glass.live.shape == tuple(-(-n // LEAF_SIDE) for n in space)
    assert glass.live[0].all()
    assert not glass.live[1:].any()
    assert find_glass(lambda extent: False, space) is None
