import numpy as np
import pytest

from napari_gigaclf.inference.resample import LevelImage, keys_cubic, taps


class Pixels:
    def __init__(self, pixels):
        self.pixels = pixels

    def read(self, level, y0, y1, x0, x1):
        return self.pixels[y0:y1, x0:x1]


def resampled(pixels, factor, shape):
    return LevelImage(Pixels(pixels), 0, pixels.shape[:2], factor, shape).read(0, shape[0], 0, shape[1])


def test_agrees_with_pillow_bicubic():
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    ours = resampled(pixels, (3.0, 2.5), (40, 36))
    theirs = np.asarray(Image.fromarray(pixels).resize((36, 40), Image.Resampling.BICUBIC)).transpose(2, 0, 1) / 255
    assert np.abs(ours - theirs).max() < 2.5 / 255  # Pillow rounds to bytes, twice


def test_no_resampling_is_the_level_itself():
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(resampled(pixels, (1.0, 1.0), (20, 30)), pixels.transpose(2, 0, 1).astype(np.float32) / 255)


def test_a_point_lands_where_the_affine_says():
    y, x = np.mgrid[:200, :200]
    ramp = np.stack([y, x, y], axis=-1).astype(np.uint8)
    factor = (1.7, 2.3)
    out = resampled(ramp, factor, (117, 86)) * 255
    rows = (np.arange(117) + 0.5) * factor[0] - 0.5
    columns = (np.arange(86) + 0.5) * factor[1] - 0.5
    assert np.allclose(out[0, 5:-5, 40], rows[5:-5], atol=0.03)
    assert np.allclose(out[1, 40, 5:-5], columns[5:-5], atol=0.03)


def test_fine_stripes_do_not_alias():
    stripes = np.zeros((400, 400, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    out = resampled(stripes, (4.3, 4.3), (93, 93))[:, 4:-4, 4:-4]
    assert out.std() < 0.01
    assert out.mean() == pytest.approx(0.5, abs=0.01)


def test_kernel_interpolates():
    assert keys_cubic(np.arange(-2.0, 3.0)) == pytest.approx([0, 0, 1, 0, 0])
    assert taps(3, 9, 1.37, 20).matrix.sum(axis=1) == pytest.approx(np.ones(6))
