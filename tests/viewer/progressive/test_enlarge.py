import numpy as np
import pytest

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.progressive.enlarge import coarse_box, enlarge


@pytest.mark.parametrize("ratio", [2.0, 4.0, 3.0, 2.37])
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1), (np.float32, 2)])
def test_each_pixel_is_that_of_the_coarse_pixel_around_its_centre(ratio, dtype, channels):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (40, 50, channels)).astype(dtype)
    box = Box(7, 71, 20, 116)
    source = coarse_box(box, (1.0, 1.0), (ratio, ratio), (40, 50))
    found = enlarge(coarse[source.slices], source, box, (1.0, 1.0), (ratio, ratio), (40, 50))
    assert found.dtype == dtype
    assert found.shape == (64, 96, channels)
    for y, x in ((0, 0), (63, 95), (10, 41), (33, 17)):
        row = min(int((box.y0 + y + 0.5) / ratio), 39)
        column = min(int((box.x0 + x + 0.5) / ratio), 49)
        assert np.array_equal(found[y, x], coarse[row, column])


def test_what_hangs_over_the_coarse_level_takes_its_last_pixel():
    coarse = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    box = Box(0, 5, 0, 5)
    source = coarse_box(box, (1.0, 1.0), (2.0, 2.0), (2, 2))
    assert source == Box(0, 2, 0, 2)
    found = enlarge(coarse, source, box, (1.0, 1.0), (2.0, 2.0), (2, 2))[..., 0]
    assert found[4].tolist() == [2, 2, 3, 3, 3]
