"""The phantom: one answer per place, whichever region is read."""

import numpy as np
import pytest

from napari_gigaclf.slides.phantom import PhantomSlide


@pytest.fixture(scope="module")
def slide() -> PhantomSlide:
    return PhantomSlide(5, (1500, 1600), 0.5)


@pytest.fixture(scope="module")
def wholes(slide):
    return [slide.read(k, 0, level.height, 0, level.width) for k, level in enumerate(slide.levels)]


SHARES = [(0.0, 0.02, 0.7, 0.77), (0.2, 0.31, 0.25, 0.26), (0.35, 0.351, 0.3, 0.55), (0.51, 0.514, 0.0, 1.0)]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("share", SHARES)
def test_a_region_alone_equals_the_same_region_of_a_larger_one(slide, wholes, level, share):
    whole = wholes[level]
    height, width = whole.shape[:2]
    y0, y1 = int(share[0] * height), int(share[1] * height) + 1
    x0, x1 = int(share[2] * width), min(int(share[3] * width) + 1, width)
    assert np.array_equal(slide.read(level, y0, y1, x0, x1), whole[y0:y1, x0:x1])
