"""Teach over a worklist: the taught map is there again when one comes back, and is said to wait for a reader's call."""

import numpy as np
import pytest

from napari_gigaclf.inference import classify
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.lesson_file import list_lessons
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.viewer.teach_texts import OTHER_SCALE
from napari_gigaclf.viewer.widgets.classify import ClassifyWidget
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


def said_of(teach):
    """Return what stands in the last column of the list of examples."""
    return [teach.examples.table.item(row, 2).text() for row in range(teach.examples.table.rowCount())]


def test_examples_of_a_corrected_scale_are_left_out_and_read_again_with_the_slide(viewer, teach, qtbot, tmp_path):
    classify = ClassifyWidget(viewer)
    viewer.window.add_dock_widget(classify, name="Classify slide")
    qtbot.waitUntil(lambda: classify.chosen_slide() is not None, timeout=60_000)
    teach_two_classes(teach, qtbot)
    before = teach.teaching.lesson
    old = {each.key: each.features for each in before.examples}
    classify.choices.scale_box.setValue(0.8)
    classify.choices.scale_button.click()
    qtbot.waitUntil(lambda: teach.teaching.slide.um_per_px == (0.8, 0.8), timeout=30_000)
    qtbot.waitUntil(lambda: not teach.teaching.lesson.used, timeout=30_000)
    qtbot.waitUntil(lambda: teach.choices.read_button.isEnabled(), timeout=30_000)
    assert set(said_of(teach)) == {OTHER_SCALE}
    assert "6 of another scale left out" in teach.check_note.text()
    assert "left out of what is learnt until the slide is read" in teach.note.text()
    assert not teach.teaching.lesson.can_learn

    teach.choices.read_button.click()
    qtbot.waitUntil(lambda: teach.teaching.opened is not None, timeout=120_000)
    after = teach.teaching.lesson
    assert 4 <= len(after.used) <= len(after.examples) == 6  # cells at the edge of the tissue may be glass now
    assert said_of(teach).count(OTHER_SCALE) == 6 - len(after.used)
    assert {each.um_per_px for each in after.used} == {(0.8, 0.8)}
    canvas = teach.teaching.opened.canvas
    for each in after.used:
        cell = canvas.cell_at(each.place)
        assert np.array_equal(each.vector(after.base.num_features), canvas.features[canvas.number_of(cell)])
        assert each.features not in old.values()
    qtbot.waitUntil(lambda: "Cross-validated" in teach.check_note.text(), timeout=60_000)
    assert ("another scale" in teach.check_note.text()) == (len(after.used) < 6)
    qtbot.waitUntil(lambda: not teach.saver.busy, timeout=30_000)
    ((_, kept),), problems = list_lessons(tmp_path / "lessons", after.base.identity)
    assert (kept.steps, kept.slides, problems) == (after.steps, after.slides, [])
    teach.teaching.undo()
    assert len(teach.teaching.lesson.used) == len(after.used) - 1
    classify.shut_down()


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
