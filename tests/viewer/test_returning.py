"""Slides return as they were left: with a viewer without a window, real files and real layers."""

import dataclasses
import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_gigaclf.annotations import Annotation, read_geojson, write_geojson
from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.another_scale import rescale
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.reader import open_layers
from napari_gigaclf.viewer.returning import pieces
from napari_gigaclf.viewer.returning.given_scale import with_given_scale
from napari_gigaclf.viewer.returning.state import LayerLook, RulerLine, SeenView, SlideState
from napari_gigaclf.viewer.returning.state_file import list_states, read_state, state_path
from napari_gigaclf.viewer.returning.state_store import StateStore


def test_camera_looks_and_drawn_shapes_return(window, slide_of, tmp_path):
    first = window()
    layer = first.open(slide_of())
    layer.opacity = 0.5
    first.point.turn()
    slide = layer.metadata["slide"]
    first.point.set_zoom(slide, 3.0)
    first.point.look_at(slide, (200.0, 310.0))
    drawn = first.viewer.add_shapes(
        [np.array([[10, 10], [10, 60], [50, 60.0]]), np.array([[70, 10], [90, 60.0]])], shape_type=["polygon", "path"],
        edge_color=np.array([[1, 0, 0, 1], [0, 0, 1, 1.0]]), features={"class": ["tumour", "ink"]}, name="mine",
        scale=(0.5, 0.5), units=("um", "um"), visible=False,
    )  # fmt: skip
    assert drawn.metadata["drawn_on"] == slide.id
    first.viewer.layers.clear()
    first.settle()
    assert first.notes == []

    second = window()
    layer = second.open(slide_of())
    slide = layer.metadata["slide"]
    assert layer.opacity == 0.5
    assert second.point.exchanged
    assert second.point.zoom(slide) == pytest.approx(3.0)
    assert second.point.box(slide).centre == pytest.approx((200.0, 310.0))
    again = second.viewer.layers["mine"]
    assert (again.visible, list(again.features["class"])) == (False, ["tumour", "ink"])
    assert again.shape_type == ["polygon", "path"]
    assert again.edge_color.tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    assert np.allclose(again.data[1], [[70, 10], [90, 60]], atol=0.01)
    again.selected_data = {0, 1}
    again.remove_selected()
    second.controller.shapes_changed()
    second.viewer.layers.remove(layer)
    second.settle()
    assert not StateStore(tmp_path / "slides", slide.id).drawings.exists(), "what was deleted stays deleted"


def test_a_person_who_looks_elsewhere_meanwhile_is_left_there(window, slide_of):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.point.set_zoom(slide, 5.0)
    first.controller.close()
    first.pump.drain()
    second = window()
    data, kwargs, kind = open_layers(slide_of())[0]
    slide = getattr(second.viewer, f"add_{kind}")(data, **kwargs).metadata["slide"]
    second.pump.run_once()
    second.point.set_zoom(slide, 0.25)
    second.settle()
    assert second.point.zoom(slide) == pytest.approx(0.25)


def test_a_result_that_was_run_is_kept_and_returns_with_its_look(window, slide_of, predict, tmp_path):
    first = window()
    layer = first.open(slide_of())
    slide = layer.metadata["slide"]
    prediction = predict(slide)
    for data in prediction_layers(prediction, Frame.of_slide(slide), "normal"):
        first.canvas.put(slide.id, data)
    first.canvas.overlay(slide.id, "probability").opacity = 0.3
    first.canvas.overlay(slide.id, "saliency").visible = False
    first.controller.look()
    first.settle()
    first.controller.look()
    first.controller.close()
    state = read_state(state_path(tmp_path / "slides", slide.id))
    assert (state.result.class_name, state.result.model) == ("normal", "tiny")

    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    overlay = second.canvas.overlay(slide.id, "probability")
    assert overlay.metadata["class_name"] == "normal"
    assert overlay.opacity == 0.3
    assert np.array_equal(overlay.data, np.asarray(prediction.probability_map[0]), equal_nan=True)
    assert not second.canvas.overlay(slide.id, "saliency").visible
    assert second.viewer.layers.index(overlay) > 0
    second.controller.close()

    saved = prediction.save(tmp_path / "saved.gigaclf")
    third = window()
    slide = third.open(slide_of()).metadata["slide"]
    third.canvas.remove(slide.id)
    third.settle()
    for data in pieces.result_layers(saved, slide, "tumour"):
        third.canvas.put(slide.id, data)
    third.controller.close()
    assert read_state(state_path(tmp_path / "slides", slide.id)).result.path == str(saved), "it is not kept twice"
    saved.rename(tmp_path / "gone.gigaclf")
    fourth = window()
    fourth.open(slide_of())
    (note,) = fourth.notes
    assert "saved.gigaclf" in note
    assert "not everything is shown as it was left" in note


def test_a_file_of_annotations_is_referred_to_until_it_is_changed(window, slide_of, tmp_path):
    path = tmp_path / "regions.geojson"
    point = Annotation(geometry=shapely.Point(30.5, 40.5), class_name="mitosis")
    write_geojson(path, [Annotation(geometry=shapely.box(10, 20, 60, 80), class_name="tumour"), point])
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.show(*pieces.annotation_file_layers(path, slide))
    first.controller.look()
    first.settle()
    store = StateStore(tmp_path / "slides", slide.id)
    assert (store.load().annotations, store.load().num_drawn) == ((str(path),), 0)
    first.controller.close()
    second = window()
    second.open(slide_of())
    layer = second.viewer.layers["regions.geojson"]
    layer.add_polygons(np.array([[5, 5], [5, 9], [9, 9.0]]))
    second.controller.shapes_changed()
    second.controller.close()
    assert (store.load().annotations, store.load().num_drawn) == ((str(path),), 2), "for its points"
    points = second.viewer.layers["regions.geojson (points)"]
    assert (points.data.tolist(), list(points.features["class"])) == ([[40, 30]], ["mitosis"])
    assert len(read_geojson(path)) == 2, "the person's own file is never written to"
    third = window()
    third.open(slide_of())
    assert sorted(third.names())[1:] == ["regions.geojson", "regions.geojson (points)"]
    assert len(third.viewer.layers["regions.geojson"].data) == 2


def test_a_scale_that_was_given_is_given_again(window, tmp_path, pixels):
    from napari_gigaclf.slides.opening import with_scale
    from napari_gigaclf.slides.slide import GIVEN_BY_USER

    first = window()
    layer = first.open(open_slide(pixels))
    slide = layer.metadata["slide"]
    rescale(first.canvas, with_scale(slide, (0.25, 0.25), GIVEN_BY_USER))
    first.controller.close()
    again = with_given_scale(open_slide(pixels), tmp_path / "slides")
    assert (again.um_per_px, again.um_per_px_source, again.id) == ((0.25, 0.25), GIVEN_BY_USER, slide.id)
    assert with_given_scale(open_slide(pixels, um_per_px=1.0), tmp_path / "slides").um_per_px == (1.0, 1.0)
    assert with_given_scale(open_slide(pixels[::2]), tmp_path / "slides").um_per_px is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"format": "napari-gigaclf slide state 2"}', b"{\"a\":" * 5000, b" " * (1 << 21),
        b'{"format": "napari-gigaclf slide state 1", "state": {"slide_id": "0"}}',
    ],
)  # fmt: skip
def test_a_broken_file_is_one_sentence_and_the_slide_is_shown(window, slide_of, tmp_path, content):
    first = window()
    slide = slide_of()
    path = state_path(tmp_path / "slides", slide.id)
    path.parent.mkdir()
    path.write_bytes(content)
    first.open(slide)
    (note,) = first.notes
    assert "is not shown as it was left" in note
    assert len(first.viewer.layers) == 1
    first.point.set_zoom(slide, 2.0)
    first.controller.close()
    assert path.with_name(f"{path.name}.unread").read_bytes() == content, "nothing of it is lost"
    assert read_state(path, slide.id).view.zoom == pytest.approx(2.0)


def test_shapes_that_cannot_be_read_are_moved_aside_and_not_written_over(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon")
    first.controller.close()
    drawings = StateStore(tmp_path / "slides", slide.id).drawings
    drawings.write_text("damaged")
    second = window()
    second.open(slide_of())
    assert "moved to" in second.notes[0]
    second.controller.close()
    assert drawings.with_name(f"{drawings.name}.unread").read_text() == "damaged"


def test_shapes_return_although_the_file_beside_them_is_damaged(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    first.controller.close()
    state_path(tmp_path / "slides", slide.id).write_bytes(b"{")
    second = window()
    second.open(slide_of())
    assert "moved to" in second.notes[0]
    assert second.names() == [slide.name, "mine"]
    second.controller.close()
    third = window()
    third.open(slide_of())
    assert (third.names(), third.notes) == ([slide.name, "mine"], [])


def test_what_cannot_be_read_does_not_take_the_place_of_what_could_not_be_read_before(window, slide_of, tmp_path):
    path = state_path(tmp_path / "slides", slide_of().id)
    path.parent.mkdir()
    for content in (b"first", b"second", b"third"):
        path.write_bytes(content)
        each = window()
        each.open(slide_of())
        each.controller.close()
    assert {aside.read_bytes() for aside in path.parent.glob("*.unread*")} == {b"first", b"second", b"third"}


def test_shapes_return_that_were_drawn_while_their_slide_was_open_twice(window, slide_of):
    first = window()
    first.open(slide_of())
    first.open(slide_of())
    first.viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    first.viewer.layers.clear()
    first.settle()
    second = window()
    second.open(slide_of())
    assert "mine" in second.names()


def test_a_writing_that_failed_is_said_once_and_made_good_with_the_next_change(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    folder = tmp_path / "slides"
    folder.rename(tmp_path / "away")  # a network drive that goes and comes back
    folder.write_text("in the way")
    first.viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="painted")
    for zoom in (2.0, 3.0):
        first.point.set_zoom(slide, zoom)
        first.controller.look()
        first.settle()
    (note,) = first.notes
    assert "tried again with every change" in note
    assert not first.controller.keeps_shapes(slide.id), "whoever closes the slide now is asked"
    folder.unlink()
    (tmp_path / "away").rename(folder)
    first.point.set_zoom(slide, 4.0)
    first.controller.look()
    first.settle()
    assert first.controller.keeps_shapes(slide.id)
    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    assert second.names()[1:] == ["mine", "painted"], "also what was drawn while nothing could be written"
    assert second.point.zoom(slide) == pytest.approx(4.0)
    second.controller.close()
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    first.notes.clear()
    first.point.set_zoom(slide, 5.0)
    first.controller.look()
    first.settle()
    assert len(first.notes) == 1, "another time it is said again"
    folder.unlink()
    (tmp_path / "away").rename(folder)


def test_a_writing_that_failed_is_made_good_at_the_end(window, slide_of, tmp_path):
    first = window()
    first.open(slide_of())
    folder = tmp_path / "slides"
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    first.viewer.add_shapes([np.array([[10, 10], [10, 60], [50, 60.0]])], shape_type="polygon", name="mine")
    first.controller.look()
    first.settle()
    folder.unlink()
    (tmp_path / "away").rename(folder)
    first.controller.close()
    second = window()
    second.open(slide_of())
    assert "mine" in second.names()


def test_what_takes_long_to_write_is_written_after_the_window_has_gone(window, slide_of, monkeypatch):
    monkeypatch.setattr("napari_gigaclf.viewer.controllers.returning.FLUSH_SECONDS", 0.0)
    first, disk_is_free = window(), threading.Event()
    first.open(slide_of())
    first.workers[0].submit(lambda _job: disk_is_free.wait(60), lambda _done: None, lambda _text: None)
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="painted")
    assert not first.controller.close()
    assert not first.workers[0].close(0), "the window's end takes its workers along, but not what they write"
    disk_is_free.set()
    assert first.workers[0].close(60)
    second = window()
    second.open(slide_of())
    assert second.names()[1:] == ["painted"]


def test_two_windows_do_not_write_over_one_another(window, slide_of):
    one, other = window(), window()
    for each in (one, other):
        each.open(slide_of())
    one.point.set_zoom(one.viewer.layers[0].metadata["slide"], 2.0)
    one.controller.look()
    one.settle()
    assert any("another window" in note for note in (*one.notes, *other.notes))


def test_a_state_says_what_is_wrong_and_belongs_to_one_slide(tmp_path):
    view = SeenView(centre=(1.0, 2.0), zoom=1.0, exchanged=False, vertical="down", horizontal="right")
    state = SlideState(slide_id="ab", slide_name="a.svs", file=None, when="2026-01-01T00:00:00+00:00", view=view)
    store = StateStore(tmp_path, "ab")
    store.save(state, None)
    assert store.load() == state
    assert list_states(tmp_path) == [state]
    with pytest.raises(ResultError, match="another slide"):
        read_state(store.path, "cd")
    (tmp_path / "other.json").write_text(json.dumps({"format": "?"}))
    assert list_states(tmp_path) == [state]
    with pytest.raises(OutputError, match="another window"):
        StateStore(tmp_path, "ab").save(state, None)
    for wrong in ({"zoom": 0.0}, {"centre": (1e10, 0.0)}):
        with pytest.raises(ValueError, match="camera"):
            dataclasses.replace(view, **wrong)
    look = {"kind": "slide", "name": "a", "visible": True}
    with pytest.raises(ValueError, match="opacity"):
        LayerLook(**look, opacity=2.0)
    with pytest.raises(ValueError, match="contrast"):
        LayerLook(**look, opacity=1.0, limits=(1.0, 1.0))
    for line in ({"end": (0.0, 1e12)}, {"end": (math.nan, 0.0)}, {"width": 0.0}, {"width": math.inf}):
        with pytest.raises(ValueError, match="ruler"):
            RulerLine(**{"begin": (0.0, 0.0), "end": (1.0, 1.0), "width": 1.0, **line})
    for colours in ("", "00ff00ff", "zz" * 8, "00ff00ff" * 257, "00ff00ff" * 2 + "\n"):
        with pytest.raises(ValueError, match="colours"):
            LayerLook(**look, opacity=1.0, colours=colours)
    assert pieces.file_of(Path(tmp_path / "nothing")) is None


def test_a_run_that_was_stopped_returns_as_far_as_it_came(window, slide_of, model_folder):
    from napari_gigaclf.inference import prepare

    class AfterOneTile:
        tiles = 0

        def is_set(self):
            return self.tiles > 1

        def count(self, progress):
            self.tiles = progress.done

    first, stop = window(), AfterOneTile()
    slide = first.open(slide_of()).metadata["slide"]
    plan = prepare(slide, model_folder, tissue=False, memory="4MB")
    partial = plan.run(saliency=None, cancel=stop, progress=stop.count)
    assert not partial.complete
    for data in prediction_layers(partial, Frame.of_slide(slide), "normal"):
        first.canvas.put(slide.id, data)
    first.controller.look()
    first.settle()
    first.controller.close()
    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    overlay = second.canvas.overlay(slide.id, "probability")
    assert overlay.name.endswith("(partial)")
    assert np.array_equal(overlay.data, np.asarray(partial.probability_map[0]), equal_nan=True)
