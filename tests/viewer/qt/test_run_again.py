"""Run, pan meanwhile, cancel, run again: in a real window, by its buttons and by the mouse over the canvas."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_gigaclf.slides import open_slide

STEPS = 8
ROUNDING = 1e-6
"""The undisturbed run is on another thread, which PyTorch may give another number of threads of its own."""


@pytest.fixture
def viewer(shown_viewer):
    """A window that is drawn."""
    return shown_viewer


@pytest.fixture
def large(pixels):
    return open_slide([np.tile(pixels, (6, 5, 1)), np.tile(pixels[::4, ::4], (6, 5, 1))], um_per_px=1.0)


@pytest.fixture
def pan(viewer, qtbot):
    """Drag the slide to and fro over the canvas."""
    canvas = viewer.window._qt_viewer.canvas.native  # napari has no public way to the canvas

    def go(by):
        begin = QPoint(canvas.width() // 2, canvas.height() // 2)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, begin)
        for step in range(1, STEPS + 1):
            QTest.mouseMove(canvas, begin + QPoint(by * step // STEPS, 0))
            qtbot.wait(50)  # Qt may deliver a move later than a release otherwise
        end = begin + QPoint(by, 0)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)

    return go


def test_a_run_that_was_cancelled_while_panning_leaves_no_trace_in_the_next(
    widget, show, large, ready, qtbot, viewer, pan
):
    show(large)
    ready(large)
    undisturbed = widget.runs.prepared.run(saliency=None).probability_map
    panel, centre = widget.run_panel, viewer.scene.camera.center

    panel.run_button.click()
    qtbot.waitUntil(lambda: np.isfinite(overlay_data(widget, large)).any(), timeout=60_000)
    pan(60)
    assert viewer.scene.camera.center != centre
    panel.cancel_button.click()
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=30_000)
    layer = widget.canvas.overlay(large.id, "probability")
    partial, _ = widget.runs.results[large.id]
    assert not partial.complete
    assert "partial" in layer.name
    assert "Partial: stopped after" in panel.result_note.text()
    there = np.isfinite(layer.data)
    assert 0 < there.sum() < np.isfinite(undisturbed[1]).sum()
    assert layer.data[there] == pytest.approx(undisturbed[1][there], abs=ROUNDING)

    panel.run_button.click()
    qtbot.waitUntil(lambda: widget.runs.running and np.isfinite(overlay_data(widget, large)).any(), timeout=60_000)
    pan(-60)
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=120_000)
    again, _ = widget.runs.results[large.id]
    layer = widget.canvas.overlay(large.id, "probability")
    assert again.complete
    assert "partial" not in layer.name
    assert "Partial" not in panel.result_note.text()
    assert again.probability_map == pytest.approx(undisturbed, abs=ROUNDING, nan_ok=True)
    assert layer.data == pytest.approx(undisturbed[1], abs=ROUNDING, nan_ok=True)


def overlay_data(widget, slide):
    """Return the map on show, or nothing."""
    layer = widget.canvas.overlay(slide.id, "probability")
    return np.full(1, np.nan) if layer is None else layer.data


def test_the_keys_stay_on_run_and_cancel_and_what_was_refused_before_is_not_said_any_more(
    widget, show, large, ready, qtbot, viewer, on_the_screen
):
    show(large)
    ready(large)
    panel = widget.run_panel
    planned = panel.estimate_note.text()
    widget.show_problem("a question that would cost too much")
    assert panel.estimate_note.text() != planned
    panel.run_button.setFocus()
    qtbot.keyClick(panel.run_button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: widget.runs.running, timeout=30_000)
    assert panel.estimate_note.text() == planned
    assert panel.cancel_button.hasFocus()
    qtbot.keyClick(panel.cancel_button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=60_000)
    assert panel.run_button.hasFocus()
