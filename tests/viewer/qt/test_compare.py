"""The second canvas in a real window: the same tissue at the same place, nothing read twice, nothing left behind."""

import gc
import threading
import weakref
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import picture as picture_of_tissue
from napari_gigaclf.testing.slide_files import write_svs
from napari_gigaclf.viewer.companions import companions
from napari_gigaclf.viewer.layers import Frame, probability_layer
from napari_gigaclf.viewer.progressive.shown_level import is_sharp
from napari_gigaclf.viewer.sample import large_layers
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.compare import CompareWidget

NEAR = 6.0
"""Grey values by which pictures of the same place may differ: half a pixel may lie between them."""


@pytest.fixture
def viewer(make_napari_viewer, slide):
    """A shown window of the size of a small screen, which closes before the slide does."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    return viewer


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A tiled pyramid with sharp marks all over."""
    pixels = picture_of_tissue(2000, 2400)
    rng = np.random.default_rng(1)
    for y, x in zip(rng.integers(0, 1980, 2500), rng.integers(0, 2380, 2500), strict=True):
        pixels[y : y + 12, x : x + 12] = (90, 50, 130)
    return write_svs(tmp_path_factory.mktemp("slides") / "s.svs", pixels, mpp="0.5")


@pytest.fixture
def slide(file):
    with open_slide(file) as opened:
        yield opened


@pytest.fixture
def dock(viewer, qtbot):
    """Open the second canvas as the menu does."""

    def open_it():
        from napari.utils._proxies import PublicOnlyProxy

        widget = CompareWidget(PublicOnlyProxy(viewer))
        viewer.window.add_dock_widget(widget, name="Compare")
        qtbot.waitUntil(widget.qt_viewer.isVisible, timeout=5000)
        return widget

    return open_it


def picture(qt_viewer):
    return np.asarray(qt_viewer.screenshot(flash=False))[..., :3].astype(int)


def middle(pixels, height=300, width=300):
    """Return what is in the middle of a picture, where both canvases look."""
    y, x = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[y : y + height, x : x + width]


def apart(one, other):
    """Return how far what is in the middle of two pictures differs; the middle of an odd number of pixels is one."""
    moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return min(np.abs(middle(one) - middle(np.roll(other, by, axis=(0, 1)))).mean() for by in moves)


def both_sharp(viewer, widget):
    return all(is_sharp(layer) for layers in (viewer.layers, widget.second.layers) for layer in layers)


def test_the_same_tissue_with_an_overlay_of_its_own_each_tile_read_once(viewer, show, slide, dock, qtbot, monkeypatch):
    layer = show(slide)
    grid = PixelGrid(origin=(0.0, 0.0), step=(100.0, 100.0), shape=(20, 24))
    data, kwargs, _ = probability_layer(
        np.random.default_rng(0).random(grid.shape, np.float32), grid, Frame.of_slide(slide), class_name="tumour"
    )
    kwargs["metadata"]["slide_id"] = slide.id
    overlay = viewer.add_image(data, **kwargs)
    feed = layer.data[0].feed
    read, keys = feed._read, []
    monkeypatch.setattr(feed, "_read", lambda key: (keys.append(key), read(key))[1])
    widget = dock()
    assert widget.second.layers[0].data[0].feed is feed
    widget.fill_menu()
    (action,) = widget.menu.actions()
    assert action.text() == "probability of tumour"
    action.trigger()
    overlay.visible = False
    point = Viewpoint(viewer)
    point.set_zoom(slide, 1.0)
    point.look_at(slide, (1000.0, 900.0))
    for _ in range(3):
        point.pan(0, 0.5)
        qtbot.waitUntil(lambda: both_sharp(viewer, widget), timeout=30_000)
    plain = picture(viewer.window._qt_viewer)
    over = picture(widget.qt_viewer)
    assert min(over.shape[:2]) > 300, "both canvases have room at 1280 x 800"
    assert abs(over.shape[1] - plain.shape[1]) < 40
    assert apart(plain, over) > 2 * NEAR
    overlay.visible = True
    assert apart(picture(viewer.window._qt_viewer), over) < NEAR
    action.trigger()
    assert apart(plain, picture(widget.qt_viewer)) < NEAR
    assert len(keys) == len(set(keys)), "no tile was read twice"

    qtbot.keyClick(widget.qt_viewer.canvas.native, Qt.Key.Key_Left)
    assert Viewpoint(viewer).world_centre == pytest.approx(Viewpoint(widget.second).world_centre)
    widget.link_box.click()
    before = Viewpoint(viewer).world_centre
    qtbot.keyClick(widget.qt_viewer.canvas.native, Qt.Key.Key_Left)
    assert Viewpoint(viewer).world_centre == before
    widget.shut_down()


def test_as_a_window_of_its_own_and_back_it_goes_on_until_napari_closes(viewer, show, slide, dock, qtbot):
    from qtpy.QtWidgets import QDockWidget

    show(slide)
    widget = dock()
    shown = next(each for each in viewer.window._qt_window.findChildren(QDockWidget) if each.isAncestorOf(widget))
    point = Viewpoint(viewer)
    point.set_zoom(slide, 1.0)
    point.look_at(slide, (1000.0, 1200.0))
    for floats in (True, False):
        shown.setFloating(floats)
        shown.resize(500, 500)
        point.pan(0.1, 0.1)
        qtbot.waitUntil(lambda: both_sharp(viewer, widget), timeout=30_000)
        qtbot.wait(50)
        there, here = picture(viewer.window._qt_viewer), picture(widget.qt_viewer)
        assert np.ptp(middle(here)) > 100, "tissue"
        assert apart(there, here) < NEAR
        assert len(companions(viewer)) == 1
    viewer.close()
    qtbot.waitUntil(lambda: widget.is_closed, timeout=5000)
    assert not companions(viewer)


def test_closing_it_frees_everything(viewer, show, slide, dock, qtbot):
    from napari.qt import QtViewer

    layer = show(slide)
    feed = layer.data[0].feed
    widget = dock()
    Viewpoint(viewer).set_zoom(slide, 1.0)
    qtbot.waitUntil(partial(both_sharp, viewer, widget), timeout=30_000)
    threads = {thread for thread in threading.enumerate() if thread.name != "gigaclf-tiles"}
    gone = [weakref.ref(each) for each in (widget.second, widget.second.layers[0], widget.qt_viewer, widget)]
    assert len(QtViewer._instances) == 2
    viewer.window.remove_dock_widget(widget)
    del widget
    qtbot.wait(50)
    gc.collect()
    assert [each() for each in gone] == [None] * 4
    assert len(QtViewer._instances) == 1
    assert not companions(viewer)
    assert {thread for thread in threading.enumerate() if thread.name != "gigaclf-tiles"} <= threads
    assert list(feed._views) == [""]
    point = Viewpoint(viewer)
    point.pan(0.5, 0.5)
    qtbot.waitUntil(lambda: is_sharp(layer), timeout=30_000)
    assert np.ptp(picture(viewer.window._qt_viewer)) > 100, "the first canvas goes on"


def test_nothing_of_a_gigapixel_slide_is_read_on_the_windows_thread(make_napari_viewer, qtbot, monkeypatch):
    """Neither when its first layer is added nor when the second canvas opens, its coarsest level included."""
    ((levels, kwargs, _),) = large_layers()
    level = type(levels[-1].level)
    read, waited = level.read_inside, []

    def noted(level, box):
        if threading.current_thread() is threading.main_thread():
            waited.append((level.shape, box))
        return read(level, box)

    monkeypatch.setattr(level, "read_inside", noted)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    layer = viewer.add_image(levels, **kwargs)
    point, slide = Viewpoint(viewer), kwargs["metadata"]["slide"]
    point.set_zoom(slide, 1.0)
    point.look_at(slide, (50_000.0, 50_000.0))
    qtbot.waitUntil(lambda: is_sharp(layer), timeout=60_000)
    widget = CompareWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Compare")
    (twin,) = widget.second.layers
    qtbot.waitUntil(lambda: twin._slice.image.raw.shape[0] > 1 and is_sharp(twin), timeout=60_000)
    assert np.asarray(twin.data[-1]) is np.asarray(layer.data[-1]), "both canvases hold the same pixels"
    widget.shut_down()
    assert waited == []
