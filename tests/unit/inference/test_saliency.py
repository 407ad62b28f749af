import numpy as np
import pytest
from scipy.ndimage import center_of_mass, gaussian_filter

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.masking import InputMask, MaskedImage
from napari_gigaclf.inference.saliency import MagnitudeSink, block_means, shown_map

GRID = PixelGrid(origin=(10.0, 20.0), step=(2.0, 3.0), shape=(100, 130))


def test_shown_map_does_what_it_says():
    raw = np.random.default_rng(0).random(GRID.shape).astype(np.float32) ** 8
    values, grid, words = shown_map(raw, GRID, (0.5, 0.5), sigma_um=1.5)  # sigma 3 px: blocks of 1
    blurred = gaussian_filter(raw, 3.0, mode="constant")
    capped = np.minimum(blurred / np.percentile(blurred[blurred > 0], 99), 1)
    assert values == pytest.approx(np.where(capped < 0.5, 0, capped), abs=1e-5)
    assert grid == GRID
    assert "mean over 1 x 1 pixels" in words
    assert "sigma 1.5 um" in words
    assert "99th percentile of its non-zero values" in words
    assert "below 0.5 not shown" in words


def test_blocks_keep_the_place():
    raw = np.zeros(GRID.shape, dtype=np.float32)
    raw[60, 90] = 1
    values, grid, words = shown_map(raw, GRID, None, sigma_um=16.0)
    assert "mean over 4 x 4 pixels" in words
    assert "sigma 16 px" in words
    assert grid.step == (8.0, 12.0)
    assert grid.shape == values.shape == (25, 33)
    y, x = center_of_mass(values)
    assert grid.centre_of(y, x) == pytest.approx((10 + 60.5 * 2, 20 + 90.5 * 3), abs=4)


def test_block_means_at_the_edge():
    raw = np.arange(35, dtype=np.float32).reshape(5, 7)
    padded = np.zeros((6, 9), dtype=np.float32)
    padded[:5, :7] = raw
    assert block_means(raw, 3) == pytest.approx(padded.reshape(2, 3, 3, 3).mean(axis=(1, 3)))


def test_nothing_stays_nothing():
    values, _, _ = shown_map(np.zeros((20, 20), dtype=np.float32), GRID, None)
    assert not values.any()


def test_glass_gets_no_gradient():
    shown = np.array([[True, False]])
    pixels = PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(4, 8))
    mask = InputMask.over(shown, PixelGrid(origin=(0.0, 0.0), step=(4.0, 4.0), shape=(1, 2)), pixels)
    raw = np.zeros((4, 8), dtype=np.float32)
    sink = MagnitudeSink(raw, MaskedImage(None, Box(0, 4, 0, 8), (mask,)))
    gradient = np.array([[[1.0]], [[-3.0]], [[2.0]]]) * np.ones((3, 4, 6))
    sink.write((slice(0, 4), slice(1, 7)), gradient)
    assert (raw[:, 1:4] == 3).all()
    assert raw.sum() == 3 * 12
