import numpy as np

from napari_gigaclf.slides.mask_sums import integral


def test_counts_of_any_corner():
    values = np.random.default_rng(1).random((6, 7)) < 0.5
    counted = [[values[:i, :j].sum() for j in range(8)] for i in range(7)]
    assert integral(values).tolist() == counted


def test_a_large_mask_is_counted_in_half_the_memory():
    assert integral(np.ones((3, 4), dtype=bool)).dtype.itemsize == 4
