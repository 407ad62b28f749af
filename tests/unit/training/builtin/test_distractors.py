"""Made-up tiles are what they are called."""

import pytest
import torch

from napari_gigaclf.training.builtin.distractors import distractors, empty_glass, fluorescence, pen_mark


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_glass_is_bright_and_nearly_even(generator):
    tiles = torch.stack([empty_glass(32, generator) for _ in range(50)])
    assert tiles.shape == (50, 3, 32, 32)
    assert tiles.mean((1, 2, 3)).min() > 0.65
    assert tiles.std((2, 3)).max() < 0.1
    assert tiles.max() <= 1


def test_pen_darkens_glass_in_most_tiles_and_has_an_edge_in_some(generator):
    tiles = torch.stack([pen_mark(64, generator) for _ in range(50)])
    assert (tiles.amin((1, 2, 3)) < 0.5).double().mean() > 0.8
    assert (tiles.std((2, 3)).amax(1) > 0.15).double().mean() > 0.3
    assert tiles.min() >= 0


def test_fluorescence_shines_where_tissue_is_dark(generator):
    tissue = torch.ones(3, 8, 8)
    tissue[:, :4] = 0.2
    shown = fluorescence(tissue, generator)
    assert shown[:, 4:].abs().max() == 0
    assert shown[:, :4].amax() > 0.2


def test_all_kinds_come_and_a_seed_repeats_them(generator):
    dark = torch.zeros(60, 3, 16, 16)
    made = distractors(dark, 60, generator)
    again = distractors(dark, 60, torch.Generator().manual_seed(0))
    assert torch.equal(made, again)
    assert made.shape == dark.shape
    flat = made.std((2, 3)).amax(1) == 0  # of black tissue, fluorescence is one even colour
    assert 0.1 < flat.double().mean() < 0.6
    assert (made.mean((1, 2, 3)) > 0.7).double().mean() > 0.1
