"""Slides return in real windows: opened through napari, closed with the window, opened again."""

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtGui import QCloseEvent

from napari_gigaclf.viewer.returning.host import found_in, let_slides_return
from napari_gigaclf.viewer.returning.state_file import list_states, states_folder
from napari_gigaclf.viewer.viewpoint import Viewpoint


@pytest.fixture
def plugin(npe2pm, repository, plugin_settings):
    """The plugin, registered in a plugin manager of this test's own."""
    manifest = PluginManifest.from_file(repository / "napari_gigaclf" / "napari.yaml")
    with npe2pm.tmp_plugin(manifest=manifest) as plugin:
        yield plugin


@pytest.fixture
def png(tmp_path, pixels):
    from PIL import Image

    Image.fromarray(pixels).save(tmp_path / "tissue.png")
    return tmp_path / "tissue.png"


@pytest.fixture
def opened(make_napari_viewer, plugin, qtbot, png):
    """Open the slide in a window of its own, and wait until it has returned."""

    def open_it():
        viewer = make_napari_viewer(show=True)
        (layer, *_) = viewer.open(str(png), plugin="napari-gigaclf")
        qtbot.waitUntil(lambda: found_in(viewer.window._qt_window) is not None)
        host = found_in(viewer.window._qt_window)
        assert host is let_slides_return(viewer)
        slide_id = layer.metadata["slide"].id
        qtbot.waitUntil(lambda: slide_id in host.controller._open and host.controller._open[slide_id].ready)
        return viewer, layer, host

    return open_it


def test_what_was_shown_when_the_window_closed_is_shown_again(opened, qtbot):
    viewer, layer, host = opened()
    slide, point = layer.metadata["slide"], Viewpoint(viewer)
    point.set_zoom(slide, 4.0)
    point.look_at(slide, (300.0, 200.0))
    layer.opacity = 0.6
    viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    host.eventFilter(viewer.window._qt_window, QCloseEvent())  # what Qt sends first when a person closes the window
    (state,) = list_states(states_folder())
    assert (state.num_drawn, state.file.path, state.view.zoom) == (1, str(slide.path), pytest.approx(4.0))

    viewer, layer, host = opened()
    slide, point = layer.metadata["slide"], Viewpoint(viewer)
    assert layer.opacity == 0.6
    assert point.zoom(slide) == pytest.approx(4.0)
    assert point.box(slide).centre == pytest.approx((300.0, 200.0))
    assert len(viewer.layers["mine"].data) == 1
    viewer.layers["mine"].add_polygons(np.array([[70, 10], [70, 60], [90, 60.0]]))
    host._timer.timeout.emit()
    qtbot.waitUntil(lambda: list_states(states_folder())[0].num_drawn == 2)
    viewer.close()  # as a script does: layers go before the window
    assert list_states(states_folder())[0].num_drawn == 2


def test_whoever_does_not_want_it_gets_the_slide_as_new(make_napari_viewer, plugin, png):
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-gigaclf").slides.return_slides = False
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(png), plugin="napari-gigaclf")
    assert layer.metadata["slide"].path == png
    assert found_in(viewer.window._qt_window) is None
    assert not states_folder().exists()
