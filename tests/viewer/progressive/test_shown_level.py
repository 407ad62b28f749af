"""Whoever reads a level gets the pixels of the file; napari's slicing gets what is there."""

import copy

import numpy as np
import pytest

from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.layers import slide_layers
from napari_gigaclf.viewer.progressive import shown_level
from napari_gigaclf.viewer.progressive.shown_level import SLICING, ShownLevel, is_sharp, shown_levels


@pytest.fixture
def slide():
    return PhantomSlide(4, shape=(2048, 3072))


@pytest.fixture
def level(slide):
    return shown_levels(list(slide.levels), slide.background)[0]


def test_numpy_and_indexing_give_the_pixels_of_the_file(slide, level):
    exact = slide.read(0, 0, 2048, 0, 3072)
    assert np.array_equal(np.asarray(level), exact)
    assert np.array_equal(level[100:700, 40:900], exact[100:700, 40:900])
    assert np.array_equal(level[5, ::7, 1], exact[5, ::7, 1])
    assert np.array_equal(level.plane(2)[3:9], exact[3:9, :, 2])
    assert np.array_equal(level.plane(1)[..., 4], exact[:, 4, 1])
    assert np.array_equal(np.asarray(level.plane(0), dtype=float), exact[..., 0])
    assert level.feed.store.num_bytes == 0, "nothing went through the tiles of the display"
    assert (level.shape, level.ndim, level.size, len(level)) == (exact.shape, 3, exact.size, 2048)
    assert (level.plane(0).shape, level.plane(0).ndim) == ((2048, 3072), 2)
    assert copy.deepcopy(level) is level


def test_without_a_window_even_napari_gets_the_pixels_of_the_file(slide, monkeypatch):
    from napari.components import ViewerModel

    monkeypatch.setattr(shown_level, "window_post", lambda: None)
    ((levels, kwargs, _),) = slide_layers(slide)
    assert all(isinstance(each, ShownLevel) for each in levels)
    layer = ViewerModel().add_image(levels, **kwargs)
    layer.data_level, layer.corner_pixels = 0, np.array([[256, 512], [767, 1023]])
    layer.refresh()
    assert np.array_equal(layer._slice.image.raw, slide.read(0, 256, 768, 512, 1024))
    assert is_sharp(layer)


def test_what_is_in_memory_is_shown_as_it_is(slide):
    from napari_gigaclf.slides import open_slide

    plain = open_slide([np.zeros((600, 600, 3), np.uint8)])
    assert shown_levels(list(plain.levels), plain.background) == list(plain.levels)


def test_the_module_which_slices_is_where_this_napari_has_it():
    import importlib

    module = importlib.import_module(SLICING)
    assert hasattr(module, "_ScalarFieldSliceRequest"), "napari slices elsewhere: shown_level.SLICING must follow"
