"""Painting: centres keep their pixels, seams are the same everywhere, a region is part of the whole."""

import numpy as np
import pytest

from napari_gigaclf.training.mosaics import MosaicSlide, TilePool, plan_slide
from napari_gigaclf.training.mosaics.render import tile_weight, turned
from napari_gigaclf.training.stain import stain_change


@pytest.fixture
def plans(small, pool):
    return [plan_slide(small(stain=0.0), pool, seed=2, split="train", number=k) for k in range(2)]


def whole(slide):
    return slide.read(0, 0, slide.levels[0].height, 0, slide.levels[0].width)


def test_weights_of_neighbours_add_up_to_one():
    weight = tile_weight(96, 12)
    total = np.zeros((96 + 2 * 84,) * 2)
    for y in (0, 84, 168):
        for x in (0, 84, 168):
            total[y : y + 96, x : x + 96] += weight
    np.testing.assert_allclose(total[12:-12, 12:-12], 1.0, atol=1e-6)
    assert (weight[12:-12, 12:-12] == 1).all()


def test_inside_a_tile_its_own_pixels_stand(plans, pool):
    picture = whole(MosaicSlide(plans[0], pool))
    for index in range(0, len(plans[0].cells), 17):
        box = plans[0].grid.tile_box(*plans[0].cells[index].tolist())
        tile = turned(pool.images[plans[0].tiles[index]], int(plans[0].turns[index]))
        np.testing.assert_array_equal(picture[box.slices][12:-12, 12:-12], tile[12:-12, 12:-12])


def test_positives_and_negatives_are_blended_alike(plans, images, pool):
    """With every tile grey, twins are one picture: seams depend on no tile's role."""
    grey = TilePool(images=np.full_like(images, 100), tumour=pool.tumour, sham=pool.sham, background=pool.background)
    one, other = (whole(MosaicSlide(plan, grey)) for plan in plans)
    np.testing.assert_array_equal(one, other)


def test_twins_differ_in_their_lesion_alone(plans, pool):
    one, other = (whole(MosaicSlide(plan, pool)) for plan in plans)
    allowed = np.zeros(one.shape[:2], bool)
    for row, column in plans[0].cells[plans[0].roles != 0].tolist():
        allowed[plans[0].grid.tile_box(row, column).slices] = True
    differs = (one != other).any(-1)
    assert differs.any()
    assert not (differs & ~allowed).any()


def test_a_region_is_part_of_the_whole(small, pool):
    slide = MosaicSlide(plan_slide(small(), pool, seed=4, split="train", number=3), pool)
    picture = whole(slide)
    for y0, y1, x0, x1 in ((0, 1, 0, 1), (333, 901, 700, 733), (511, 513, 0, 1536)):
        np.testing.assert_array_equal(slide.read(0, y0, y1, x0, x1), picture[y0:y1, x0:x1])


def test_glass_is_white_and_the_stain_leaves_it_so(small, pool):
    slide = MosaicSlide(plan_slide(small(stain=0.5), pool, seed=4, split="train", number=3), pool)
    assert (slide.read(0, 0, 4, 0, 4) == 255).all()
    assert slide.um_per_px == (0.97, 0.97)


def test_eight_turns_are_different_and_keep_all_pixels():
    tile = np.arange(16 * 3, dtype=np.uint8).reshape(4, 4, 3)
    made = [turned(tile, k) for k in range(8)]
    assert len({picture.tobytes() for picture in made}) == 8
    assert all(sorted(picture[..., 0].ravel()) == sorted(tile[..., 0].ravel()) for picture in made)


def test_a_stain_factor_of_one_changes_nothing():
    np.testing.assert_allclose(stain_change((1.0, 1.0, 1.0)), np.eye(3), atol=1e-6)


def test_the_id_is_of_the_content(plans, pool):
    assert MosaicSlide(plans[0], pool).id == MosaicSlide(plans[0], pool).id != MosaicSlide(plans[1], pool).id
