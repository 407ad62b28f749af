"""Tiles of annotated slides: where they lie, and what is wrong with a table, its outlines and its recipe."""

import shutil

import numpy as np
import pytest
import shapely
import tifffile
from shapely.geometry import LineString, Point, box

from napari_gigaclf.annotations import Annotation, write_geojson
from napari_gigaclf.errors import CohortError
from napari_gigaclf.testing.runs import kinds
from napari_gigaclf.testing.tiles import write_annotated_slides, write_small_tiles
from napari_gigaclf.training.from_tiles.check import check_source
from napari_gigaclf.training.from_tiles.places import corners_in
from napari_gigaclf.training.runs.settings import with_settings


@pytest.fixture
def table(tmp_path):
    return write_annotated_slides(tmp_path / "slides")


@pytest.mark.parametrize(("side", "label"), [(40, 40), (40, 16), (33, 16)])
def test_middles_lie_in_the_area_apart_from_each_other_and_tiles_in_the_slide(side, label):
    ring = Point(150, 120).buffer(110).difference(Point(150, 120).buffer(50))
    corners = corners_in(ring, (260, 300), side, label, np.random.default_rng(0))
    assert len(corners) >= 4
    margin = (side - label) // 2
    squares = [box(x, y, x + label, y + label) for y, x in corners + margin]
    assert all(ring.covers(square) for square in squares)
    assert shapely.union_all(squares).area == pytest.approx(len(squares) * label**2)
    assert corners.min() >= 0
    assert (corners + side <= (260, 300)).all()
    assert np.array_equal(corners, corners_in(ring, (260, 300), side, label, np.random.default_rng(0)))


def test_a_small_outline_is_not_missed():
    found = [corners_in(box(37, 51, 37 + 45, 51 + 45), (500, 500), 40, 40, np.random.default_rng(s)) for s in range(20)]
    assert all(len(corners) == 1 for corners in found), "36 of 1600 rasters have a square here"


def test_the_report_says_how_many_tiles_there_would_be(table, quick):
    report = check_source(table, quick)
    assert report.problems == ()
    assert set(report.counts) == {"train", "tune"}
    assert sum(sum(of_split.values()) for of_split in report.counts.values()) == report.drawing.total
    splits = {place.row.group: place.row.split for place in report.drawing.places}
    assert sorted(splits.values()) == ["train", "train", "train", "tune"]


def test_all_problems_of_table_outlines_and_slides_are_in_one_report(table, quick):
    folder = table.parent
    write_geojson(folder / "1.geojson", [
        Annotation(geometry=box(60, 60, 340, 340), class_name="plain"),
        Annotation(geometry=box(200, 60, 400, 340), class_name="spots"),
        Annotation(geometry=LineString([(0, 0), (9, 9)]), class_name="plain"),
        Annotation(geometry=box(0, 0, 9, 9)),
    ])  # fmt: skip
    (folder / "2.geojson").write_text("{")
    (folder / "3.tif").unlink()
    table.write_text(table.read_text() + "0.tif,0.geojson,patient0,0.5\n4.tif,none.geojson,patient4,x\n")
    report = check_source(table, with_settings(quick, ["tile_px=80"]))
    assert {"unreadable-annotations", "missing-file", "slide-twice", "bad-um-per-px", "not-used"} <= set(kinds(report))
    for words in (
        "2.geojson: not JSON", "3.tif: there is no such file", "the same slide as in row 2", "none.geojson",
        "1.geojson: 1 outlines without a class are not used", "tiles of 80 px are too small for the network cell-net",
    ):  # fmt: skip
        assert words in report.text, words
    assert report.drawing is None


def test_where_outlines_contradict_each_other_no_tile_lies(table, quick):
    write_geojson(table.parent / "1.geojson", [
        Annotation(geometry=box(50, 50, 390, 390), class_name="plain"),
        Annotation(geometry=box(50, 50, 210, 390), class_name="spots"),
        Annotation(geometry=box(450, 50, 790, 390), class_name="spots"),
    ])  # fmt: skip
    report = check_source(table, with_settings(quick, ["label_px=16"]))
    assert "two-classes" in kinds(report)
    assert not report.errors
    places = next(place for place in report.drawing.places if place.row.name == "1.tif")
    x_px = {name: (corners[:, 1] + 48) * 2 for name, corners in places.corners.items()}
    assert x_px["plain"].min() > 210
    assert x_px["spots"].min() > 450


def test_an_outline_without_room_and_a_class_left_out_are_warned_of(table, quick):
    write_geojson(table.parent / "0.geojson", [
        Annotation(geometry=box(60, 60, 340, 340), class_name="plain"),
        Annotation(geometry=box(460, 60, 480, 80), class_name="spots"),
        Annotation(geometry=box(500, 60, 580, 80), class_name="spot"),
    ])  # fmt: skip
    report = check_source(table, quick, classes=("plain", "spots"))
    assert "nowhere do 96 x 96 px lie wholly in an outline of 'spots'" in report.text
    assert "outlines of 'spot' are not used: did you mean 'spots'?" in report.text
    assert not report.errors


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["um_per_px=null"], "um_per_px is missing"),
        (["network=resnet18"], "tile_px is missing"),
        (["start_from=phantom"], "start_from: no model 'phantom'"),
        (["um_per_px=0.1"], "0.tif"),
        (["label_px=97"], "label_px=97 is more than the tile's 96 px"),
        (["batch_size=1"], "batch_size=1: the batch norms of cell-net learn from how tiles differ; at least 2"),
        (['frozen=["trunks"]'], "frozen: no parameter is called 'trunks'"),
        (["augmentation.shift_px=96"], "moves tiles of 96 px out of sight"),
    ],
)
def test_a_recipe_that_does_not_fit_is_part_of_the_report(table, quick, settings, words):
    report = check_source(table, with_settings(quick, settings))
    assert report.errors
    assert words in report.text


def test_tiles_are_divided_before_they_are_looked_at_for_leaks(tmp_path, quick):
    tiles = write_small_tiles(tmp_path / "tiles")
    report = check_source(tiles, quick)
    splits = {row.group: row.split for row in report.tiles.cohort.rows}
    assert sorted(splits.values()) == ["train"] * 5 + ["tune"]
    for patient in range(1, 6):
        shutil.copy(tiles / "plain" / "patient0" / "0.png", tiles / "plain" / f"patient{patient}" / "copy.png")
    assert "two-splits" in kinds(check_source(tiles, quick))


def test_a_slide_that_no_network_is_trained_on_is_an_error_of_the_check(table, quick):
    tifffile.imwrite(table.parent / "2.tif", np.zeros((400, 800), np.uint16), tile=(128, 128))
    report = check_source(table, quick)
    assert [(problem.kind, problem.row) for problem in report.errors] == [("unreadable-slide", 4)]
    assert "8-bit RGB brightfield" in report.text


def test_a_table_without_annotations_is_refused(tmp_path, quick):
    (tmp_path / "t.csv").write_text("slide,label\n1.tif,a\n")
    with pytest.raises(CohortError, match=r"no column 'annotations' .* columns are: slide, label"):
        check_source(tmp_path / "t.csv", quick)


def test_one_tile_at_a_time_is_enough_where_no_batch_norm_learns(tiles_folder, quick):
    frozen = ["batch_size=1", "start_from=phantom-tumour", 'frozen=["trunk"]']
    assert not check_source(tiles_folder, with_settings(quick, frozen)).errors
    assert "batch norms" in check_source(tiles_folder, with_settings(quick, frozen[:2])).text
