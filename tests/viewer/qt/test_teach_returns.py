"""Teach over a worklist: the taught map is there again when one comes back, and is said to wait for a reader's call."""

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.widgets.controls import choose
from napari_gigaclf.viewer.widgets.hotspots import HotspotsWidget
from napari_gigaclf.viewer.widgets.teach import TeachWidget
from napari_gigaclf.viewer.worklist_commands import next_slide, previous_slide

MODEL = "phantom-tumour"


@pytest.fixture
def folder(tmp_path):
    """Two slides; the features of the first one are kept from an earlier run."""
    folder = tmp_path / "case"
    folder.mkdir()
    for seed, name in ((3, "a.tif"), (4, "b.tif")):
        PhantomSlide(seed=seed, shape=(1200, 1200)).save(folder / name)
    with open_slide(folder / "a.tif") as slide:
        KeptFeatures(tmp_path / "features").keep(classify(slide, MODEL, saliency=None, device="cpu"))
    return folder


@pytest.fixture
def worklist(dock_worklist, folder):
    """The worklist on the folder; its slides return."""
    return dock_worklist(folder, rows=2)


@pytest.fixture
def teach(viewer, qtbot, worklist, tmp_path):
    """Teach with the first slide open and ready."""
    widget = TeachWidget(viewer, lessons=tmp_path / "lessons", features=tmp_path / "features")
    viewer.window.add_dock_widget(widget, name="Teach")
    qtbot.waitUntil(lambda: widget.teaching.lesson is not None, timeout=60_000)
    choose(widget.choices.model_box, MODEL)
    qtbot.waitUntil(lambda: widget.teaching.base is not None and widget.teaching.base.name == MODEL, timeout=60_000)
    next_slide(viewer)
    qtbot.waitUntil(lambda: widget.teaching.opened is not None, timeout=60_000)
    yield widget
    widget.shut_down()
    assert all(worker.close(60) for worker in (widget.quick, widget.saver, widget.long))


def teach_two_classes(teach, qtbot):
    """Give three examples of each of two classes, and wait for the map; return the slide's id."""
    canvas, slide = teach.teaching.opened.canvas, teach.teaching.slide
    cells = [canvas.grid.centre_of(*map(int, cell)) for cell in np.argwhere(canvas.kept)]
    for number, places in enumerate((cells[:3], cells[-3:])):
        teach.teaching.choose_class(number)
        for place in places:
            teach.teaching.click(slide, place)
    qtbot.waitUntil(lambda: teach.teaching.painter.check is not None, timeout=60_000)
    return slide.id


def test_map_and_examples_are_there_again_and_it_is_said_while_the_map_is_made(viewer, worklist, teach, qtbot):
    slide_id = teach_two_classes(teach, qtbot)
    before = np.array(teach.canvas.overlay(slide_id, "taught").metadata["live"].values)
    said = []
    show = teach.check_note.setText
    teach.check_note.setText = lambda text: (said.append(text), show(text))
    next_slide(viewer)
    qtbot.waitUntil(lambda: worklist.controller.open_row == 1 and not worklist.controller.opening, timeout=60_000)
    qtbot.waitUntil(lambda: "are not there: read the slide" in teach.choices.features_note.text(), timeout=60_000)
    assert teach.check_note.text() == "6 examples; the map is made as soon as this slide's features are there"
    previous_slide(viewer)
    qtbot.waitUntil(lambda: teach.canvas.overlay(slide_id, "taught") is not None, timeout=60_000)
    qtbot.waitUntil(lambda: teach.check_note.text().startswith("Cross-validated"), timeout=60_000)
    assert np.array_equal(teach.canvas.overlay(slide_id, "taught").metadata["live"].values, before, equal_nan=True)
    assert len(teach.canvas.overlay(slide_id, "examples").data) == 6
    assert said[-2] == "6 examples; making the map, then checking..."


def test_a_map_that_waits_for_the_readers_call_says_so(viewer, teach, qtbot):
    hotspots = HotspotsWidget(viewer)
    viewer.window.add_dock_widget(hotspots, name="Hotspots")
    try:
        hotspots.reader.switch.click()
        slide_id = teach_two_classes(teach, qtbot)
        assert not teach.canvas.overlay(slide_id, "taught").visible
        assert teach.hidden_note.isVisibleTo(teach)
        assert "untick Reader first" in teach.hidden_note.text()
        hotspots.reader.switch.click()
        assert teach.canvas.overlay(slide_id, "taught").visible
        assert not teach.hidden_note.isVisibleTo(teach)
        hotspots.reader.switch.click()
        assert teach.hidden_note.isVisibleTo(teach), "also a map that is there already"
    finally:
        hotspots.shut_down()
