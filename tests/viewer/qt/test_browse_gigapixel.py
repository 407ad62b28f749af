"""Pan at 40x across the gigapixel phantom, click the overview, fit: always tissue, soon sharp; 1 mm reads 1 mm.

Nobody waits for pixels on the window's thread, and what is shown in the end is the file's own. How many milliseconds
this takes is measured by ``benchmarks/viewer/browse.py``.
"""

import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.viewer.progressive.shown_level import is_sharp
from napari_gigaclf.viewer.sample import large_layers
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget

CANVAS_GREY = (38, 41, 48)
"""What napari's canvas shows where nothing is drawn, in the dark theme."""


@pytest.fixture
def desk(make_napari_viewer, qtbot):
    """A shown window with the gigapixel phantom and the navigator; the layer, the widget and the draws so far."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    ((levels, kwargs, _),) = large_layers()
    layer = viewer.add_image(levels, **kwargs)
    widget = NavigateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Navigate")
    qtbot.waitUntil(lambda: not widget.map.picture_rect().isEmpty(), timeout=60_000)
    yield viewer, layer, widget
    widget.shut_down()
    assert widget.worker.close()


def shot(viewer):
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3]


def test_never_grey_and_sharp_in_the_end(desk, qtbot, monkeypatch):
    viewer, layer, widget = desk
    slide = layer.metadata["slide"]
    point = Viewpoint(viewer)
    native = viewer.window._qt_viewer.canvas.native
    waited = []
    read = type(layer.data[0].level).read_inside

    def noted(level, box):
        if threading.current_thread() is threading.main_thread() and level.height > 4096:
            waited.append(box)
        return read(level, box)

    monkeypatch.setattr(type(layer.data[0].level), "read_inside", noted)
    viewer.canvas.overlays.scale_bar.visible = False
    tumour = slide.tumour_polygons()[0].centroid
    whole = widget.map.picture_rect()
    at = QPoint(
        round(whole.x() + tumour.x / 100_000 * whole.width()), round(whole.y() + tumour.y / 100_000 * whole.height())
    )
    widget.objectives[40.0].click()
    qtbot.mouseClick(widget.map, Qt.MouseButton.LeftButton, pos=at)
    places = []
    for key in (None, *[Qt.Key.Key_Right] * 4, *[Qt.Key.Key_Down] * 2, Qt.Key.Key_Home):
        if key is not None:
            qtbot.keyClick(native, key)
        places.append(point.box(slide).centre)
        for moment in ("at once", "in the end"):
            if moment == "in the end":
                qtbot.waitUntil(lambda: is_sharp(layer), timeout=30_000)
                (y0, x0), (y1, x1) = layer.corner_pixels[:, -2:]
                if layer.data_level < len(layer.data) - 1:
                    exact = slide.read(layer.data_level, y0, y1 + 1, x0, x1 + 1)
                    assert np.array_equal(layer._slice.image.raw, exact)
            if key is not Qt.Key.Key_Home:
                grey = (np.abs(shot(viewer).astype(int) - CANVAS_GREY) <= 1).all(axis=2)
                assert not grey[2:-2, 2:-2].any(), f"grey {moment} after {key}"
    assert len({tuple(np.round(place)) for place in places}) == len(places), "every step moved the view"
    assert point.box(slide).y0 <= 0
    assert point.box(slide).y1 >= 100_000
    assert not waited, "the window waited for pixels of a large level"


def test_a_ruler_over_one_millimetre_reads_one_millimetre_at_every_zoom(desk, qtbot):
    viewer, _, widget = desk
    point = Viewpoint(viewer)
    slide = point.slide()
    native = viewer.window._qt_viewer.canvas.native
    widget.buttons["ruler"].click()
    for turned in (False, True):
        if turned:
            widget.buttons["turn"].click()
        for objective in (1.25, 2.5, 5.0, 10.0):
            widget.objectives[objective].click()
            qtbot.wait(100)
            before = point.box(slide).centre
            millimetres = 1.0 if objective < 10 else 0.5  # what the window has room for
            pixels = round(millimetres * 1000 / 0.5 * point.zoom(slide))
            drag(qtbot, native, QPoint(40, 200), QPoint(40 + pixels, 200))
            assert widget.reading.text() == f"ruler {millimetres:.3f} mm"
            assert point.box(slide).centre == pytest.approx(before), "measuring does not move the view"
    layers = [layer for layer in viewer.layers if layer.metadata.get("kind") == "ruler"]
    assert len(layers) == 1
    assert layers[0].features["length"].tolist() == ["0.500 mm"]
    widget.buttons["ruler"].click()
    assert viewer.scene.camera.mouse_pan


def drag(qtbot, native, start, end):
    qtbot.mouseMove(native, start)
    qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.3, 0.7, 1.0):
        qtbot.mouseMove(native, start + QPoint(round((end - start).x() * share), 0))
        qtbot.wait(50)  # Qt may deliver a move later than a release otherwise
    qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=end)
    qtbot.wait(20)
