"""What a person drew, painted and ordered returns as it was: with a viewer without a window, and real files."""

import io
import json
import zipfile

import numpy as np
import pytest

from napari_gigaclf.annotations import Annotation, read_geojson, write_geojson
from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.slides.opening import with_scale
from napari_gigaclf.slides.slide import GIVEN_BY_USER
from napari_gigaclf.viewer.another_scale import rescale
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.returning import mask_file, masks, pieces
from napari_gigaclf.viewer.returning.mask_file import MaskRecord, read_masks, write_masks
from napari_gigaclf.viewer.returning.masks import PaintedMask, recorded
from napari_gigaclf.viewer.returning.state_store import StateStore

SQUARE = np.array([[10, 10], [10, 60], [50, 60], [50, 10.0]])


def test_rectangles_ellipses_and_lines_return_as_what_they_are_also_in_exports(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    drawn = [SQUARE + 0.25, SQUARE + 100, np.array([[3, 4], [70, 90.5]]), np.array([[1, 1], [1, 9], [9, 9], [5, 7.0]])]
    kinds = ["rectangle", "ellipse", "line", "polygon"]
    first.viewer.add_shapes(drawn, shape_type=kinds, name="mine", scale=(0.5, 0.5), units=("um", "um"))
    before = first.canvas.drawn(slide, selected_only=False)
    first.controller.close()
    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    layer = second.viewer.layers["mine"]
    assert layer.shape_type == kinds
    for one, other in zip(layer.data[:3], drawn[:3], strict=True):
        assert np.allclose(one, other, atol=1e-4)
    from napari_gigaclf.viewer.writer import drawn_annotation

    after = second.canvas.drawn(slide, selected_only=False)
    for name, shapes in (("before", before), ("after", after)):
        write_geojson(tmp_path / f"{name}.geojson", [drawn_annotation(shape) for shape in shapes])
    exported = [json.loads((tmp_path / f"{name}.geojson").read_text())["features"] for name in ("before", "after")]
    assert [each["geometry"] for each in exported[0]][:3] == [each["geometry"] for each in exported[1]][:3]
    assert exported[1][1]["geometry"]["isEllipse"] is True


def test_widths_fills_and_features_return(window, slide_of):
    first = window()
    first.open(slide_of())
    bow_tie = np.array([[200, 200], [260, 260], [200, 260], [260, 200.0]])  # two areas once it is kept
    first.viewer.add_shapes(
        [SQUARE, bow_tie], shape_type="polygon", name="mine", scale=(1, 1), units=("um", "um"), edge_width=[2, 5],
        face_color=np.array([[1, 0, 0, 0.25], [0, 1, 0, 0.5]]),
        features={"class": ["tumour", ""], "grade": [2, 3], "reader": ["ä", ""], "size": [0.5, np.nan],
                  "sure": [True, False]},
    )  # fmt: skip
    first.viewer.add_points([[4, 6.0], [1, 2.0]], name="points", features={"class": ["a", "b"], "count": [7, 8]})
    first.controller.close()
    second = window()
    second.open(slide_of())
    shapes = second.viewer.layers["mine"]
    assert shapes.edge_width == [4, 10, 10], "in pixels of the slide, half as large"
    assert np.allclose(shapes.face_color, [[1, 0, 0, 0.25], [0, 1, 0, 0.5], [0, 1, 0, 0.5]])
    assert list(shapes.features["grade"]) == [2, 3, 3]
    assert list(shapes.features["reader"]) == ["ä", "", ""]
    assert shapes.features["size"][0] == 0.5
    assert np.isnan(shapes.features["size"][1])
    assert list(shapes.features["sure"]) == [True, False, False]
    assert list(second.viewer.layers["points"].features["count"]) == [7, 8]
    shapes.selected_data = {0}
    shapes.current_edge_width = 9
    second.controller.shapes_changed()
    second.controller.close()
    third = window()
    third.open(slide_of())
    assert third.viewer.layers["mine"].edge_width == [9, 10, 10]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("width", "1e999"), ("width", "-3"), ("width", "wide"), ("fill", "[1, 0]"), ("fill", "[9, 0, 0, 1]"),
        ("fill", "[" * 900), ("features", "[1]"), ("features", '{"a": [1, 2], "b": {"c": 1}}'),
        ("features", json.dumps({str(number): number for number in range(150)})),
        ("features", json.dumps({"long": "x" * 5000})),
    ],
)  # fmt: skip
def test_looks_that_a_file_cannot_have_are_left_out(window, slide_of, tmp_path, key, text):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_shapes([SQUARE], shape_type="polygon", name="mine")
    first.controller.close()
    drawings = StateStore(tmp_path / "slides", slide.id).drawings
    (kept,) = read_geojson(drawings)
    import dataclasses

    write_geojson(drawings, [dataclasses.replace(kept, metadata={**kept.metadata, key: text})])
    second = window()
    second.open(slide_of())
    shapes = second.viewer.layers["mine"]
    assert second.notes == []
    assert 0 < shapes.edge_width[0] < 10
    assert shapes.face_color.min() >= 0
    assert len(shapes.features.columns) <= 31
    assert all(len(str(value)) < 100 for value in shapes.features.iloc[0])


def test_points_return_with_class_colour_size_and_symbol(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_points(
        [[10, 20.5], [30, 40.25]], name="mitoses", size=[12, 7], symbol=["star", "cross"], scale=(0.5, 0.5),
        border_color=["red", "blue"],
        face_color=np.array([[1, 0, 0, 1], [0, 0, 1, 1.0]]), features={"class": ["mitosis", ""]}, units=("um", "um"),
    )  # fmt: skip
    first.viewer.add_points([[4, 6.0]], name="coarse", scale=(2, 2), translate=(1, 1), size=3, units=("um", "um"))
    first.controller.close()
    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    points = second.viewer.layers["mitoses"]
    assert points.data.tolist() == [[10, 20.5], [30, 40.25]]
    assert list(points.features["class"]) == ["mitosis", ""]
    assert points.border_color.tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    assert (points.size.tolist(), [each.value for each in points.symbol]) == ([12, 7], ["star", "cross"])
    assert points.face_color.tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    coarse = second.viewer.layers["coarse"]
    assert (coarse.data * coarse.scale).tolist() == [[9, 13]], "the same place, in the slide's pixels"
    assert coarse.size.tolist() == [12]
    points.data = points.data[:1]
    second.controller.shapes_changed()
    second.canvas.close_slide(slide.id)
    second.settle()
    assert second.names() == []
    assert StateStore(tmp_path / "slides", slide.id).load().num_drawn == 2


def test_points_of_a_file_are_its_own_once_they_are_moved(window, slide_of, tmp_path):
    import shapely

    path = tmp_path / "regions.geojson"
    shapes = [Annotation(geometry=shapely.box(10, 20, 60, 80)), Annotation(geometry=shapely.Point(30.5, 40.5))]
    write_geojson(path, shapes)
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.show(*pieces.annotation_file_layers(path, slide))
    points = first.viewer.layers["regions.geojson (points)"]
    points.data = points.data + 5
    first.controller.shapes_changed()
    first.viewer.layers["regions.geojson"].name = "renamed"
    first.controller.close()
    second = window()
    second.open(slide_of())
    assert sorted(second.names())[1:] == ["regions.geojson", "regions.geojson (points)"], "neither is there twice"
    assert second.viewer.layers["regions.geojson (points)"].data.tolist() == [[45, 35]]
    second.viewer.layers.remove("regions.geojson")
    second.settle()
    second.controller.shapes_changed()
    second.controller.close()
    third = window()
    third.open(slide_of())
    assert third.names()[1:] == ["regions.geojson (points)"], "what was taken away stays away"
    assert len(read_geojson(path)) == 2


def test_masks_that_were_painted_return(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    whole = first.viewer.add_labels(np.zeros((512, 640), np.uint8), name="glands", scale=(0.5, 0.5), units=("um", "um"))
    whole.paint((100, 200), 3)
    coarse = first.viewer.add_labels(
        np.zeros((64, 80), np.int64), name="coarse", scale=(4, 4), translate=(2, 3), units=("um", "um"), opacity=0.2
    )
    coarse.data[5:9, 6:70] = 100_000
    coarse.data[6, 7] = -5
    empty = first.viewer.add_labels(np.zeros((8, 8), np.uint16), name="empty", units=("um", "um"))
    wanted = {each.name: np.array(each.data) for each in (whole, coarse, empty)}
    first.controller.close()
    store = StateStore(tmp_path / "slides", slide.id)
    assert store.load().num_masks == 3
    assert store.masks.stat().st_size < 5000

    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    assert second.notes == []
    for name, labels in wanted.items():
        layer = second.viewer.layers[name]
        assert layer.data.dtype == labels.dtype
        assert np.array_equal(layer.data, labels)
    assert np.allclose(
        (second.viewer.layers["coarse"].scale, second.viewer.layers["coarse"].translate), ((4, 4), (2, 3))
    )
    assert second.viewer.layers["coarse"].opacity == 0.2
    before = store.masks.stat()
    second.viewer.layers["glands"].opacity = 0.4
    second.controller.look()
    second.settle()
    assert store.masks.stat().st_mtime_ns == before.st_mtime_ns, "what was not painted on is not written again"
    second.viewer.layers["glands"].data[0, 0] = 7
    second.controller.masks_changed()
    second.viewer.layers.remove("empty")
    second.settle()
    rescale(second.canvas, with_scale(slide, (0.25, 0.25), GIVEN_BY_USER))
    second.controller.close()

    third = window()
    third.open(with_scale(slide_of(), (0.25, 0.25), GIVEN_BY_USER))
    assert third.names()[1:] == ["glands", "coarse"]
    assert third.viewer.layers["glands"].data[0, 0] == 7
    coarse = third.viewer.layers["coarse"]
    assert np.allclose((coarse.scale, coarse.translate), ((2, 2), (1, 1.5)))


def colours(layer):
    return np.array([layer.get_color(label) for label in range(1, 300)])


def test_shuffled_colours_of_labels_return_and_can_be_shuffled_again(window, slide_of):
    place = {"scale": (0.5, 0.5), "units": ("um", "um")}
    first = window()
    first.open(slide_of())
    for name in ("shuffled", "usual"):
        first.viewer.add_labels(np.full((512, 640), 3, np.uint16), name=name, **place)
    layer = first.viewer.layers["shuffled"]
    layer.new_colormap()  # the button of napari's layer controls
    wanted = {each.name: colours(each) for each in first.viewer.layers[1:]}
    assert not np.array_equal(wanted["shuffled"], wanted["usual"])
    first.controller.close()

    second = window()
    second.open(slide_of())
    for name, before in wanted.items():
        assert np.allclose(colours(second.viewer.layers[name]), before, atol=1 / 255)
    second.viewer.layers["shuffled"].new_colormap()
    again = colours(second.viewer.layers["shuffled"])
    assert not np.allclose(again, wanted["shuffled"], atol=1 / 255)
    second.controller.close()

    third = window()
    third.open(slide_of())
    assert np.allclose(colours(third.viewer.layers["shuffled"]), again, atol=1 / 255)


def test_a_mask_that_is_too_large_is_said_at_once_and_counts_as_lost(window, slide_of, monkeypatch, tmp_path):
    monkeypatch.setattr(masks, "MAX_PIXELS", 100)
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_labels(np.ones((20, 20), np.uint8), name="large")
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="small")
    first.controller.look()
    first.controller.look()
    (note,) = first.notes
    assert "large will not be there" in note
    assert "save its layer" in note
    assert first.controller.not_kept(slide.id) == 1
    first.controller.close()
    second = window()
    second.open(slide_of())
    assert second.names()[1:] == ["small"]


def test_masks_whose_numbers_take_too_much_are_said_and_the_rest_is_kept(window, slide_of, monkeypatch):
    monkeypatch.setattr(mask_file, "MAX_BYTES", 30)
    first = window()
    first.open(slide_of())
    first.viewer.add_labels(np.ones((6, 6), np.uint8), name="large")
    first.viewer.add_shapes([SQUARE], shape_type="rectangle", name="mine")
    first.controller.look()
    first.settle()
    assert any("save their layers" in note for note in first.notes)
    first.controller.close()
    second = window()
    second.open(slide_of())
    assert "mine" in second.names()


def _record(**changes):
    given = {"name": "a", "kind": "drawn", "dtype": "uint8", "shape": (4, 6), "step": (1.0, 1.0), "origin": (0.0, 0.0),
             "box": (1, 3, 2, 5), "stored": "uint8"}  # fmt: skip
    return MaskRecord(**{**given, **changes})


def _zip(index, **entries):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("masks.json", index if isinstance(index, str) else json.dumps(index))
        for name, content in entries.items():
            file.writestr(name.removeprefix("n"), content)
    return data.getvalue()


def _index(**changes):
    record = {"name": "a", "kind": "drawn", "dtype": "uint8", "shape": [4, 6], "step": [1, 1], "origin": [0, 0],
              "box": [1, 3, 2, 5], "stored": "uint8"}  # fmt: skip
    return {"format": mask_file.FORMAT, "masks": [{**record, **changes}]}


@pytest.mark.parametrize("content", [
    b"", b"damaged", _zip("{"), _zip("[" * 100_000), _zip({"format": "?", "masks": []}), _zip(_index()),
    _zip(_index(), n0=b"123"), _zip(_index(), n0=b"1" * 10_000_000),
    _zip(_index(shape=[1 << 20, 1 << 20]), n0=b"1" * 6),
    _zip(_index(box=[0, 5, 0, 7]), n0=b"1" * 35), _zip(_index(dtype="object"), n0=b"1" * 6), _zip(" " * (1 << 19)),
    _zip(_index(step=[0, 1]), n0=b"1" * 6), _zip({**_index(), "masks": _index()["masks"] * 21}),
])  # fmt: skip
def test_a_broken_file_of_masks_is_one_sentence_and_is_moved_aside(window, slide_of, tmp_path, content):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="mine")
    first.viewer.add_shapes([SQUARE], shape_type="rectangle", name="drawn too")
    first.controller.close()
    file = StateStore(tmp_path / "slides", slide.id).masks
    file.write_bytes(content)
    second = window()
    second.open(slide_of())
    (note,) = second.notes
    assert "the painted masks cannot be read" in note
    assert second.names()[1:] == ["drawn too"]
    second.controller.close()
    assert file.with_name(f"{file.name}.unread").read_bytes() == content


def test_masks_and_shapes_return_where_only_the_file_beside_them_is_damaged(window, slide_of, tmp_path):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="painted")
    first.viewer.add_shapes([SQUARE], shape_type="ellipse", name="drawn")
    first.controller.close()
    StateStore(tmp_path / "slides", slide.id).path.write_text("damaged")
    second = window()
    second.open(slide_of())
    (note,) = second.notes
    assert "moved to" in note
    assert sorted(second.names()[1:]) == ["drawn", "painted"]
    assert second.viewer.layers["painted"].data.sum() == 25


def test_an_entry_that_lies_about_its_size_is_not_unpacked(tmp_path):
    path = tmp_path / "a.masks"
    path.write_bytes(_zip(_index(), n0=b"1" * (1 << 24)))
    with pytest.raises(ResultError, match="larger than"):
        read_masks(path)


def test_little_paint_on_much_nothing_is_not_unpacked(tmp_path):
    path = tmp_path / "a.masks"
    large = _index(dtype="int64", shape=[1 << 14, 1 << 14])
    path.write_bytes(_zip({**large, "masks": large["masks"] * 3}, n0=b"1" * 6, n1=b"1" * 6, n2=b"1" * 6))
    with pytest.raises(ResultError, match="more than the 4096 MiB"):
        read_masks(path)
    record = _record(dtype="int64", shape=(1 << 14, 1 << 14))
    with pytest.raises(OutputError, match="save their layers"):
        write_masks(tmp_path / "b.masks", [(record, np.ones((2, 3), np.uint8))] * 3)
    assert not (tmp_path / "b.masks").exists()


def test_masks_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.masks"
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    write_masks(path, [(_record(), labels)])
    ((record, back),) = read_masks(path)
    assert record == _record()
    assert back.sum() == labels.sum()
    with pytest.raises(OutputError):
        write_masks(tmp_path / "a.masks" / "b.masks", [(_record(), labels)])
    assert [each.name for each in tmp_path.iterdir()] == ["a.masks"]
    wrong = PaintedMask(name="a", kind="drawn", grid=Frame(um_per_px=None, shape=(2, 3)).level0, labels=labels)
    import dataclasses

    lost = dataclasses.replace(wrong, grid=dataclasses.replace(wrong.grid, origin=(1e12, 0.0)))
    with pytest.raises(OutputError, match="begins at"):
        recorded([lost])


def test_layers_lie_over_one_another_as_they_lay_and_the_map_has_its_threshold(window, slide_of, predict):
    first = window()
    slide = first.open(slide_of()).metadata["slide"]
    for data in prediction_layers(predict(slide), Frame.of_slide(slide), "normal", 0.4682):
        first.canvas.put(slide.id, data)
    first.viewer.add_shapes([SQUARE], shape_type="ellipse", name="mine")
    first.viewer.add_labels(np.ones((5, 5), np.uint8), name="mask")
    first.viewer.add_points([[1, 1.0]], name="points")
    layers = first.viewer.layers
    layers.move(layers.index(first.canvas.overlay(slide.id, "probability")), len(layers))
    layers.move(layers.index("points"), 1)
    order = first.names()
    shown = np.array(first.canvas.overlay(slide.id, "probability").data)
    assert np.isnan(shown).any()
    first.controller.look()
    first.settle()
    first.controller.look()
    first.controller.close()
    second = window()
    slide = second.open(slide_of()).metadata["slide"]
    assert second.names() == order
    overlay = second.canvas.overlay(slide.id, "probability")
    assert (overlay.metadata["class_name"], overlay.metadata["threshold"]) == ("normal", 0.4682)
    assert np.array_equal(overlay.data, shown, equal_nan=True)
