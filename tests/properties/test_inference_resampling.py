"""A region of the resampled slide is the same pixels, to the last bit, however it is asked for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.masking import InputMask, MaskedImage
from napari_gigaclf.inference.resample import LevelImage

factors = st.floats(0.55, 6.0)


class ArraySlide:
    """Pixels in memory that refuse to be read outside."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.reads = 0

    def read(self, level, y0, y1, x0, x1):
        assert level == 0
        assert 0 <= y0 < y1 <= self.pixels.shape[0]
        assert 0 <= x0 < x1 <= self.pixels.shape[1]
        self.reads += 1
        return self.pixels[y0:y1, x0:x1]


def image_of(shape, factor, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    out = tuple(max(1, int(np.ceil(n / f - 1e-6))) for n, f in zip(shape, factor, strict=True))
    return LevelImage(ArraySlide(pixels), 0, shape, factor, out)


def boxes_in(draw, shape):
    y0 = draw(st.integers(0, shape[0] - 1))
    x0 = draw(st.integers(0, shape[1] - 1))
    return Box(y0, draw(st.integers(y0 + 1, shape[0])), x0, draw(st.integers(x0 + 1, shape[1])))


@st.composite
def images_and_boxes(draw):
    shape = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    image = image_of(shape, draw(st.tuples(factors, factors)), draw(st.integers(0, 99)))
    return image, boxes_in(draw, image.shape)


@given(images_and_boxes())
@settings(max_examples=150, deadline=None)
def test_region_alone_equals_region_of_whole(case):
    image, box = case
    whole = image.read(0, image.shape[0], 0, image.shape[1])
    alone = image.read(*box)
    assert alone.dtype == np.float32
    assert alone.flags.c_contiguous
    assert np.array_equal(alone, whole[:, *box.slices])


@given(images_and_boxes(), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_masked_region_alone_equals_region_of_whole(case, seed):
    image, box = case
    rows, columns = image.shape
    shown = np.random.default_rng(seed).random((5, 7)) < 0.3
    pixels = PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=image.shape)
    raster = PixelGrid(origin=(0.0, 0.0), step=(rows / 5, columns / 7), shape=(5, 7))
    source = MaskedImage(image, Box(0, rows, 0, columns), (InputMask.over(shown, raster, pixels),))
    whole = source.read(slice(0, rows), slice(0, columns))
    reads = image._reader.reads
    alone = source.read(*box.slices)
    assert np.array_equal(alone, whole[:, *box.slices])
    flat = source.is_flat(*box.slices)
    assert flat == (not source.shown(*box.slices).any())
    if flat:
        assert image._reader.reads == reads, "glass must not be read from the file"
        assert (alone == source.flat_value[:, None, None]).all()


@given(st.tuples(factors, factors), st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_constant_stays_constant(factor, shape, value):
    pixels = np.full((*shape, 3), value, dtype=np.uint8)
    out = tuple(max(1, int(np.ceil(n / f - 1e-6))) for n, f in zip(shape, factor, strict=True))
    image = LevelImage(ArraySlide(pixels), 0, shape, factor, out)
    assert np.allclose(image.read(0, out[0], 0, out[1]), value / 255, atol=2e-6)
