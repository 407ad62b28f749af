"""Two processes learn from tiles what one would: batch norm, dropout and what changes tiles are of the whole batch."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_gigaclf.errors import Cancelled, CohortError
from napari_gigaclf.testing.runs import lines_of, losses_of, run_in_two_processes, weights_of
from napari_gigaclf.training.augment import augment
from napari_gigaclf.training.augmentation import Augmentation
from napari_gigaclf.training.from_tiles import dump_recipe, train_on_tiles
from napari_gigaclf.training.from_tiles.check import check_source
from napari_gigaclf.training.from_tiles.start import prepared
from napari_gigaclf.training.from_tiles.whole_norm import WholeBatchNorm
from napari_gigaclf.training.part import Part
from napari_gigaclf.training.runs.settings import with_settings
from napari_gigaclf.training.runs.workers import Workers


@pytest.fixture
def shared(quick, tmp_path):
    """A recipe, and its file, with batches of 5 and everything that chance has a part in; dropout is the network's."""
    settings = ["batch_size=5", "learning_rate=0.0003", "class_weights=true", "augmentation.turn_degrees=20"]
    recipe = with_settings(quick, settings)
    path = tmp_path / "recipe.json"
    path.write_text(dump_recipe(recipe))
    return recipe, path


def assert_learnt_alike(one: Path, two: Path) -> None:
    """Compare runs: they differ by the order in which float32 numbers are added up, and what Adam makes of it.

    Adam divides a gradient by its own size, so that where it is nearly 0 its rounding becomes a step.
    """
    steps = [[line for line in lines_of(run) if line["what"] == "step"][:2] for run in (one, two)]
    for expected, found in zip(*steps, strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert found["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=1e-3)
    np.testing.assert_allclose(losses_of(two), losses_of(one), rtol=1e-3)
    ends = [[line for line in lines_of(run) if line["what"] == "epoch"] for run in (one, two)]
    for expected, found in zip(*ends, strict=True):
        assert found["tuning"] == pytest.approx(expected["tuning"], rel=1e-3)
    found = weights_of(two)
    for name, value in weights_of(one).items():
        # A weight of no gradient may go the other way in a step; on the mean they stay together. Statistics follow: a
        # channel's mean is a sum over all of its weights.
        assert (found[name] - value).double().abs().mean() <= (1e-2 if "running" in name else 5e-5), name


@pytest.mark.timeout(300)
def test_two_processes_draw_and_learn_what_one_does(slides_table, shared, tmp_path):
    recipe = with_settings(shared[0], ["label_px=32", "max_tiles=4", "tune_share=0.25"])
    shared[1].write_text(dump_recipe(recipe))
    one, two = tmp_path / "one", tmp_path / "two"
    train_on_tiles(check_source(slides_table, recipe), recipe, one)
    said = run_in_two_processes("train-tiles", str(slides_table), "--output", str(two), "--recipe", str(shared[1]))
    assert said.count("best:") == said.count("epoch 2:") == 1, "one process speaks"
    assert len(losses_of(two)) == len(losses_of(one)) >= 8, "one process writes"
    assert (two / "places.csv").read_text() == (one / "places.csv").read_text()
    assert_learnt_alike(one, two)


@pytest.mark.timeout(300)
def test_two_processes_go_on_with_what_one_has_begun(tiles_folder, shared, tmp_path):
    recipe, path = shared
    one, two = tmp_path / "one", tmp_path / "two"
    train_on_tiles(check_source(tiles_folder, recipe), recipe, one)
    stop = threading.Event()
    with pytest.raises(Cancelled):
        train_on_tiles(check_source(tiles_folder, recipe), recipe, two, progress=lambda _: stop.set(), cancel=stop)
    assert len(losses_of(two)) == 1
    run_in_two_processes("train-tiles", str(tiles_folder), "--output", str(two), "--recipe", str(path), "--resume")
    assert_learnt_alike(one, two)


def test_more_processes_than_tiles_of_a_batch_are_refused(tiles_folder, quick, tmp_path):
    tiles, cpu = check_source(tiles_folder, quick).tiles, torch.device("cpu")
    with pytest.raises(CohortError, match="4 tiles, which is too few for 5 processes"):
        prepared(tiles, quick, tmp_path / "run", resume=False, device=cpu, workers=Workers(0, 5))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [Augmentation(), Augmentation(turn_degrees=20, zoom=0.1, stain_hue=0.05)])
def test_a_tile_is_changed_alike_whoever_has_it(settings):
    images = np.random.default_rng(0).integers(1, 256, (7, 24, 24, 3), dtype=np.uint8)
    whole = augment(images, settings, torch.Generator().manual_seed(1))
    for first in range(3):
        part = Part(7, first, 3)
        own = augment(images[part.rows], settings, torch.Generator().manual_seed(1), part)
        torch.testing.assert_close(own, whole[part.rows])


def test_the_shared_batch_norm_is_batch_norm():
    generator = torch.Generator().manual_seed(0)
    x = 3 + 2 * torch.randn(4, 5, 6, 7, generator=generator)
    weights = torch.randn(4, 5, 6, 7, generator=generator)
    found = []
    for shares in (False, True):
        norm = torch.nn.BatchNorm2d(5)
        torch.nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(1))
        module = WholeBatchNorm(norm, Workers()) if shares else norm
        image = x.clone().requires_grad_()
        (module(image) * weights).sum().backward()
        with torch.no_grad():
            later = module.eval()(x)
        found.append([image.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var, later])
        assert norm.num_batches_tracked == 1
    for expected, other in zip(*found, strict=True):
        torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)
