"""Plans: a function of seed and number, twins that differ in their lesion alone, no tile twice."""

import numpy as np
import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import TilePool, plan_slide
from napari_gigaclf.training.mosaics.plan import BACKGROUND, SHAM, TUMOUR
from napari_gigaclf.training.mosaics.settings import LESION_TILES

KINDS = {"metastasis": ("macro", "micro", "isolated"), "arrangement": ("micro",), "regression": ("macro",)}


@pytest.fixture(params=KINDS)
def twins(request, small, pool):
    settings = small(kind=request.param, lesions=KINDS[request.param])
    return [[plan_slide(settings, pool, seed=5, split="train", number=2 * k + j) for j in range(2)] for k in range(6)]


def facts(plan):
    arrays = (plan.cells, plan.tiles, plan.turns, plan.roles)
    return (plan.name, plan.label, plan.stain, *(array.tolist() for array in arrays))


def test_a_plan_follows_from_seed_and_number(small, pool):
    def make(seed, split, number):
        return facts(plan_slide(small(), pool, seed=seed, split=split, number=number))

    assert make(1, "train", 4) == make(1, "train", 4)
    assert make(1, "train", 4)[2:] != make(2, "train", 4)[2:]
    assert make(1, "train", 4)[2:] != make(1, "test", 4)[2:]
    assert make(1, "train", 4)[2:] != make(1, "train", 6)[2:]


def test_no_tile_twice_and_each_in_its_role(twins, pool):
    members = {BACKGROUND: pool.background, TUMOUR: pool.tumour, SHAM: pool.sham}
    for plan in (plan for pair in twins for plan in pair):
        assert not plan.repeats_tiles
        assert len(np.unique(plan.cells, axis=0)) == len(plan.cells)
        for role, allowed in members.items():
            assert np.isin(plan.tiles[plan.roles == role], allowed).all()


def test_twins_share_all_but_the_marked_tiles(twins):
    for one, other in twins:
        assert {one.label, other.label} == {0, 1}
        assert one.group == other.group
        assert one.stain == other.stain
        np.testing.assert_array_equal(one.cells, other.cells)
        np.testing.assert_array_equal(one.roles == BACKGROUND, other.roles == BACKGROUND)
        same = one.roles == BACKGROUND
        np.testing.assert_array_equal(one.tiles[same], other.tiles[same])
        np.testing.assert_array_equal(one.turns[same], other.turns[same])


def test_the_order_of_labels_in_twins_varies(twins):
    assert {one.label for one, _ in twins} == {0, 1}


def test_metastasis_replaces_tumour_by_its_partners_in_place(small, pool):
    partner = dict(zip(pool.tumour.tolist(), pool.sham.tolist(), strict=True))
    for k, lesion in enumerate(("macro", "micro", "isolated")):
        plans = [plan_slide(small(), pool, seed=5, split="tune", number=2 * k + j) for j in range(2)]
        positive, negative = sorted(plans, key=lambda plan: -plan.label)
        low, high = LESION_TILES[lesion]
        assert positive.lesion == lesion
        assert low <= positive.num_tumour <= high
        assert negative.num_tumour == 0
        where = positive.roles == TUMOUR
        np.testing.assert_array_equal(where, negative.roles == SHAM)
        np.testing.assert_array_equal(positive.turns, negative.turns)
        assert [partner[tile] for tile in positive.tiles[where].tolist()] == negative.tiles[where].tolist()


def test_arrangements_hold_the_same_tiles_equally_turned(small, pool):
    settings = small(kind="arrangement", lesions=("micro",))
    for k in range(4):
        plans = [plan_slide(settings, pool, seed=8, split="test", number=2 * k + j) for j in range(2)]
        sets = [sorted(zip(plan.tiles.tolist(), plan.turns.tolist(), strict=True)) for plan in plans]
        assert sets[0] == sets[1]
        for plan in plans:
            clustered, apart = (TUMOUR, SHAM) if plan.label else (SHAM, TUMOUR)
            assert _has_neighbours(plan.cells[plan.roles == clustered]).all()
            assert not _has_neighbours(plan.cells[plan.roles == apart]).any()


def _has_neighbours(cells):
    distance = np.abs(cells[:, None] - cells[None]).sum(-1)
    np.fill_diagonal(distance, 99)
    return distance.min(1) == 1


def test_regression_scores_are_the_share_of_tumour_and_complete_each_other(small, pool):
    for k in range(4):
        plans = [plan_slide(small(kind="regression"), pool, seed=8, split="test", number=2 * k + j) for j in range(2)]
        assert sum(plan.num_tumour for plan in plans) == 99
        for plan in plans:
            assert plan.score == plan.num_tumour / len(plan.cells)
            assert plan.label == (plan.num_tumour > 49)
            assert np.sum(plan.roles != BACKGROUND) == 99


def test_too_few_tiles_are_refused_or_repeat(small, pool, images):
    few = TilePool(images=images, tumour=pool.tumour, sham=pool.sham, background=pool.background[:100])
    with pytest.raises(CohortError, match="background tiles, there are 100"):
        plan_slide(small(), few, seed=0, split="train", number=0)
    assert plan_slide(small(repeat_tiles=True), few, seed=0, split="train", number=0).repeats_tiles
    fewer = TilePool(images=images, tumour=pool.tumour[:9], sham=pool.sham[:9], background=pool.background)
    with pytest.raises(CohortError, match="10 pairs of tiles, there are 9"):
        plan_slide(small(lesions=("micro",)), fewer, seed=0, split="train", number=0)
    with pytest.raises(CohortError, match="two roles"):
        TilePool(images=images, tumour=pool.tumour, sham=pool.tumour, background=pool.background)
