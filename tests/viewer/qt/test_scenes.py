"""Another scene or focal plane of a file, chosen in the widget: opened beside the first, once, off the GUI thread."""

import threading

import numpy as np
import pytest

from napari_gigaclf.slides import open_slide, pyramid
from napari_gigaclf.testing.slide_files import write_scenes
from napari_gigaclf.viewer.controllers import slide_book


@pytest.fixture
def row(widget):
    return widget.choices.place_row


@pytest.fixture
def first(show, scenes_file, ready):
    """The first scene's middle plane, as the reader opens it."""
    layer = show(open_slide(scenes_file))
    ready(layer.metadata["slide"])
    return layer


@pytest.fixture
def shown(widget, qtbot):
    """Wait until a scene and plane is the chosen slide; return it."""

    def wait(scene, z):
        def there():
            slide = widget.chosen_slide()
            return slide is not None and (slide.scene, slide.z) == (scene, z)

        qtbot.waitUntil(there, timeout=20_000)
        return widget.chosen_slide()

    return wait


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_row_is_there_only_for_files_with_several(widget, row, show, slide, ready, first):
    assert row.isVisibleTo(widget)
    assert [row.scene_box.itemText(i) for i in range(row.scene_box.count())] == ["0", "1"]
    assert (row.scene_box.currentData(), row.z_box.count(), row.z_box.currentData()) == (0, 3, 1)
    show(slide)
    widget.choices.slide_box.setCurrentIndex(widget.choices.slide_box.findData(slide.id))
    ready(slide)
    assert not row.isVisibleTo(widget)


def test_planes_without_scenes(widget, row, show, tmp_path, pixels, ready):
    layer = show(open_slide(write_scenes(tmp_path / "planes.ome.tif", [np.stack([pixels, pixels[::-1]])])))
    ready(layer.metadata["slide"])
    assert layer.name == "planes.ome.tif [z 1]"
    assert row.z_box.isVisibleTo(widget)
    assert not row.scene_box.isVisibleTo(widget)


def test_another_scene_is_opened_beside_the_first_and_becomes_the_chosen_one(
    widget, row, first, shown, ready, viewer, qtbot, monkeypatch
):
    threads, overviews = [], []
    monkeypatch.setattr(slide_book, "start_overviews", overviews.append)
    work = slide_book.open_place
    monkeypatch.setattr(
        slide_book, "open_place", lambda *wish: (threads.append(threading.current_thread().name), work(*wish))[1]
    )
    before = first.metadata["slide"]
    row.scene_box.setCurrentIndex(1)
    slide = shown(1, 1)
    assert threads == ["gigaclf-quick"]
    assert names(viewer) == ["many.ome.tif [scene 0, z 1]", "many.ome.tif [scene 1, z 1]"]
    assert slide.levels[0].shape == (1024, 640, 3)
    assert (row.scene_box.currentData(), row.z_box.count(), row.z_box.currentData()) == (1, 2, 1)
    assert "640 x 1024 px" in widget.choices.slide_note.text()
    assert len(overviews) == 1
    ready(slide)
    assert before.levels[0][:4, :4].shape == (4, 4, 3), "the first stays open"


def test_one_that_is_open_is_chosen_and_comes_to_the_top(widget, row, first, shown, viewer):
    row.z_box.setCurrentIndex(2)
    shown(0, 2)
    row.z_box.setCurrentIndex(1)
    assert shown(0, 1) is first.metadata["slide"]
    assert names(viewer) == ["many.ome.tif [scene 0, z 2]", "many.ome.tif [scene 0, z 1]"]
    first.visible = False
    row.z_box.setCurrentIndex(2)
    shown(0, 2)
    row.z_box.setCurrentIndex(1)
    shown(0, 1)
    assert first.visible
    assert len(viewer.layers) == 2


def test_planes_passed_on_the_way_are_not_opened(row, first, shown, viewer):
    row.z_box.setCurrentIndex(0)
    row.scene_box.setCurrentIndex(1)
    shown(1, 1)
    row.z_box.setCurrentIndex(0)
    row.z_box.setCurrentIndex(1)
    row.z_box.setCurrentIndex(0)
    shown(1, 0)
    assert len(viewer.layers) == 3


def test_each_keeps_its_result_and_exports_it_under_a_name_of_its_own(
    widget, row, first, shown, ready, viewer, qtbot, tmp_path
):
    results = widget.runs.results
    one = first.metadata["slide"]
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: one.id in results and not widget.runs.running, timeout=60_000)
    drawn = viewer.add_shapes([np.array([(10, 10), (10, 60), (60, 60.0)])], shape_type="polygon")
    row.z_box.setCurrentIndex(2)
    other = shown(0, 2)
    ready(other)
    assert viewer.layers[-1] is drawn, "what a person drew stays on top"
    assert viewer.layers.index(widget.canvas.overlay(one.id, "probability")) < viewer.layers.index(
        widget.canvas.layer_of(other.id)
    )
    widget.run_panel.run_button.click()
    qtbot.waitUntil(lambda: other.id in results and not widget.runs.running, timeout=60_000)
    assert results[one.id][0].record.slide.z == 1
    assert results[other.id][0].record.slide.z == 2
    for wanted in (2, 1):
        if widget.chosen_slide().z != wanted:
            row.z_box.setCurrentIndex(wanted)
            shown(0, wanted)
        widget.export_to(tmp_path / "out")
        qtbot.waitUntil(lambda: "Exported" in widget.run_panel.estimate_note.text(), timeout=20_000)
        widget.run_panel.show_note("")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"many-scene-0-z-1-prediction.json", "many-scene-0-z-2-prediction.json"} <= written
    top = [layer.metadata.get("slide_id") for layer in viewer.layers if layer.metadata.get("slide_id")][-1]
    assert top == one.id, "the chosen one's map comes to the top with it"


def test_a_file_that_is_gone_is_one_line_and_the_row_says_what_is_open(widget, row, first, scenes_file, viewer, qtbot):
    scenes_file.rename(scenes_file.with_name("elsewhere.ome.tif"))
    row.scene_box.setCurrentIndex(1)
    qtbot.waitUntil(lambda: "many.ome.tif" in widget.run_panel.estimate_note.text(), timeout=20_000)
    assert row.scene_box.currentData() == 0
    assert len(viewer.layers) == 1


def test_a_slide_that_is_closed_meanwhile_brings_no_other(widget, row, first, viewer, qtbot):
    widget.book.open_place(first.metadata["slide"], 1, None)
    viewer.layers.remove(first)
    qtbot.waitUntil(lambda: not widget.quick.busy, timeout=20_000)
    qtbot.wait(50)
    assert len(viewer.layers) == 0
    assert not row.isVisibleTo(widget)


def test_a_scale_that_was_given_holds_for_the_planes_of_its_scene_only(widget, row, first, shown, qtbot):
    widget.choices.scale_box.setValue(0.5)
    widget.choices.scale_button.click()
    qtbot.waitUntil(lambda: widget.chosen_slide().um_per_px == (0.5, 0.5), timeout=20_000)
    row.z_box.setCurrentIndex(0)
    assert shown(0, 0).um_per_px == (0.5, 0.5)
    row.scene_box.setCurrentIndex(1)
    assert shown(1, 1).um_per_px == (1.0, 1.0)


def test_a_place_outside_a_smaller_scene_is_left_for_its_middle(
    widget, row, show, ready, shown, tmp_path, pixels, viewer
):
    path = write_scenes(tmp_path / "small.ome.tif", [np.tile(pixels, (3, 3, 1))[None], pixels[None]])
    layer = show(open_slide(path))
    ready(layer.metadata["slide"])
    viewer.scene.camera.center = (1400.0, 1800.0)
    viewer.scene.camera.zoom = 4.0
    row.scene_box.setCurrentIndex(1)
    slide = shown(1, 0)
    assert not widget.canvas.view_box(slide).empty


def test_coarse_levels_that_are_missing_come_later(widget, row, show, shown, tmp_path, pixels, qtbot, monkeypatch):
    monkeypatch.setattr(pyramid, "cache_folder", lambda: tmp_path / "cache")
    path = write_scenes(tmp_path / "long.ome.tif", [pixels[None], np.full((1, 4500, 1200, 3), 90, np.uint8)])
    show(open_slide(path))
    row.scene_box.setCurrentIndex(1)
    slide = shown(1, 0)
    layer = widget.canvas.layer_of(slide.id)
    assert len(layer.data) > 1
    qtbot.waitUntil(lambda: layer.metadata["slide"] is not slide, timeout=30_000)
    complete = widget.chosen_slide()
    assert (complete.scene, complete.id) == (1, slide.id)
    assert np.asarray(layer.data[-1]).max() == 90
