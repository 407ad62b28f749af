"""Slides return in real windows: opened through napari, closed with the window, opened again."""

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QCloseEvent

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.controllers.run_view import State
from napari_gigaclf.viewer.returning.host import found_in, let_slides_return
from napari_gigaclf.viewer.returning.mask_file import read_masks
from napari_gigaclf.viewer.returning.state_file import list_states, read_state, states_folder
from napari_gigaclf.viewer.returning.state_store import StateStore
from napari_gigaclf.viewer.slide_notes import AskedPlace, notes_of
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget


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


@pytest.mark.parametrize("sample", ["phantom", "large-phantom"])
def test_a_sample_slide_returns_too(make_napari_viewer, plugin, qtbot, sample):
    def opened_sample():
        viewer = make_napari_viewer(show=True)
        layer = viewer.open_sample("napari-gigaclf", sample)[0]
        qtbot.waitUntil(lambda: found_in(viewer.window._qt_window) is not None, timeout=20_000)
        controller, slide = found_in(viewer.window._qt_window).controller, layer.metadata["slide"]
        qtbot.waitUntil(lambda: slide.id in controller._open and controller._open[slide.id].ready, timeout=20_000)
        return viewer, slide

    viewer, slide = opened_sample()
    Viewpoint(viewer).set_zoom(slide, 4.0)
    Viewpoint(viewer).look_at(slide, (3000.0, 2000.0))
    names = [layer.name for layer in viewer.layers]
    viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    viewer.close()

    viewer, slide = opened_sample()
    assert Viewpoint(viewer).zoom(slide) == pytest.approx(4.0)
    assert Viewpoint(viewer).box(slide).centre == pytest.approx((3000.0, 2000.0))
    assert [layer.name for layer in viewer.layers] == [*names, "mine"]
    assert len(viewer.layers["mine"].data) == 1


def test_strokes_points_and_notes_are_written_soon_without_a_close(opened, qtbot):
    viewer, layer, host = opened()
    slide_id = layer.metadata["slide"].id
    store = StateStore(states_folder(), slide_id)

    def written(condition):
        assert host._timer.isActive(), "nobody noticed"
        host._timer.stop()
        host._timer.timeout.emit()
        qtbot.waitUntil(condition, timeout=20_000)

    viewer._new_labels()
    labels = viewer.layers[-1]
    written(lambda: store.masks.exists() and read_state(store.path).num_masks == 1)
    labels.paint((100, 200), 3)
    written(lambda: read_masks(store.masks)[0][1][100, 200] == 3)
    labels.fill((300, 300), 5)
    written(lambda: read_masks(store.masks)[0][1][300, 300] == 5)
    labels.undo()
    written(lambda: read_masks(store.masks)[0][1][300, 300] == 0)
    viewer.window._qt_viewer.controls.widgets[labels].colormap_update.click()
    written(lambda: [each.colours for each in read_state(store.path).layers] != [None, None])
    points = viewer.add_points([[5.0, 6.0]], name="points")
    written(lambda: read_state(store.path).num_drawn == 1)
    points.data = [[5.0, 6.0], [7.0, 8.0]]
    written(lambda: read_state(store.path).num_drawn == 2)
    notes_of(viewer).note_asked(slide_id, (AskedPlace(point=(1.0, 2.0)),))
    written(lambda: len(read_state(store.path).notes.asked) == 1)
    viewer.layers.move(len(viewer.layers) - 1, 0)
    written(lambda: read_state(store.path).layers[0].name == "points")


def test_the_line_of_the_ruler_goes_with_its_slide_and_returns_with_it(opened, drag_mouse, qtbot):
    viewer, layer, _ = opened()
    slide = layer.metadata["slide"]
    navigator = NavigateWidget(viewer)
    viewer.window.add_dock_widget(navigator, name="Navigate")
    navigator.buttons["ruler"].click()
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.waitUntil(lambda: canvas.width() > 300)
    drag_mouse(canvas, QPoint(100, 120), QPoint(260, 200))
    (line,) = lines(viewer)
    line.opacity = 0.5
    measured = np.array(line.data[0]), line.features["length"].tolist(), line.edge_width
    assert measured[1][0] == f"{np.hypot(*(measured[0][1] - measured[0][0])):.1f} px"
    viewer.layers.move(viewer.layers.index(line), 0)
    navigator.shut_down()
    viewer.layers.remove(layer)
    assert not lines(viewer), "by hand, and while no widget looks"

    (layer,) = viewer.open(str(slide.path), plugin="napari-gigaclf")
    qtbot.waitUntil(lambda: bool(lines(viewer)), timeout=20_000)
    (line,) = lines(viewer)
    assert (line.features["length"].tolist(), line.opacity, line.edge_width) == (measured[1], 0.5, measured[2])
    assert np.allclose(line.data[0], measured[0])
    assert viewer.layers.index(line) == 0, "where it lay"
    viewer.layers.clear()
    assert not lines(viewer)

    (layer,) = viewer.open(str(slide.path), plugin="napari-gigaclf")
    qtbot.waitUntil(lambda: bool(lines(viewer)), timeout=20_000)
    viewer.layers.move(0, 1)
    SlideCanvas(viewer).close_slide(slide.id)  # as the worklist does
    assert not viewer.layers

    (layer,) = viewer.open(str(slide.path), plugin="napari-gigaclf")
    qtbot.waitUntil(lambda: bool(lines(viewer)), timeout=20_000)
    viewer.layers.remove(*lines(viewer))
    qtbot.wait(50)  # what goes at one moment is kept together
    viewer.layers.remove(layer)
    viewer, layer, _ = opened()
    assert not lines(viewer), "what a person took away stays away"


def lines(viewer):
    return [layer for layer in viewer.layers if layer.metadata.get("kind") == "ruler"]


def test_whoever_does_not_want_it_gets_the_slide_as_new(make_napari_viewer, plugin, png):
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-gigaclf").slides.return_slides = False
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(png), plugin="napari-gigaclf")
    assert layer.metadata["slide"].path == png
    assert found_in(viewer.window._qt_window) is None
    assert not states_folder().exists()


class Reading:
    """A window with the slide open and the widgets docked, as a person reads it."""

    def __init__(self, opened, qtbot, model_folder):
        from napari_gigaclf.viewer.controllers.jobs import read_models
        from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
        from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget

        self.viewer, self.layer, self.host = opened()
        self.qtbot = qtbot
        self.classify = ClassifyWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.classify, name="Classify slide")
        qtbot.waitUntil(lambda: not self.classify.quick.busy, timeout=60_000)
        qtbot.wait(10)
        self.classify.choices.models = {}
        self.classify.choices.offer_models(read_models(model_folder))
        self.classify.choices.saliency_box.setCurrentIndex(self.classify.choices.saliency_box.findData("none"))
        self.hotspots = HotspotsWidget(self.viewer)
        self.viewer.window.add_dock_widget(self.hotspots, name="Hotspots", tabify=True)

    @property
    def slide(self):
        return self.layer.metadata["slide"]

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=60_000)

    def overlay(self, kind):
        return self.classify.canvas.overlay(self.slide.id, kind)

    def result(self):
        self.until(lambda: self.slide.id in self.classify.runs.results and self.hotspots.findings.found is not None)
        return self.classify.runs.results[self.slide.id][0]

    def answers(self, number):
        panel = self.classify.probes
        self.until(lambda: len(panel.rows) == number and not self.classify.asks.num_waiting)
        return [(row.kind, row.question.label, row.source) for row in panel.rows], list(panel.texts())

    def names(self):
        """Names of all layers but those of tools, from the lowest."""
        tools = ("fields", "hotspots")
        return [each.name for each in self.viewer.layers if each.metadata.get("kind") not in tools]

    def close(self):
        self.host.eventFilter(self.viewer.window._qt_window, QCloseEvent())
        for widget in (self.classify, self.hotspots):
            widget.shut_down()
        assert all(worker.close() for worker in (self.classify.quick, self.classify.long))
        self.viewer.close()


@pytest.fixture
def read(opened, qtbot, model_folder):
    readings = []

    def begin():
        readings.append(Reading(opened, qtbot, model_folder))
        return readings[-1]

    yield begin
    for reading in readings:
        if not reading.classify.is_closed:
            reading.close()


def test_all_that_a_person_did_on_a_slide_is_there_again(read, qtbot):
    first = read()
    first.classify.choices.scale_given.emit(1.0)
    first.until(lambda: first.classify.chosen_slide() is not None and first.classify.chosen_slide().um_per_px)

    first.until(lambda: first.classify.runs.state is State.READY and first.slide.um_per_px == (1.0, 1.0))
    first.classify.choices.preview_button.click()
    first.until(lambda: first.overlay("mask") is not None)
    mask = first.overlay("mask")
    mask.brush_size = 40
    mask.selected_label = 0
    mask.paint((mask.data.shape[0] / 2, mask.data.shape[1] / 2), 0)
    painted = np.array(mask.data)
    assert mask.metadata["painted"]

    first.until(lambda: first.classify.run_panel.run_button.isEnabled())
    first.classify.run_panel.run_button.click()
    found = first.result()
    values = found.probability_map[0]
    first.classify.run_panel.class_box.setCurrentText("normal")
    first.classify.run_panel.threshold_box.setValue(round(float(np.nanmedian(values)), 2))
    threshold = first.classify.run_panel.threshold_box.value()
    first.hotspots.choices.class_box.setCurrentText("normal")
    first.hotspots.choices.threshold_box.setValue(0.31)

    first.classify.asking.click((200.0, 300.0))
    first.classify.asking.box((110.0, 120.0), (250.0, 330.0))
    asked, texts = first.answers(2)
    assert [kind for kind, _, _ in asked] == ["field", "area"]
    assert all(source == "stored features" for _, _, source in asked)

    shapes = first.viewer.add_shapes(name="shapes", ndim=2)
    shapes.add_rectangles(np.array([[20, 30], [20, 90], [70, 90], [70, 30.0]]))
    shapes.add_ellipses(np.array([[120, 30], [120, 90], [170, 90], [170, 30.0]]))
    points = first.viewer.add_points(name="points", ndim=2)
    points.add([40.0, 50.5])
    first.viewer.layers.selection.active = first.layer
    first.viewer._new_labels()
    glands = first.viewer.layers[-1]
    glands.paint((100, 100), 2)
    drawn = np.array(glands.data)
    layers = first.viewer.layers
    layers.move(layers.index(first.overlay("probability")), len(layers))
    layers.move(layers.index(shapes), 1)
    order = first.names()
    first.until(lambda: not first.classify.long.busy)
    first.host.controller.look()
    first.until(lambda: list_states(states_folder())[0].result is not None)
    first.close()

    again = read()
    assert again.slide.um_per_px == (1.0, 1.0)
    assert again.result().record.slide.id == found.record.slide.id
    assert again.answers(2) == (asked, texts)
    assert again.names() == order
    panel = again.classify.run_panel
    assert (panel.class_box.currentData(), panel.threshold_box.value()) == ("normal", threshold)
    shown = np.asarray(again.overlay("probability").data)
    assert np.array_equal(shown, np.where(values < threshold, np.nan, values), equal_nan=True)
    hotspots = again.hotspots
    assert (hotspots.choices.class_box.currentData(), hotspots.findings.threshold) == ("normal", 0.31)
    assert (hotspots.choices.threshold_box.value(), hotspots.choices.slider.value()) == (0.31, 31)
    assert again.viewer.layers["shapes"].shape_type == ["rectangle", "ellipse"]
    assert again.viewer.layers["points"].data.tolist() == [[40.0, 50.5]]
    assert np.array_equal(again.viewer.layers[glands.name].data, drawn)
    assert np.array_equal(again.overlay("mask").data, painted)
    again.until(lambda: again.classify.runs.shelf.tissue(again.slide).mask.sum() == painted.sum())
    assert len(again.overlay("fields").data) == 2

    again.classify.probes.clear_button.click()
    again.close()
    third = read()
    third.result()
    qtbot.wait(300)
    assert third.classify.probes.rows == [], "what was cleared stays away"
