"""The regions of a mask are those that joining its pixels one by one gives."""

import numpy as np
import pytest
import shapely
from scipy import ndimage

from napari_gigaclf.slides.mask_edges import regions


@pytest.mark.parametrize("seed", range(60))
def test_regions_are_the_pixels_joined(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 14, 2)) < rng.uniform(0.2, 0.9)
    found = regions(mask)
    labels, count = ndimage.label(mask)
    assert len(found) == count
    for number, region in enumerate(found, start=1):
        rows, columns = np.nonzero(labels == number)
        joined = shapely.union_all(shapely.box(columns, rows, columns + 1, rows + 1))
        assert region.is_valid
        assert region.equals(joined)
        assert shapely.get_num_coordinates(region) == shapely.get_num_coordinates(shapely.simplify(joined, 0))


@pytest.mark.parametrize("mask", [np.zeros((0, 0), bool), np.zeros((3, 4), bool)])
def test_nothing_has_no_regions(mask):
    assert regions(mask) == []


def test_pixels_that_touch_at_a_corner_are_apart_and_holes_are_kept():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)
    ring, alone = regions(mask)
    assert ring.bounds == (0, 0, 3, 3)
    assert len(ring.exterior.coords) == 5
    assert [hole.bounds for hole in ring.interiors] == [(1, 1, 2, 2)]
    assert alone.bounds == (3, 3, 4, 4)
