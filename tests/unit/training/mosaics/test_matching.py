"""Matching: pairs of like colours, every tile in one role and one split, tiles stored twice count once."""

import numpy as np
import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import make_pools, match_colours
from napari_gigaclf.training.mosaics.colours import colour_features
from napari_gigaclf.training.mosaics.matching import distinct, nearest_pairs
from napari_gigaclf.training.tiles import Tiles


def test_nearest_pairs_takes_the_nearest_first_and_each_once():
    first, second = np.array([[0.0], [1.0], [5.0]]), np.array([[0.9], [0.2], [9.0]])
    pairs, distances = nearest_pairs(first, second, caliper=1.0)
    assert pairs.tolist() == [[1, 0], [0, 1]]
    np.testing.assert_allclose(distances, [0.1, 0.2])


def test_colour_features_do_not_see_where_pixels_are(archive_tiles):
    image = archive_tiles.images[:1]
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    np.testing.assert_allclose(colour_features(image), colour_features(shuffled), atol=1e-5)


def test_no_tile_is_in_two_pools(archive_tiles):
    pools = make_pools(archive_tiles, archive_tiles, tune_share=0.25, seed=1, caliper=5.0)
    used = [
        np.concatenate([pool.tumour, pool.sham, pool.background]) for pool in (pools["train"], pools["tune"])
    ]
    assert not np.intersect1d(*used).size
    for pool in pools.values():
        assert (archive_tiles.labels[pool.tumour] == 1).all()
        assert (archive_tiles.labels[np.concatenate([pool.sham, pool.background])] == 0).all()


def test_tiles_stored_twice_are_used_once(archive_tiles):
    assert len(distinct(archive_tiles.images)) == 150


def test_the_same_seed_gives_the_same_pairs(archive_tiles):
    one, other = (match_colours(archive_tiles, caliper=5.0, seed=2) for _ in range(2))
    np.testing.assert_array_equal(one.tumour, other.tumour)
    np.testing.assert_array_equal(one.sham, other.sham)
    assert (np.diff(one.distances) >= 0).all()


def test_what_cannot_be_matched_is_refused(archive_tiles):
    with pytest.raises(CohortError, match="widen the caliper"):
        match_colours(archive_tiles, caliper=1e-9)
    with pytest.raises(CohortError, match="normal .0. and tumour .1."):
        match_colours(Tiles(images=archive_tiles.images, labels=archive_tiles.labels + 1))
    with pytest.raises(CohortError, match="set aside"):
        make_pools(archive_tiles, None, tune_share=0.9, seed=0)
