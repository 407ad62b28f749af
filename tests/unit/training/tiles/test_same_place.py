"""Tiles that overlap are recognised, however far apart in the list and after JPEG; others are not."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage.data import immunohistochemistry

from napari_gigaclf.training.tiles import odds_by_place, same_place, split_by_place

SIDE = 96


def _jpeg(tile):
    buffer = io.BytesIO()
    Image.fromarray(tile).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.fixture(scope="module")
def tissue():
    return immunohistochemistry()


def _tiles(tissue, corners):
    return np.stack([_jpeg(tissue[row : row + SIDE, column : column + SIDE]) for row, column in corners])


def test_overlapping_tiles_are_of_one_place(tissue):
    apart = [(0, 0), (0, 100), (150, 0), (150, 150), (300, 300), (400, 20), (20, 400), (410, 410)]
    near = [(0 + 13, 0 + 21), (150 + 30, 0), (300 - 17, 300 + 40), (410 - 5, 410 + 1)]
    places = same_place(_tiles(tissue, apart + near))
    assert len(set(places[: len(apart)])) == len(apart)
    assert places[len(apart) :].tolist() == [
        places[apart.index(origin)] for origin in ((0, 0), (150, 0), (300, 300), (410, 410))
    ]


def test_a_chain_of_overlaps_is_one_place(tissue):
    chain = [(200, 40 * step) for step in range(6)]  # the first and the last have no pixel in common
    assert len(set(same_place(_tiles(tissue, chain)).tolist())) == 1


def test_turned_blank_and_few_tiles_stand_alone(tissue):
    one = _tiles(tissue, [(100, 100)])
    blank = np.full_like(one, 240)
    places = same_place(np.concatenate([one, np.rot90(one, axes=(1, 2)), blank, blank]))
    assert len(set(places.tolist())) == 4
    assert same_place(one).tolist() == [0]
    assert same_place(one[:0]).tolist() == []


def test_a_place_is_never_on_both_sides():
    places = np.repeat(np.arange(60), [10] * 10 + [1] * 50)
    labels = np.repeat([1, 0], [100, 50])
    kept, held = split_by_place(labels, places, 15, seed=3)
    assert not set(places[kept]) & set(places[held])
    assert np.bincount(labels[held]).tolist() == [5, 10]
    assert len(set(places[held])) == len(held)
    assert np.array_equal(held, split_by_place(labels, places, 15, seed=3)[1])
    assert not np.array_equal(held, split_by_place(labels, places, 15, seed=4)[1])


def test_odds_count_tiles_or_places_and_classes_alike():
    labels, places = np.array([0, 0, 1, 1, 1, 1, 1]), np.array([5, 6, 7, 7, 7, 7, 8])
    for power, alone in ((0.0, 1 / 5), (0.5, 1 / 3), (1.0, 1 / 2)):
        odds = odds_by_place(labels, places, power)
        assert odds.sum() == pytest.approx(1)
        assert odds[:2] == pytest.approx([0.25, 0.25])
        assert odds[6] / odds[2:].sum() == pytest.approx(alone)
