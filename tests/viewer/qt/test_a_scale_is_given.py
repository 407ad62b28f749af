"""A person says how large a pixel is, and says it again: no number of the wrong scale stays in sight."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.layers import RULER
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
