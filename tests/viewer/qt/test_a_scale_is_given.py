"""A person says how large a pixel is, and says it again: no number of the wrong scale stays in sight."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.layers import RULER
from napari_gigaclf.viewer.own_marks import OwnMarks
from napari_gigaclf.viewer.reader import result_frame
from napari_gigaclf.viewer.widgets.navigate import NavigateWidget


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def navigator(viewer):
    widget = NavigateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Navigate")
    yield widget
    widget.shut_down()
    assert widget.worker.close()


def test_the_line_of_the_ruler_stays_and_says_its_length_at_the_scale_of_now(
    widget, navigator, viewer, show, pixels, drag_mouse, qtbot
):
    unknown = open_slide([pixels, pixels[::4, ::4]])
    show(unknown)
    navigator.buttons["ruler"].click()
    drag_mouse(viewer.window._qt_viewer.canvas.native, QPoint(150, 150), QPoint(250, 220))

    def measured():
        line = widget.canvas.overlay(unknown.id, RULER)
        return np.array(line.data[0]), line.features["length"].iloc[0]

    def give(um_per_px):
        widget.choices.scale_box.setValue(um_per_px)
        widget.choices.scale_button.click()
        qtbot.waitUntil(lambda: widget.chosen_slide().um_per_px == (um_per_px, um_per_px), timeout=30_000)

    place, text = measured()
    length = float(np.hypot(*(place[1] - place[0])))
    assert text == f"{length:.1f} px"
    qtbot.waitUntil(lambda: widget.chosen_slide() is not None, timeout=30_000)
    for um_per_px in (0.125, 0.25):
        give(um_per_px)
        again, text = measured()
        assert np.array_equal(again, place)
        assert text == f"{length * um_per_px:.1f} µm"
        assert navigator.reading.text() == f"ruler {text}"
        qtbot.waitUntil(lambda: "unknown" not in navigator.readout.text(), timeout=5_000)
        navigator.buttons["ruler"].setChecked(False)  # the next scale is given with the ruler laid down


@pytest.fixture
def give(widget, ready, qtbot):
    """Say how large a pixel is, and wait until the run is planned anew."""

    def say(um_per_px):
        widget.choices.scale_box.setValue(um_per_px)
        widget.choices.scale_button.click()
        qtbot.waitUntil(lambda: widget.chosen_slide().um_per_px == (um_per_px, um_per_px), timeout=30_000)
        ready(widget.chosen_slide())
        return widget.chosen_slide()

    return say


@pytest.fixture
def paint(widget, qtbot):
    """Take the right half of a slide out of its tissue mask with one stroke of the brush."""

    def stroke(slide):
        widget.choices.preview_button.click()
        qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "mask") is not None, timeout=30_000)
        mask = widget.canvas.overlay(slide.id, "mask")
        mask.brush_size = mask.data.shape[1]
        mask.paint((mask.data.shape[0] // 2, mask.data.shape[1]), 0)
        painted = np.array(mask.data) > 0
        qtbot.waitUntil(lambda: np.array_equal(widget.runs.shelf.known_tissue(slide.id).mask, painted), timeout=30_000)
        return mask

    return stroke


def run(widget, slide, qtbot):
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    return widget.runs.results[slide.id][0]


def test_a_mask_that_was_painted_outlives_another_scale_and_is_what_is_looked_at(
    widget, viewer, show, slide, ready, give, paint, qtbot
):
    show(slide)
    ready(slide)
    mask = paint(slide)
    painted, place = np.array(mask.data), mask.extent.world / slide.um_per_px[0]
    for um_per_px in (0.8, 1.25):
        scaled = give(um_per_px)
        assert widget.canvas.overlay(slide.id, "mask") is mask
        assert np.array_equal(mask.data, painted)
        assert mask.extent.world / um_per_px == pytest.approx(place)
        tissue = widget.runs.shelf.tissue(scaled)
        assert np.array_equal(tissue.mask, painted > 0)
        assert tissue.um_per_px == (um_per_px, um_per_px)
    assert widget.canvas.overlay(slide.id, "tissue") is None
    found = np.isfinite(run(widget, slide, qtbot).probability_map[0])
    right = found[:, found.shape[1] // 2 + 2 :]
    assert found.any()
    assert not right.any()
    mask.visible = True
    mask.paint((0, 0), 1)  # it can be painted on as before
    qtbot.waitUntil(lambda: widget.runs.shelf.tissue(widget.chosen_slide()).mask[0, 0], timeout=30_000)


def test_a_mask_that_nobody_painted_is_found_anew_at_another_scale(widget, show, slide, ready, give, qtbot):
    show(slide)
    ready(slide)
    widget.choices.preview_button.click()
    qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "mask") is not None, timeout=30_000)
    scaled = give(0.8)
    assert [layer.metadata["kind"] for layer in widget.canvas.overlays(slide.id)] == []
    assert widget.runs.shelf.tissue(scaled).um_per_px == (0.8, 0.8)


def test_a_mask_painted_while_the_scale_was_unknown_is_used_once_it_is_known(widget, show, pixels, give, paint, qtbot):
    unknown = open_slide([pixels, pixels[::4, ::4]])
    show(unknown)
    qtbot.waitUntil(lambda: widget.runs.slide is unknown, timeout=30_000)
    mask = paint(unknown)
    scaled = give(1.0)
    assert widget.canvas.overlay(unknown.id, "mask") is mask
    assert np.array_equal(widget.runs.shelf.tissue(scaled).mask, np.array(mask.data) > 0)


def test_places_that_were_asked_about_are_asked_again_once_there_is_a_result_at_the_other_scale(
    widget, show, slide, ready, give, qtbot
):
    show(slide)
    ready(slide)
    run(widget, slide, qtbot)
    widget.asking.click((250.0, 300.0))
    widget.asking.box((150.0, 150.0), (300.0, 400.0))
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 2, timeout=30_000)
    asked = {(row.kind, row.position) for row in widget.probes.rows}
    give(0.8)
    assert widget.probes.rows == []
    assert widget.canvas.overlay(slide.id, "fields") is None
    assert "2 places" in widget.run_panel.result_note.text()
    assert "1 µm/px" in widget.run_panel.result_note.text()
    run(widget, slide, qtbot)
    qtbot.waitUntil(lambda: len(widget.probes.rows) == 2, timeout=30_000)
    assert {(row.kind, row.position) for row in widget.probes.rows} == asked
    assert "2 places" not in widget.run_panel.result_note.text()


def test_marks_of_ones_own_call_stay_on_their_places(widget, show, slide, ready, give, qtbot):
    show(slide)
    ready(slide)
    marks = OwnMarks(widget.canvas)
    prediction = run(widget, slide, qtbot)
    marks.begin(slide.id, result_frame(prediction))
    widget.canvas.overlay(slide.id, "own call").add([100.0, 200.0])
    before = marks.places(slide.id)
    give(0.8)
    assert marks.places(slide.id) == before == [(100.5, 200.5)]
    assert widget.canvas.overlay(slide.id, "own call").scale == pytest.approx([0.8, 0.8])
