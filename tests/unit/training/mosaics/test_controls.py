"""Controls: they see colour where colour tells, and nothing where partners are alike."""

import dataclasses

import numpy as np
import pytest

from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
from napari_gigaclf.training.mosaics.controls import Arena, TileColours, detector_auc, run_controls, without_cluster
from napari_gigaclf.training.mosaics.plan import BACKGROUND
from napari_gigaclf.training.mosaics.seams import seam_features

NUM_PAIRS, NUM_BACKGROUND = 200, 500
SETTINGS = MosaicSettings(side_px=1024, lesions=("micro",))


def arena(shift: float) -> Arena:
    """Colours drawn at random; those of tumour are moved by ``shift`` standard deviations."""
    count = 2 * NUM_PAIRS + NUM_BACKGROUND
    features = np.random.default_rng(4).normal(size=(count, 5)).astype(np.float32)
    features[:NUM_PAIRS] += np.float32(shift)
    pool = TilePool(
        images=np.zeros((count, 1, 1, 3), np.uint8),
        tumour=np.arange(NUM_PAIRS),
        sham=np.arange(NUM_PAIRS, 2 * NUM_PAIRS),
        background=np.arange(2 * NUM_PAIRS, count),
    )
    colours = TileColours(features=features, means=features[:, :3].astype(np.float64))
    return Arena(
        settings=SETTINGS,
        pools={"train": pool, "test": pool},
        colours={"train": colours, "test": colours},
        seed=3,
        num_train=40,
        num_test=40,
        draws=8,
    )


@pytest.fixture(scope="module")
def telling():
    return {control.name: control for control in run_controls(arena(shift=3.0))}


def test_colour_that_tells_is_found(telling):
    for name in ("colour of slides, linear", "colour of tiles, linear", "colour of tiles, trees"):
        assert telling[name].auc > 0.8
        assert not telling[name].passed


def test_alike_partners_pass():
    found = run_controls(arena(shift=0.0))
    assert [control.name for control in found if not control.passed and "tiles" not in control.name] == []
    assert all(control.low <= control.high for control in found)


def test_a_cluster_that_shows_is_detected():
    assert detector_auc(arena(shift=0.0)) == pytest.approx(0.5, abs=0.3)
    there = arena(shift=0.0)
    there.colours["train"].features[there.pools["train"].sham] += np.float32(3.0)
    assert detector_auc(there) > 0.9


def test_arrangements_have_the_same_tile_statistics():
    there = dataclasses.replace(arena(shift=3.0), settings=dataclasses.replace(SETTINGS, kind="arrangement"))
    for control in run_controls(there):
        if "seams" not in control.name:
            assert control.auc == pytest.approx(0.5, abs=1e-9)


def test_a_negative_without_its_cluster_has_background_only():
    there = arena(shift=0.0)
    plan = there.plans("test", 1)[0]
    tiles = without_cluster(plan, there.pools["test"], 0)
    assert np.isin(tiles, there.pools["test"].background).all()
    assert len(np.unique(tiles)) == len(tiles)
    np.testing.assert_array_equal(tiles[plan.roles == BACKGROUND], plan.tiles[plan.roles == BACKGROUND])


def test_slides_of_the_controls_are_those_of_the_set():
    there = arena(shift=0.0)
    one = there.plans("train", 3)[2]
    other = plan_slide(SETTINGS, there.pools["train"], seed=3, split="train", number=2)
    np.testing.assert_array_equal(one.tiles, other.tiles)


def test_seams_of_one_colour_have_no_steps_and_glass_does_not_count():
    picture = np.full((9, 9, 3), 0.4)
    picture[0] = np.nan
    found = seam_features(picture)
    assert np.isfinite(found).all()
    assert (found[:11] == 0).all()
    picture[4, 4] = 0.9
    assert seam_features(picture)[10] == pytest.approx(0.5 * np.sqrt(3))
