"""Two slides are open: what stands in the widget is of the one that is chosen."""

import numpy as np

from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.widgets.controls import choose


def test_the_result_in_words_is_that_of_the_chosen_slide(widget, show, slide, pixels, ready, qtbot):
    show(slide)
    ready(slide)
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: slide.id in widget.runs.results and not widget.runs.running, timeout=60_000)
    said = widget.run_panel.result_note.text()
    assert "tumour" in said
    other = open_slide(np.ascontiguousarray(pixels[:, ::-1]), um_per_px=1.0)
    layer = show(other)
    assert widget.run_panel.result_note.text() == said, "the first one is still chosen"
    choose(widget.choices.slide_box, other.id)
    ready(other)
    assert widget.run_panel.result_note.text() == ""
    choose(widget.choices.slide_box, slide.id)
    ready(slide)
    assert widget.run_panel.result_note.text() == said
    widget.canvas.close_slide(slide.id)
    qtbot.waitUntil(lambda: widget.chosen_slide() is layer.metadata["slide"], timeout=10_000)
    assert widget.run_panel.result_note.text() == ""
