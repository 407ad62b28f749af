"""Rings over the slide and keys over the canvas, in napari's model without a window."""

import numpy as np
import pytest
import shapely
from napari.components import ViewerModel

from napari_gigaclf.inference.findings.ranking import Entry
from napari_gigaclf.inference.findings.reviews import Review
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.hotspot_marks import CURRENT_LINE_PX, LEAST_PX, LINE_PX, SEEN_PX, SYMBOLS, HotspotMarks
from napari_gigaclf.viewer.layers import Frame

FRAME = Frame(um_per_px=(0.5, 0.5), shape=(4000, 4000))
VERDICTS = ("open", "accepted", "rejected", "relabelled")


def entry(rank, verdict="open"):
    y, x = 400.0 * rank, 300.0 * rank
    review = None
    if verdict != "open":
        review = Review(
            place=(y, x),
            class_name="tumour",
            probability=0.5,
            verdict=verdict,
            new_class="normal" if verdict == "relabelled" else "",
            who="Ada",
            when="2026-01-02T03:04:05+00:00",
        )
    outline = shapely.box(x - 96, y - 96, x + 96, y + 96)
    return Entry(rank=rank, place=(y, x), class_name="tumour", probability=0.5, outline=outline, review=review)


@pytest.fixture
def canvas():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 40, 3), np.uint8), rgb=True, scale=(50, 50), units=("um", "um"), name="slide")
    return SlideCanvas(viewer)


@pytest.fixture
def marks(canvas):
    return HotspotMarks(canvas)


def test_rings_lie_on_their_places_and_tell_the_verdict_by_symbol_and_colour(canvas, marks):
    entries = [entry(rank, verdict) for rank, verdict in enumerate(VERDICTS, start=1)]
    marks.put("s", FRAME, entries, [0, 1, 3])
    layer = canvas.overlay("s", "hotspots")
    world = [layer.data_to_world(point) for point in layer.data]
    assert np.allclose(world, [[(v - 0.5) * 0.5 for v in each.place] for each in entries])
    assert [str(symbol) for symbol in layer.symbol] == [SYMBOLS[verdict] for verdict in VERDICTS]
    assert len({tuple(colour) for colour in layer.border_color}) == len(VERDICTS)
    assert layer.border_color[:, 3].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert (layer.size >= 192).all()
    assert {str(unit) for each in canvas.viewer.layers for unit in each.units} == {"micrometer"}
    assert layer.text.values.tolist() == ["1", "2", "", "4"]


def test_a_verdict_and_the_current_place_change_the_layer_that_is_there(canvas, marks):
    entries = [entry(1), entry(2)]
    marks.put("s", FRAME, entries, [0, 1])
    layer = canvas.overlay("s", "hotspots")
    marks.judge("s", [entry(1, "rejected"), entries[1]], [0, 1])
    marks.point_out("s", entries, 1)
    marks.show("s", entries, [1])
    assert canvas.overlay("s", "hotspots") is layer
    assert [str(symbol) for symbol in layer.symbol] == ["x", "disc"]
    assert layer.border_width[1] > layer.border_width[0]
    assert layer.border_color[:, 3].tolist() == [0.0, 1.0]
    assert layer.text.values.tolist() == ["1", "2"], "numbers are slow, and wait"
    marks.number("s", entries, [1])
    assert layer.text.values.tolist() == ["", "2"]
    marks.judge("s", [entry(1, "accepted")], [0])  # of a list that is not shown any more
    assert [str(symbol) for symbol in layer.symbol] == ["x", "disc"]
    others = [entry(rank, verdict) for rank, verdict in enumerate(VERDICTS, start=1)]
    marks.put("s", FRAME, others, [0, 2, 3])  # a longer list
    assert canvas.overlay("s", "hotspots") is layer
    assert [str(symbol) for symbol in layer.symbol] == [SYMBOLS[verdict] for verdict in VERDICTS]
    assert layer.text.values.tolist() == ["1", "", "3", "4"]
    assert layer.border_color[:, 3].tolist() == [1.0, 0.0, 1.0, 1.0]
    marks.put("s", FRAME, others[:1], [0])  # a shorter one
    assert (len(layer.data), len(layer.size), layer.text.values.tolist()) == (1, 1, ["1"])
    marks.put("s", FRAME, [], [])
    assert len(layer.data) == 0
    marks.put("s", FRAME, others, [0])
    assert layer.text.values.tolist() == ["1", "", "", ""]
    marks.remove("s")
    assert canvas.overlay("s", "hotspots") is None


def test_going_there_zooms_in_and_never_out(canvas, marks):
    camera = canvas.viewer.scene.camera
    camera.zoom = 0.01
    marks.go_to(FRAME, entry(3))
    assert camera.center[-2:] == pytest.approx([(1200 - 0.5) / 2, (900 - 0.5) / 2])
    assert camera.zoom == pytest.approx(SEEN_PX / 96)
    camera.zoom = 7.0
    marks.go_to(FRAME, entry(2))
    assert camera.zoom == 7.0


def test_rings_can_be_seen_at_every_zoom(canvas, marks):
    entries, camera = [entry(1), entry(2)], canvas.viewer.scene.camera
    camera.zoom = 0.05  # the whole slide
    marks.put("s", FRAME, entries, [0, 1])
    layer = canvas.overlay("s", "hotspots")
    on_screen = layer.size * 0.5 * camera.zoom
    assert (on_screen > 0.8 * LEAST_PX).all()
    assert (on_screen < 1.25 * LEAST_PX).all()
    camera.zoom = 4.0
    marks.follow_zoom("s", FRAME, entries)
    assert np.allclose(layer.size, 192)  # what the network saw


def test_the_lines_of_rings_stay_as_thin_when_one_zooms_in(canvas, marks):
    entries, camera = [entry(1), entry(2)], canvas.viewer.scene.camera
    camera.zoom = 0.05
    marks.put("s", FRAME, entries, [0, 1])
    layer = canvas.overlay("s", "hotspots")
    for zoom in (0.05, 1.0, 20.0, 0.3):
        camera.zoom = zoom
        marks.follow_zoom("s", FRAME, entries)
        lines = layer.border_width * layer.size * 0.5 * zoom
        assert lines == pytest.approx([LINE_PX, LINE_PX], rel=0.13)
    marks.point_out("s", entries, 1)
    for zoom in (0.3, 5.0):
        camera.zoom = zoom
        marks.follow_zoom("s", FRAME, entries)
        lines = layer.border_width * layer.size * 0.5 * zoom
        assert lines == pytest.approx([LINE_PX, CURRENT_LINE_PX], rel=0.13)


def test_keys_are_bound_where_nobody_draws_and_given_back(canvas):
    viewer, pressed = canvas.viewer, []
    before = lambda _viewer: pressed.append("before")  # noqa: E731
    viewer.bind_key("N", before)
    keys = CanvasKeys(viewer, {"N": lambda: pressed.append("N"), "X": lambda: pressed.append("X")})
    image, shapes = viewer.add_image(np.zeros((4, 4))), viewer.add_shapes(ndim=2)
    mask = viewer.add_labels(np.zeros((4, 4), int), metadata={"kind": "mask"})
    ours = viewer.add_points(ndim=2, metadata={"kind": "hotspots"})
    assert [len(layer.keymap) for layer in (viewer.layers["slide"], image, shapes, mask, ours)] == [2, 2, 0, 0, 2]
    for owner in (viewer, image):
        for function in owner.keymap.values():
            function(owner)
    assert pressed == ["N", "X"] * 2
    keys.stop()
    viewer.add_image(np.zeros((4, 4)))
    assert all(not layer.keymap for layer in viewer.layers)
    assert list(viewer.keymap.values()) == [before]
