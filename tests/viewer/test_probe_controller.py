"""Answers to clicks and drawn shapes, with a fake table and the real core."""

from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_gigaclf.viewer.controllers.jobs import Export, export_all
from napari_gigaclf.viewer.controllers.probe import ProbeController, thumbnail
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, Wishes
from napari_gigaclf.viewer.shapes import DrawnShape
from napari_gigaclf.viewer.texts import answer_text, area_text

TISSUE = (250.0, 420.0)
GLASS = (20.0, 20.0)


class FakeTable:
    """Remembers rows and problems."""

    def __init__(self):
        self.rows = []
        self.problems = []
        self.waiting = []

    def add_row(self, slide, row):
        self.rows.append(row)

    def show_problem(self, text):
        self.problems.append(text)

    def show_asking(self, num_waiting):
        self.waiting.append(num_waiting)


@pytest.fixture
def table():
    return FakeTable()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def asks(table, make_worker, shelf):
    return ProbeController(table, worker=make_worker("quick"), shelf=shelf)


@pytest.fixture
def wishes(model_folder: Path):
    return Wishes(model=str(model_folder), device="cpu", saliency=NO_SALIENCY)


@pytest.fixture
def prediction(shelf, slide, wishes):
    return shelf.prepare(slide, wishes).run(saliency=None)


def test_a_click_says_the_same_before_and_after_the_run(asks, table, pump, slide, wishes, prediction):
    asks.click(slide, wishes, TISSUE)
    asks.click(slide, wishes, TISSUE, prediction=prediction)
    pump.until(lambda: len(table.rows) == 2)
    before, after = table.rows
    assert before.answer.probabilities == pytest.approx(after.answer.probabilities, abs=1e-6)
    assert before.answer.outline.equals(after.answer.outline)
    assert [row.number for row in table.rows] == [1, 2]
    assert before.position_um == TISSUE  # 1 um/px
    assert before.answer.outline.area == pytest.approx(96 * 96)
    pump.drain()
    assert table.waiting[-1] == 0


def test_glass_says_no_tissue(asks, table, pump, slide, wishes, prediction):
    asks.click(slide, wishes, GLASS)
    asks.click(slide, wishes, GLASS, prediction=prediction)
    pump.until(lambda: len(table.rows) == 2)
    assert [answer_text(row.answer) for row in table.rows] == ["no tissue", "no tissue"]


def test_beside_the_slide_nothing_is_asked(asks, table, pump, slide, wishes):
    asks.click(slide, wishes, (-5.0, 10.0))
    asks.click(slide, wishes, (10.0, 640.0))
    pump.drain()
    assert table.waiting == []


def test_a_partial_result_is_completed_by_the_network(asks, table, pump, shelf, slide, wishes):
    prepared = shelf.prepare(slide, wishes)

    class Now:
        def is_set(self):
            return True

    partial = prepared.run(saliency=None, cancel=Now())
    assert not partial.complete
    asks.click(slide, wishes, TISSUE, prepared=prepared, prediction=partial)
    pump.until(lambda: bool(table.rows))
    assert table.rows[0].answer.probabilities is not None


def test_an_area_is_measured_with_its_holes(asks, table, pump, slide, prediction):
    whole = shapely.box(128, 128, 512, 384)
    holed = whole.difference(shapely.box(200, 200, 300, 300))
    asks.measure(slide, whole, prediction)
    asks.measure(slide, holed, prediction)
    pump.until(lambda: len(table.rows) == 2)
    first, second = (row.answer for row in table.rows)
    assert first.area_um2 == pytest.approx(384 * 256)
    assert second.area_um2 == pytest.approx(384 * 256 - 100 * 100)
    assert second.num_cells < first.num_cells
    text = area_text(second, "tumour")
    assert all(word in text for word in ("mm²", "mean", "highest", "above 0.5"))


def test_answers_for_a_slide_that_is_gone_are_dropped(asks, table, pump, slide, wishes):
    asks.click(slide, wishes, TISSUE)
    asks.slide_gone(slide.id)
    pump.until(lambda: bool(table.waiting) and table.waiting[-1] == 0)
    assert table.rows == []
    assert table.problems == []


def test_a_refused_click_is_one_line(asks, table, pump, slide):
    asks.click(slide, Wishes(model="no-such-model"), TISSUE)
    pump.until(lambda: bool(table.problems))
    assert "no-such-model" in table.problems[0]


def test_thumbnails_are_small_rgb_whatever_the_slide(slide):
    from napari_gigaclf.slides import open_slide

    for each in (slide, open_slide(np.random.default_rng(0).integers(0, 4000, (300, 300)).astype(np.uint16))):
        picture = thumbnail(each, shapely.box(50, 50, 146, 146))
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert max(picture.shape) <= 256
    assert picture.flags.c_contiguous
    assert thumbnail(slide, shapely.box(0, 0, 640, 512)).shape[0] <= 256


def test_export_writes_everything_and_qupath_s_rules_hold(asks, table, pump, slide, wishes, prediction, tmp_path):
    from napari_gigaclf.annotations import read_geojson, validate_geojson

    asks.click(slide, wishes, TISSUE, prediction=prediction)
    asks.click(slide, wishes, GLASS, prediction=prediction)
    pump.until(lambda: len(table.rows) == 2)
    square = np.array([[9.5, 9.5], [9.5, 49.5], [49.5, 49.5], [49.5, 9.5]])
    drawn = DrawnShape(vertices=square, kind="polygon", colour=(1.0, 0.0, 0.0, 1.0), class_name="tumour")
    paths = export_all(
        Export(folder=tmp_path / "out", stem="s", prediction=prediction, drawn=(drawn,), rows=tuple(table.rows))
    )
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "out").iterdir()}
    for path in paths:
        if path.suffix == ".geojson":
            assert not validate_geojson(path)
    (annotation,) = read_geojson(tmp_path / "out" / "s-annotations.geojson")
    assert annotation.geometry.bounds == (10, 10, 50, 50)
    assert annotation.class_name == "tumour"
    answer = prediction.query(annotation.geometry)
    assert annotation.measurements["cells"] == answer.num_cells
    for name, value in answer.mean.items():
        assert annotation.measurements[f"mean_{name}"] == pytest.approx(value)
    lines = (tmp_path / "out" / "s-places.csv").read_text().splitlines()
    assert len(lines) == 3
    assert "no tissue" in lines[2]


def test_exports_count_from_where_qupath_counts(prediction, tmp_path):
    """QuPath crops slides which OpenSlide gives bounds for; both files must be moved alike."""
    from napari_gigaclf.annotations import read_geojson

    square = np.array([[9.5, 9.5], [9.5, 49.5], [49.5, 49.5], [49.5, 9.5]])
    drawn = DrawnShape(vertices=square, kind="polygon", colour=(1.0, 0.0, 0.0, 1.0), class_name="tumour")
    for name, origin in (("plain", (0.0, 0.0)), ("moved", (7.0, 5.0))):
        export_all(Export(folder=tmp_path, stem=name, prediction=prediction, drawn=(drawn,), rows=(), origin=origin))
    for kind in ("regions", "annotations"):
        plain, moved = (read_geojson(tmp_path / f"{name}-{kind}.geojson") for name in ("plain", "moved"))
        assert len(plain) == len(moved)
        for one, other in zip(plain, moved, strict=True):
            assert np.array(one.geometry.bounds) - other.geometry.bounds == pytest.approx([7, 5, 7, 5])


def test_export_into_a_folder_that_cannot_be_is_one_error(prediction, tmp_path):
    from napari_gigaclf.errors import OutputError

    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        export_all(Export(folder=tmp_path / "file" / "sub", stem="s", prediction=prediction, drawn=(), rows=()))
