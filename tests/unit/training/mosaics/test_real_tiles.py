"""Mosaics of real tissue, where it is at hand: partners have the same colours, which the classes have not."""

import numpy as np
import pytest

from napari_gigaclf.training.mosaics import MosaicSettings, MosaicSlide, make_pools, plan_slide
from napari_gigaclf.training.mosaics.colours import colour_features
from napari_gigaclf.training.tiles import read_tar


@pytest.mark.slow
def test_partners_have_the_same_colours(shared_data):
    tiles = read_tar(shared_data / "tissue" / "pcam-valid.tar")
    pool = make_pools(tiles, None, tune_share=0.0, seed=0)["train"]
    assert len(pool.tumour) > 200
    density = colour_features(tiles.images)[:, :3]
    classes = [density[tiles.labels == label].mean(0) for label in (0, 1)]
    gap = np.abs(classes[1] - classes[0])
    left = np.abs(density[pool.tumour].mean(0) - density[pool.sham].mean(0))
    assert (left < 0.1 * gap).all()
    plan = plan_slide(MosaicSettings(), pool, seed=0, split="train", number=0)
    with MosaicSlide(plan, pool) as slide:
        assert 0 < slide.read(0, 0, 2048, 0, 2048).mean() < 255
