"""A real window draws a slide at once, and in the end with the file's own pixels."""

import gc
import threading
import weakref

import numpy as np
import pytest

from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.progressive.shown_level import is_sharp


@pytest.fixture
def slide():
    return PhantomSlide(4, shape=(4000, 5000))


def displayed(layer):
    return layer._slice.image.raw


def look(viewer, layer, centre, zoom):
    viewer.scene.camera.center = centre
    viewer.scene.camera.zoom = zoom
    viewer.window._qt_viewer.canvas.on_draw(None)  # what drawing does first; Xvfb may leave a hidden window undrawn


def exact(layer):
    slide = layer.metadata["slide"]
    (y0, x0), (y1, x1) = layer.corner_pixels[:, -2:]
    return slide.read(layer.data_level, y0, y1 + 1, x0, x1 + 1)


def test_sharpens_to_the_pixels_of_the_file(viewer, show, slide, qtbot):
    layer = show(slide)
    for centre in ((1000.0, 1200.0), (1500.0, 1700.0), (1100.0, 1200.0)):
        look(viewer, layer, centre, 2.0)
        assert layer.data_level == 0
        assert displayed(layer).shape == exact(layer).shape, "an answer came at once"
        qtbot.waitUntil(lambda: is_sharp(layer), timeout=30_000)
        assert np.array_equal(displayed(layer), exact(layer))


@pytest.fixture
def held(monkeypatch):
    """Hold up the fetching of all but the coarsest level of a layer until the event is set."""
    gate = threading.Event()

    def hold(layer):
        feed, last = layer.data[0].feed, len(layer.data) - 1
        read = feed._read
        monkeypatch.setattr(feed, "_read", lambda key: (key[0] == last or gate.wait(20), read(key))[1])
        return gate

    yield hold
    gate.set()


def test_before_that_the_coarser_level_is_shown_never_grey(viewer, show, slide, qtbot, held):
    layer = show(slide)
    gate = held(layer)
    look(viewer, layer, (1200.0, 1500.0), 2.0)
    blurred = displayed(layer)
    assert not is_sharp(layer)
    sharp = exact(layer)
    assert np.abs(blurred.astype(int) - sharp).mean() < 25
    assert (np.ptp(blurred, axis=2) > 12).mean() > 0.3, "coloured, as the tissue there is"
    gate.set()
    qtbot.waitUntil(lambda: is_sharp(layer), timeout=30_000)
    assert np.array_equal(displayed(layer), sharp)


def test_reading_and_saving_a_layer_meanwhile_gives_exact_pixels(viewer, show, slide, held):
    layer = show(slide)
    held(layer)
    look(viewer, layer, (1200.0, 1500.0), 2.0)
    assert not is_sharp(layer)
    assert np.array_equal(np.asarray(layer.data[2]), slide.read(2, 0, 1000, 0, 1250))
    (data, _, _) = layer.as_layer_data_tuple()
    assert np.array_equal(data[0][2100:2300, 2550:2590], slide.read(0, 2100, 2300, 2550, 2590))


def test_with_napari_s_async_slicing_too(viewer, show, slide, qtbot):
    from napari.settings import get_settings

    before = get_settings().experimental.async_
    get_settings().experimental.async_ = True
    try:
        layer = show(slide)
        look(viewer, layer, (1000.0, 1200.0), 2.0)
        qtbot.waitUntil(
            lambda: (
                layer.loaded
                and layer.data_level == 0
                and is_sharp(layer)
                and np.array_equal(displayed(layer), exact(layer))
            ),
            timeout=30_000,
        )
    finally:
        get_settings().experimental.async_ = before


def test_a_layer_that_is_removed_is_let_go_and_its_threads_end(viewer, show, slide, qtbot):
    layer = show(slide)
    feed = layer.data[0].feed
    look(viewer, layer, (1200.0, 1500.0), 2.0)
    assert any(thread.is_alive() for thread in feed._threads)
    viewer.layers.remove(layer)
    watched = weakref.ref(feed)
    qtbot.waitUntil(lambda: not watched()._threads, timeout=20_000)
    assert len(feed.store) == 0
    del feed, layer
    qtbot.wait(50)
    gc.collect()
    assert watched() is None


def test_jpeg_2000(viewer, show, shared_data, qtbot):
    slide = open_slide(shared_data / "slides" / "tcga-jpeg2000.svs")
    layer = show(slide)
    height, width = slide.levels[0].height, slide.levels[0].width
    um = np.array(slide.um_per_px or (1.0, 1.0))
    for zoom in (1.0, 0.3):
        look(viewer, layer, tuple(np.array([height, width]) / 2 * um), zoom / um[0])
        qtbot.waitUntil(lambda: is_sharp(layer), timeout=60_000)
        if zoom == 1.0:
            assert layer.data_level == 0
            assert np.array_equal(displayed(layer), exact(layer))


def test_a_pyramid_that_steps_by_four(viewer, show, tmp_path, qtbot):
    import zarr

    whole = PhantomSlide(4, shape=(4096, 4096)).read(0, 0, 4096, 0, 4096)
    levels = [whole, whole[::4, ::4], whole[::16, ::16]]
    arrays = [zarr.create_array({}, shape=each.shape, chunks=(256, 256, 3), dtype="uint8") for each in levels]
    for array, pixels in zip(arrays, levels, strict=True):
        array[:] = pixels
    layer = show(open_slide(arrays, um_per_px=0.25))
    for zoom in (4.0, 1.2):
        look(viewer, layer, (512.0, 512.0), zoom)
        qtbot.waitUntil(lambda: is_sharp(layer), timeout=30_000)
        (y0, x0), (y1, x1) = layer.corner_pixels[:, -2:]
        assert layer.data_level == 0
        assert np.array_equal(displayed(layer), whole[y0 : y1 + 1, x0 : x1 + 1])
