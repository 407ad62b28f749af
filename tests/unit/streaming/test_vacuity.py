"""A comparison that cannot fail proves nothing: with one carried row removed, it must."""

import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.streaming.running import tiles as tiles_module
from napari_gigaclf.testing.oracle import answer, disagreements


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3, padding=1)
    ).double()


def test_one_lost_row_is_noticed(monkeypatch):
    module, image = network(), torch.randn(1, 2, 33, 29, dtype=torch.float64)
    expected = answer(module, image)
    assert disagreements(expected, answer(stream(module, tile=8), image)) == {}
    cut_off = tiles_module.TileRun.cut_off

    def lose_a_row(self, index, block, kept, result):
        cut_off(self, index, block, kept, result)
        if self.tile == (1, 1) and (index, 0) in result.pieces:
            result.pieces[index, 0][:, :, -1] = 0

    monkeypatch.setattr(tiles_module.TileRun, "cut_off", lose_a_row)
    assert "value" in disagreements(expected, answer(stream(module, tile=8), image))


def test_lost_gradients_of_a_border_are_noticed(monkeypatch):
    module, image = network(), torch.randn(1, 2, 33, 29, dtype=torch.float64)
    expected = answer(module, image)
    backward = tiles_module.Join.backward

    def without_seeds(ctx, *grads):
        room, extents, _, heap = ctx.layout
        ctx.layout = (room, extents, (), heap)
        return backward(ctx, *grads)

    monkeypatch.setattr(tiles_module.Join, "backward", staticmethod(without_seeds))
    found = disagreements(expected, answer(stream(module, tile=8), image))
    assert "value" not in found
    assert "image gradient" in found
