"""Teachers see what a cell-net sees, turn as it does, and are trained once."""

import numpy as np
import torch

from napari_gigaclf.models.networks.cell_net import (
    LAYERS,
    WIDE_LAYERS,
    field_and_stride,
    with_widths,
)
from napari_gigaclf.training.builtin import teachers
from napari_gigaclf.training.builtin.loop import TrainSettings
from napari_gigaclf.training.builtin.orientation import turned
from napari_gigaclf.training.tiles import Tiles

SPREAD = (0.25, 0.25, 0.25)


def test_wider_but_the_same_field():
    assert field_and_stride(WIDE_LAYERS) == field_and_stride() == (96, 32)
    assert [layer[0] for layer in WIDE_LAYERS] == [layer[0] for layer in LAYERS]


def test_a_teacher_does_not_mind_turned_tiles():
    torch.manual_seed(0)
    teacher = teachers.build_teacher(SPREAD).double()
    teacher(torch.rand(4, 3, 96, 96, dtype=torch.float64))  # statistics that are not those of the start
    for module in teacher[1]:
        if hasattr(module, "copies"):
            for statistic in (module.norm.running_mean, module.norm.running_var):
                statistic.copy_(statistic.reshape(-1, module.copies).mean(1).repeat_interleave(module.copies))
    teacher.eval()
    tile = torch.rand(1, 3, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(teacher(turned(tile, 5)), teacher(tile), rtol=1e-9, atol=1e-9)


def test_trained_teachers_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "WIDE_LAYERS", with_widths((8,) * 8))
    images = np.random.default_rng(0).integers(0, 256, (16, 96, 96, 3), dtype=np.uint8)
    tiles = Tiles(images=images, labels=np.arange(16) % 2)
    lessons = [TrainSettings(epochs=1, batch_size=8, seed=seed) for seed in (0, 1)]
    first = teachers.train_teachers(tiles, tiles, lessons, SPREAD, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["teacher-0.safetensors", "teacher-1.safetensors"]
    monkeypatch.setattr(teachers, "fit", None)  # would be called if one were trained again
    again = teachers.train_teachers(tiles, tiles, lessons, SPREAD, tmp_path)
    batch = torch.rand(2, 3, 96, 96)
    for one, two in zip(first, again, strict=True):
        assert not two.training
        torch.testing.assert_close(one(batch), two(batch))
    assert not torch.equal(first[0](batch), first[1](batch))
