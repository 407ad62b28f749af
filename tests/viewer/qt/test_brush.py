"""Painting on the tissue mask in a real napari window."""

from unittest.mock import patch

import numpy as np
import pytest

from napari_gigaclf.viewer.brush import RESTS_MS
from napari_gigaclf.viewer.layers import painted_tissue
from napari_gigaclf.viewer.widgets import classify


@pytest.fixture
def mask(widget, show, slide, ready, qtbot):
    """The mask of an open slide, to be painted."""
    show(slide)
    ready(slide)
    widget.choices.preview_button.click()
    qtbot.waitUntil(lambda: widget.canvas.overlay(slide.id, "mask") is not None, timeout=30_000)
    qtbot.wait(2 * RESTS_MS)
    return widget.canvas.overlay(slide.id, "mask")


def test_a_mask_is_looked_at_once_a_stroke_not_at_each_movement(widget, slide, mask):
    """Looking at the mask of a gigapixel slide takes longer than a movement."""
    with patch.object(classify, "painted_tissue", wraps=painted_tissue) as looked:
        with mask.block_history():  # as napari does while the mouse button is held
            for column in range(20):
                mask.paint((10, column), 1 - column % 2)
            assert looked.call_count == 0
        assert looked.call_count == 1
    assert np.array_equal(widget.runs.shelf.known_tissue(slide.id).mask, np.asarray(mask.data) > 0)


def test_what_was_undone_just_before_the_run_counts(widget, slide, mask):
    found = np.asarray(mask.data) > 0
    mask.brush_size = mask.data.shape[0]
    with mask.block_history():
        mask.paint((0, mask.data.shape[1] // 2), 0)
    assert not np.array_equal(widget.runs.shelf.known_tissue(slide.id).mask, found)
    mask.undo()
    widget.run_panel.run_button.click()
    assert np.array_equal(widget.runs.shelf.known_tissue(slide.id).mask, found)


def test_what_was_filled_just_before_the_slide_is_closed_is_kept(mask):
    mask.fill((0, 0), 1 - int(mask.data[0, 0]))
    assert mask.metadata["painted"]
