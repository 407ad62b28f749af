"""A result that is dropped on a slide while a run on it goes on: both stay, and the run goes on drawing its own map."""

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.dropped import result_over


@pytest.fixture
def large(pixels):
    return open_slide([np.tile(pixels, (6, 5, 1)), np.tile(pixels[::4, ::4], (6, 5, 1))], um_per_px=1.0)


def test_the_run_goes_on_over_what_was_dropped(widget, show, large, ready, qtbot, viewer, model_folder, tmp_path):
    saved = classify(large, model_folder, saliency=None, tissue=False, level=1).save(tmp_path / "earlier.gigaclf")
    show(large)
    ready(large)
    undisturbed = widget.runs.prepared.run(saliency=None).probability_map
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: widget.canvas.overlay(large.id, "probability") is not None, timeout=60_000)
    own = widget.canvas.overlay(large.id, "probability")
    layers, _ = result_over(saved, [large])
    for data, kwargs, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **kwargs)
    dropped = next(each for each in viewer.layers if "file" in each.metadata)
    before, shape = np.array(dropped.data), dropped.data.shape
    assert widget.runs.running, "the run must outlast what is tested"
    qtbot.waitUntil(lambda: viewer.layers.index(dropped) < viewer.layers.index(own), timeout=10_000)
    assert "under its map" in widget.run_panel.estimate_note.text()
    qtbot.waitUntil(lambda: not widget.runs.running, timeout=120_000)
    qtbot.wait(100)
    result, _ = widget.runs.results[large.id]
    assert result.complete
    assert result.probability_map == pytest.approx(undisturbed, abs=1e-5, nan_ok=True)
    assert widget.canvas.overlay(large.id, "probability") is own
    assert np.array_equal(own.data, result.probability_map[1], equal_nan=True)
    assert own.metadata["prediction"].record is result.record
    assert dropped in viewer.layers
    assert dropped.data.shape == shape
    assert np.array_equal(dropped.data, before, equal_nan=True), "what was dropped is as it was"
