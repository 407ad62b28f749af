"""The widget in a real napari window: open, plan, run, cancel, click, measure, paint, close."""

import subprocess
import sys
import time

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer import ask_commands, run_commands
from napari_gigaclf.viewer.controllers.giving_way import MOVING_SECONDS
from napari_gigaclf.viewer.controllers.run_view import State

NO_TORCH = """
import sys
import napari
from napari.settings import get_settings
get_settings(None)
viewer = napari.Viewer(show=False)
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
widget = ClassifyWidget(viewer)
viewer.window.add_dock_widget(widget)
from qtpy.QtCore import QEventLoop, QTimer
loop = QEventLoop()
QTimer.singleShot(1000, loop.quit)
loop.exec()
print("torch" in sys.modules, widget.choices.model_box.count() == len(widget.choices.models))
widget.shut_down()
viewer.close()
"""


def overlay(widget, slide, kind):
    return widget.canvas.overlay(slide.id, kind)


def test_opening_the_widget_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_the_plan_is_shown_before_the_run(widget, show, slide, ready):
    show(slide)
    ready(slide)
    text = widget.run_panel.estimate_note.text()
    assert "tile" in text
    assert "memory" in text
    assert "1 µm/px" in widget.choices.slide_note.text()
    assert "not for diagnosis" in widget.choices.model_note.text()
    assert widget.choices.level_box.itemText(0).startswith("auto: 1 µm/px")
    assert widget.choices.device_box.count() >= 1
    assert widget.canvas.viewer.canvas.overlays.scale_bar.visible


def test_a_slide_is_drawn_before_its_run_is_planned(widget, show, slide, ready):
    show(slide)
    assert "640 x 512 px" in widget.choices.slide_note.text()
    assert widget.runs.slide is None
    assert not widget.quick.busy  # planning imports torch, which would hold the window up
    ready(slide)


def test_a_run_fills_the_overlay_and_shows_the_result(widget, show, slide, ready, qtbot, viewer):
    widget.choices.saliency_box.setCurrentIndex(widget.choices.saliency_box.findData("tumour"))
    show(slide)
    ready(slide)
    widget.run_panel.run_button.click()
    assert not widget.run_panel.run_button.isEnabled()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=60_000)
    layer = overlay(widget, slide, "probability")
    prediction, live = widget.runs.results[slide.id]
    assert layer.data is live.shown
    assert np.array_equal(layer.data, prediction.probability_map[1], equal_nan=True)
    assert tuple(layer.contrast_limits) == (0, 1)
    assert layer.colorbar.visible
    saliency = overlay(widget, slide, "saliency")
    assert "tumour" in saliency.name
    assert saliency.metadata["normalisation"] == prediction.saliency.normalisation
    assert len(overlay(widget, slide, "tissue").data) >= 1
    assert {str(unit) for each in viewer.layers for unit in each.units} == {"micrometer"}
    lines = widget.run_panel.result_note.text().splitlines()
    assert lines[-1].startswith("Research use only")
    assert any("tumour 0." in line for line in lines)
    shown = live.shown.copy()
    widget.run_panel.class_box.setCurrentIndex(widget.run_panel.class_box.findData("normal"))
    assert overlay(widget, slide, "probability").name == "probability of normal"
    assert not np.array_equal(live.shown, shown, equal_nan=True)


@pytest.fixture
def large(pixels):
    return open_slide([np.tile(pixels, (7, 6, 1)), np.tile(pixels[::4, ::4], (7, 6, 1))], um_per_px=1.0)


def test_cancel_is_answered_at_once_and_the_partial_result_says_so(widget, show, large, ready, qtbot):
    show(large)
    ready(large)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: overlay(widget, large, "probability") is not None, timeout=20_000)
    qtbot.wait(300)
    widget.run_panel.cancel_button.click()
    assert widget.run_panel.progress_note.text() == "cancelling..."
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=5_000)
    assert "partial" in overlay(widget, large, "probability").name
    assert "Partial" in widget.run_panel.result_note.text()
    assert widget.run_panel.run_button.isEnabled()


def test_the_palette_presses_the_buttons(widget, show, large, ready, qtbot, viewer, tmp_path, monkeypatch):
    show(large)
    ready(large)
    run_commands.run_tissue(viewer)
    qtbot.waitUntil(lambda: overlay(widget, large, "mask") is not None, timeout=60_000)
    run_commands.run_start(viewer)
    qtbot.waitUntil(lambda: widget.runs.running, timeout=60_000)
    run_commands.run_cancel(viewer)
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=60_000)
    assert "Partial" in widget.run_panel.result_note.text()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_asked: str(tmp_path))
    run_commands.run_export(viewer)
    qtbot.waitUntil(lambda: "Exported" in widget.run_panel.estimate_note.text(), timeout=60_000)
    run_commands.ask_clicks(viewer)
    assert widget.tool.on
    run_commands.ask_clicks(viewer)
    assert not widget.tool.on
    ask_commands.ask_middle(viewer)
    qtbot.waitUntil(lambda: bool(widget.probes.rows), timeout=60_000)
    run_commands.ask_clear(viewer)
    assert widget.probes.rows == []


def test_a_moving_view_is_noticed_until_the_widget_closes(widget, viewer):
    giving_way = widget.runs.giving_way
    assert not giving_way.moving
    viewer.scene.camera.center = (5.0, 7.0)
    assert giving_way.moving
    time.sleep(MOVING_SECONDS)
    assert not giving_way.moving
    viewer.scene.camera.zoom = 3.0
    assert giving_way.moving
    time.sleep(MOVING_SECONDS)
    widget.shut_down()
    viewer.scene.camera.center = (9.0, 9.0)
    assert not giving_way.moving


def test_removing_the_slide_while_it_runs_drops_the_result(widget, show, large, ready, qtbot, viewer):
    layer = show(large)
    ready(large)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: overlay(widget, large, "probability") is not None, timeout=20_000)
    viewer.layers.remove(layer)
    assert widget.runs.state is State.NO_SLIDE
    qtbot.waitUntil(lambda: not widget.long.busy, timeout=5_000)
    qtbot.wait(100)
    assert widget.runs.results == {}


def test_closing_the_window_while_it_runs_ends_the_workers(widget, show, large, ready, qtbot, viewer):
    show(large)
    ready(large)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: overlay(widget, large, "probability") is not None, timeout=20_000)
    viewer.window._qt_window._save_current_window_settings = lambda: None
    viewer.close()
    qtbot.waitUntil(lambda: widget._closed, timeout=5_000)
    assert not widget.long.busy


def test_taking_the_widget_out_of_the_window_ends_the_workers(widget, show, large, ready, qtbot, viewer):
    show(large)
    ready(large)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: overlay(widget, large, "probability") is not None, timeout=20_000)
    viewer.window.remove_dock_widget(widget)
    assert widget._closed
    assert not widget.long.busy


def test_click_to_classify(widget, show, slide, ready, qtbot, clicker):
    show(slide)
    ready(slide)
    qtbot.waitUntil(lambda: not widget.quick.busy, timeout=30_000)  # the list of devices may still be on its way
    clicker((250.0, 420.0))
    assert not widget.quick.busy  # the tool is off
    widget.probes.tool_box.click()
    clicker((250.0, 420.0))
    clicker((250.0, 420.0), moves=[(3, 0), (60, 40)])  # a drag
    clicker((20.0, 20.0))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 2, timeout=30_000)
    qtbot.wait(50)
    first, second = widget.probes.texts()
    assert "tumour" in first
    assert second == "no tissue"
    assert len(overlay(widget, slide, "fields").data) == 2
    before = widget.probes.rows[0].answer.probabilities
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=60_000)
    clicker((250.0, 420.0))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 3, timeout=30_000)
    assert widget.probes.rows[2].answer.probabilities == pytest.approx(before, abs=1e-6)
    widget.probes.clear_button.click()
    assert widget.probes.table.rowCount() == 0
    assert overlay(widget, slide, "fields") is None


def test_a_click_while_drawing_belongs_to_the_drawing(widget, show, slide, ready, clicker, viewer):
    show(slide)
    ready(slide)
    widget.probes.tool_box.click()
    shapes = viewer.add_shapes(scale=slide.um_per_px, units=("um", "um"), ndim=2)
    shapes.mode = "add_polygon"
    count = widget.asks.num_waiting
    clicker((200.0, 300.0))
    assert widget.asks.num_waiting == count
    shapes.mode = "pan_zoom"
    clicker((200.0, 300.0))
    assert widget.asks.num_waiting == count + 1


def test_a_drawn_shape_is_a_region_and_can_be_measured(widget, show, slide, ready, qtbot, viewer):
    show(slide)
    ready(slide)
    all_cells = widget.runs.prepared.estimate.cells
    shapes = viewer.add_shapes(
        [np.array([[128, 128], [128, 384], [384, 384], [384, 128]])],
        shape_type="polygon",
        scale=slide.um_per_px,
        units=("um", "um"),
    )
    widget.choices.region_box.setCurrentIndex(widget.choices.region_box.findData("selected shape"))
    qtbot.wait(400)
    assert "no shape is selected" in widget.run_panel.estimate_note.text()
    shapes.selected_data = {0}
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=60_000)
    prediction, _ = widget.runs.results[slide.id]
    assert 0 < np.isfinite(prediction.probability_map[0]).sum() < all_cells
    widget.probes.measure_button.click()
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 1, timeout=30_000)
    assert widget.probes.rows[0].answer.area_um2 == pytest.approx(256 * 256)
    assert "mm²" in widget.probes.texts()[0]


def test_the_tissue_can_be_painted_before_the_run(widget, show, slide, ready, qtbot):
    show(slide)
    ready(slide)
    cells = widget.runs.prepared.estimate.cells
    widget.choices.preview_button.click()
    qtbot.waitUntil(lambda: overlay(widget, slide, "mask") is not None, timeout=30_000)
    mask = overlay(widget, slide, "mask")
    assert len(overlay(widget, slide, "tissue").data) >= 1
    mask.selected_label = 0
    mask.brush_size = mask.data.shape[0]
    mask.paint((0, mask.data.shape[1] // 2), 0)
    qtbot.waitUntil(
        lambda: widget.runs.prepared is not None and widget.runs.prepared.estimate.cells < cells, timeout=30_000
    )
    mask.undo()
    qtbot.waitUntil(
        lambda: widget.runs.prepared is not None and widget.runs.prepared.estimate.cells == cells, timeout=30_000
    )


def test_the_mask_that_a_run_hides_is_not_left_selected(widget, show, slide, ready, qtbot, viewer):
    """A hidden layer of labels would take letters, as X, that belong to Hotspots."""
    show(slide)
    ready(slide)
    widget.choices.preview_button.click()
    qtbot.waitUntil(lambda: overlay(widget, slide, "mask") is not None, timeout=30_000)
    assert viewer.layers.selection.active == overlay(widget, slide, "mask")
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    assert not overlay(widget, slide, "mask").visible
    assert viewer.layers.selection.active == overlay(widget, slide, "probability")


def test_an_unknown_scale_is_asked_for_and_then_wins(widget, show, pixels, ready, qtbot, viewer):
    unknown = open_slide([pixels, pixels[::4, ::4]])
    layer = show(unknown)
    qtbot.waitUntil(lambda: widget.runs.state is State.REFUSED, timeout=30_000)
    assert widget.choices.scale_row.isVisibleTo(widget)
    assert "µm/px unknown" in widget.choices.slide_note.text()
    assert "--" not in widget.run_panel.estimate_note.text()
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    widget.choices.scale_box.setValue(1.0)
    widget.choices.scale_button.click()
    ready(unknown)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert "given by the user" in widget.choices.slide_note.text()


def test_no_scale_is_asked_for_where_there_is_nothing_to_correct(widget, show, slide, ready):
    show(slide)
    ready(slide)
    assert widget.choices.scale_row.isVisibleTo(widget)
    computed = PhantomSlide(3, (600, 700))
    show(computed)
    widget.choose_slide(computed.id)
    assert not widget.choices.scale_row.isVisibleTo(widget)
    widget.choose_slide(slide.id)
    assert widget.choices.scale_row.isVisibleTo(widget)


def test_a_scale_is_corrected_with_all_that_hangs_on_it(widget, show, slide, ready, qtbot, viewer):
    """What was found at the wrong scale goes; what was drawn stays on its place, and so does the view."""
    layer = show(slide)
    ready(slide)
    place = {"scale": slide.um_per_px, "units": ("um", "um")}
    drawn = viewer.add_shapes([np.array([(10, 10), (10, 60), (60, 60.0)])], shape_type="polygon", **place)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    assert widget.choices.scale_box.value() == pytest.approx(slide.um_per_px[0])
    box = widget.canvas.view_box(slide)
    corrected = round(slide.um_per_px[0] * 1.25, 4)
    widget.choices.scale_box.setValue(corrected)
    widget.choices.scale_button.click()
    qtbot.waitUntil(lambda: widget.chosen_slide().um_per_px == (corrected, corrected), timeout=30_000)
    ready(widget.chosen_slide())
    assert layer.scale == pytest.approx([corrected, corrected])
    assert drawn.scale == pytest.approx([corrected, corrected])
    assert slide.id not in widget.runs.results
    assert widget.run_panel.result_note.text() == "What was found at 1 µm/px has gone: run again."
    assert list(widget.canvas.overlays(slide.id)) == []
    assert widget.canvas.view_box(widget.chosen_slide()) == box


def test_a_colour_image_of_another_reader_is_a_slide_too(widget, pixels, viewer, qtbot):
    viewer.add_image(pixels, rgb=True, scale=(1.0, 1.0), units=("um", "um"), name="plain")
    qtbot.waitUntil(lambda: widget.runs.state is State.READY, timeout=60_000)
    assert widget.runs.slide.um_per_px == (1.0, 1.0)


def test_view_is_a_region(widget, show, slide, ready, qtbot, viewer):
    show(slide)
    ready(slide)
    viewer.scene.camera.center = (256.0, 320.0)
    viewer.scene.camera.zoom = float(min(viewer.canvas.size)) / 200
    box = widget.canvas.view_box(slide)
    assert box.intersection(box.__class__(250, 260, 315, 325)).shape == (10, 10)
    assert 195 <= min(box.shape) <= 205
    viewer.scene.camera.center = (5000.0, 5000.0)
    widget.choices.region_box.setCurrentIndex(widget.choices.region_box.findData("what is in view"))
    widget.run_panel.run_button.click()
    assert "outside the view" in widget.run_panel.estimate_note.text()
    assert not widget.runs.running


def test_a_saved_result_opens_over_its_slide_and_answers_clicks(widget, show, slide, ready, qtbot, viewer, tmp_path):
    from napari_gigaclf.viewer.reader import read_paths

    show(slide)
    ready(slide)
    prediction = widget.runs.prepared.run(saliency="tumour")
    prediction.save(tmp_path / "slide.gigaclf")
    layers = [
        getattr(viewer, f"add_{kind}")(data, **kwargs)
        for data, kwargs, kind in read_paths(str(tmp_path / "slide.gigaclf"))
    ]
    assert [layer.metadata["kind"] for layer in layers] == ["probability", "saliency", "tissue"]
    qtbot.waitUntil(lambda: slide.id in widget.runs.results, timeout=30_000)
    assert len(viewer.layers) == 4  # the loaded ones are replaced, not doubled
    assert np.array_equal(overlay(widget, slide, "probability").data, prediction.probability_map[1], equal_nan=True)
    assert "tumour 0." in widget.run_panel.result_note.text()


def test_a_warning_stands_once(widget):
    panel = widget.run_panel
    panel.show_plan("3 tiles", ("the stain is far off", "the region is cut"))
    assert panel.estimate_note.text().splitlines() == [
        "Warning: the stain is far off",
        "Warning: the region is cut",
        "3 tiles",
    ]
    panel.show_lines(["Warning: the stain is far off", "Slide: tumour 0.9"])
    assert panel.estimate_note.text().splitlines() == ["Warning: the region is cut", "3 tiles"]
    panel.show_lines([])
    assert panel.estimate_note.text().startswith("Warning: the stain")
    panel.show_note("planning...")
    panel.show_lines(["Warning: the stain is far off"])
    assert panel.estimate_note.text() == "planning..."


def test_a_long_name_does_not_widen_the_dock_and_can_be_read(widget, qtbot):
    from qtpy.QtCore import QEvent, QPoint
    from qtpy.QtGui import QHelpEvent
    from qtpy.QtWidgets import QApplication

    box = widget.choices.slide_box
    width = widget.minimumSizeHint().width()
    box.addItem("a name " * 40, "long")
    box.setCurrentIndex(box.count() - 1)
    qtbot.wait(10)
    assert widget.minimumSizeHint().width() == width
    box.grab()  # draws it shortened
    QApplication.sendEvent(box, QHelpEvent(QEvent.Type.ToolTip, QPoint(3, 3), box.mapToGlobal(QPoint(3, 3))))
    assert "a name " * 40 in box.toolTip()
