"""Pools: every tile in one role and one split."""

import numpy as np
import pytest

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics import make_pools


@pytest.fixture(scope="module")
def pools(archive_tiles):
    return make_pools(archive_tiles, archive_tiles, tune_share=0.4, seed=1, share=0.3)


def test_no_tile_is_in_two_pools(pools):
    used = [np.concatenate([pools[s].tumour, pools[s].sham, pools[s].background]) for s in ("train", "tune")]
    assert not np.intersect1d(*used).size
    assert set(pools) == {"train", "tune", "test"}


def test_tiles_have_the_class_of_their_role(pools, archive_tiles):
    for pool in pools.values():
        assert (archive_tiles.labels[pool.tumour] == 1).all()
        assert (archive_tiles.labels[np.concatenate([pool.sham, pool.background])] == 0).all()


def test_half_of_a_pool_keeps_partners(pool):
    half = pool.halved(np.random.default_rng(0))
    partner = dict(zip(pool.tumour.tolist(), pool.sham.tolist(), strict=True))
    assert len(half.tumour) == len(pool.tumour) // 2
    assert len(half.background) == len(pool.background) // 2
    assert [partner[tile] for tile in half.tumour.tolist()] == half.sham.tolist()


def test_a_share_that_cannot_be_set_aside_is_refused(archive_tiles):
    with pytest.raises(CohortError, match=r"0\.9 cannot be set aside"):
        make_pools(archive_tiles, None, tune_share=0.9, seed=0)
