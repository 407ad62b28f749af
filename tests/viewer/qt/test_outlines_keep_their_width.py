"""Outlines of places that were asked about are as wide on the screen at every zoom, on either canvas."""

import numpy as np
import pytest
import shapely
from qtpy.QtCore import QPoint, Qt

from napari_gigaclf.annotations import Annotation
from napari_gigaclf.viewer.constant_width import OUTLINE_WIDTH
from napari_gigaclf.viewer.layers import Frame, truth_layer
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.compare import CompareWidget

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


def widths(viewer, kind="fields"):
    """Return the width of each outline in pixels of the screen."""
    (layer,) = (each for each in viewer.layers if each.metadata.get("kind") == kind)
    return np.array(layer.edge_width) * viewer.scene.camera.zoom * layer.scale[-1]


def drawn_width(qt_viewer):
    """Return how many pixels of the screen the first yellow line is wide, from the left along the middle row."""
    pixels = np.asarray(qt_viewer.screenshot(flash=False))[..., :3].astype(int)
    red, green, blue = np.moveaxis(pixels[pixels.shape[0] // 2], -1, 0)
    yellow = np.flatnonzero((red > 200) & (green > 160) & (blue < 120))
    run = np.flatnonzero(np.diff(yellow) > 1)
    return len(yellow) if not len(run) else int(run[0]) + 1


def test_they_stay_as_thin_when_one_zooms_and_when_another_is_asked(
    viewer, widget, show, slide, ready, drag_mouse, qtbot
):
    show(slide)
    ready(slide)
    point, qt_viewer = Viewpoint(viewer), viewer.window._qt_viewer
    canvas = qt_viewer.canvas.native
    widget.probes.tool_box.click()
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    for count, zoom in enumerate((1.0, 0.5, 6.0), start=1):
        point.set_zoom(slide, zoom)
        point.look_at(slide, (250.0, 330.0))
        drag_mouse(canvas, middle - QPoint(40, 40), middle + QPoint(40, 40), SHIFT)
        qtbot.waitUntil(lambda count=count: len(widget.probes.rows) == count, timeout=60_000)
        qtbot.waitUntil(lambda count=count: len(widths(viewer)) == count, timeout=5_000)
    for zoom in (6.0, 0.6, 2.0):
        point.set_zoom(slide, zoom)
        assert widths(viewer) == pytest.approx(OUTLINE_WIDTH, rel=0.06)
    widget.probes.clear_button.click()
    for zoom in (0.8, 4.0):
        point.set_zoom(slide, zoom)
        if zoom == 0.8:
            drag_mouse(canvas, middle - QPoint(60, 60), middle + QPoint(60, 60), SHIFT)
            qtbot.waitUntil(lambda: len(widget.probes.rows) == 1, timeout=60_000)
            begin = point.box(slide)
        else:  # the left side of the box into the middle
            y, x = begin.centre
            point.look_at(slide, (y, x - 60 / 0.8))
        qtbot.wait(100)
        assert OUTLINE_WIDTH - 1 <= drawn_width(qt_viewer) <= OUTLINE_WIDTH + 2


def test_the_second_canvas_has_its_own_zoom_and_the_same_width(viewer, widget, show, slide, ready, qtbot):
    show(slide)
    ready(slide)
    widget.asking.click((250.0, 330.0))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 1, timeout=60_000)
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="Compare")
    qtbot.waitUntil(compare.qt_viewer.isVisible, timeout=10_000)
    (choice,) = (each for each in compare.controller.overlays() if each.name == "clicked fields")
    compare.controller.show_overlay(choice.key, True)
    compare.link_box.click()
    Viewpoint(compare.second).set_zoom(slide, 8.0)
    Viewpoint(viewer).set_zoom(slide, 0.5)
    widget.asking.click((300.0, 230.0))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 2, timeout=60_000)
    for each in (viewer, compare.second):
        qtbot.waitUntil(lambda each=each: len(widths(each)) == 2, timeout=5_000)
        assert widths(each) == pytest.approx(OUTLINE_WIDTH, rel=0.06)
    compare.shut_down()


def test_the_outlines_of_the_tissue_and_of_a_known_truth_stay_thin_on_both_canvases(
    viewer, widget, show, slide, ready, qtbot
):
    show(slide)
    truth = [Annotation(geometry=shapely.box(200, 200, 300, 300), class_name="tumour")]
    data, kwargs, kind = truth_layer(truth, Frame.of_slide(slide))
    getattr(viewer, f"add_{kind}")(data, **kwargs)
    ready(slide)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    compare = CompareWidget(viewer)
    viewer.window.add_dock_widget(compare, name="Compare")
    qtbot.waitUntil(compare.qt_viewer.isVisible, timeout=10_000)
    for choice in compare.controller.overlays():
        if choice.name in ("tissue", "known truth"):
            compare.controller.show_overlay(choice.key, True)
    compare.link_box.click()
    for each, zooms in ((viewer, (6.0, 0.6, 30.0)), (compare.second, (0.4, 9.0))):
        for zoom in zooms:
            Viewpoint(each).set_zoom(slide, zoom)
            for outline in ("tissue", "truth"):
                assert widths(each, outline) == pytest.approx(OUTLINE_WIDTH, rel=0.06)
    compare.shut_down()
