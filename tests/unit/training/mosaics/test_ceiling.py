"""The other end of the controls: scores that know the tumour tell slides apart, more so the larger the lesion."""

import numpy as np

from napari_gigaclf.training.builtin.evaluate_mosaics import slide_aucs
from napari_gigaclf.training.mosaics import TilePool


def test_scores_that_know_the_tumour_tell_slides_apart():
    generator = np.random.default_rng(0)
    pool = TilePool(
        images=np.zeros((900, 1, 1, 3), np.uint8),
        tumour=np.arange(150),
        sham=np.arange(150, 300),
        background=np.arange(300, 900),
    )
    scores = generator.normal(size=900)
    scores[pool.tumour] += 2.0
    macro, micro, isolated = (
        slide_aucs(scores, pool, lesion, 40, seed=2)[0] for lesion in ("macro", "micro", "isolated")
    )
    assert macro == 1.0
    assert macro > micro > isolated > 0.5
    assert slide_aucs(np.zeros(900), pool, "macro", 40, seed=2) == [0.5, 0.5]
