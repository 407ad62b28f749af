"""Recipes of training from tiles: known names, values that make sense, a learning rate that rises and falls."""

import pytest
import torch

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models import load_model
from napari_gigaclf.models.networks.cell_net import CONTEXT_PX
from napari_gigaclf.training.from_tiles import PRESETS, TileRecipe, dump_recipe, preset, read_recipe
from napari_gigaclf.training.from_tiles.learner import one_cycle
from napari_gigaclf.training.from_tiles.network import tile_network
from napari_gigaclf.training.from_tiles.recipe import CELL_NET_PX
from napari_gigaclf.training.runs.settings import with_settings


def test_a_recipe_survives_its_file(tmp_path):
    for name in PRESETS:
        (tmp_path / "r.json").write_text(dump_recipe(preset(name)))
        assert read_recipe(tmp_path / "r.json") == preset(name)
    (tmp_path / "r.toml").write_text('preset = "fine-tune"\num_per_px = 0.5\n[augmentation]\nstain = 0.1\n')
    found = read_recipe(tmp_path / "r.toml")
    assert (found.epochs, found.um_per_px, found.augmentation.stain) == (8, 0.5, 0.1)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epoch=3", "did you mean 'epochs'"),
        ("augmentation.stains=0.1", "did you mean 'stain'"),
        ("augmentation.stain=1.5", "stain must be 0 or more and below 1"),
        ("augmentation.shift_px=-1", "shift_px must be 0 or more"),
        ("augmentation.sharpness=9", "sharpness must be 0 to 2"),
        ("tune_share=1", "tune_share must be above 0"),
        ("average=1", "average must be"),
        ("um_per_px=0.005", "um_per_px must lie between 0.01 and 1000, not 0.005"),
        ("um_per_px=1001", "um_per_px must lie between"),
        ("learning_rate=0", "learning_rate must be above 0"),
        ("batch_size=0", "batch_size must be at least 1"),
        ("network=cellnet", "known are"),
        ("weight_decay=-1", "weight_decay"),
    ],
)
def test_what_makes_no_sense_is_refused(setting, words):
    with pytest.raises(CohortError, match=words):
        with_settings(preset("default"), [setting])


def test_a_label_wider_than_its_tile_is_refused():
    with pytest.raises(ValueError, match="label_px=64 is more than tile_px=32"):
        TileRecipe(tile_px=32, label_px=64)


def test_the_least_tile_of_a_cell_net_is_what_its_cell_sees():
    assert CELL_NET_PX == CONTEXT_PX


def test_the_learning_rate_is_that_of_pytorchs_one_cycle():
    total = 50
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, total_steps=total, pct_start=0.2, final_div_factor=1e3, cycle_momentum=False
    )
    for step in range(total):
        assert one_cycle(step, total) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        schedule.step()
    for few in (1, 2, 3):
        assert all(0 < one_cycle(step, few) <= 1 for step in range(few))


def test_a_built_in_model_is_gone_on_from_whatever_folder_is_called_like_it(tmp_path, monkeypatch):
    (tmp_path / "phantom-tumour").mkdir()
    monkeypatch.chdir(tmp_path)
    network = tile_network(TileRecipe(um_per_px=1, start_from="phantom-tumour"), ("a", "b"), "run")
    expected = load_model("phantom-tumour").state_dict()
    for name, value in network.model.state_dict().items():
        if name.startswith("trunk."):
            assert torch.equal(value, expected[name]), name
