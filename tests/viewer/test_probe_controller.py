"""Answers to clicks and drawn shapes, with a fake table and the real core."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_gigaclf import open_slide
from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.ask_texts import answer_text, area_text, row_details, row_text
from napari_gigaclf.viewer.controllers import question_cost
from napari_gigaclf.viewer.controllers.jobs import Export, export_all
from napari_gigaclf.viewer.controllers.probe import (
    LOADING,
    NETWORK,
    PLANNING,
    STORED,
    ProbeController,
    Question,
    whole_slide_wishes,
)
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.thumbnails import thumbnail
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, RegionChoice, Wishes
from napari_gigaclf.viewer.shapes import DrawnShape

TISSUE = (250.0, 420.0)
GLASS = (20.0, 20.0)


class FakeTable:
    """Remembers rows, pictures, stages and problems."""

    def __init__(self):
        self.rows = []
        self.pictures = {}
        self.problems = []
        self.unanswered = []
        self.waiting = []
        self.stages = []

    def add_row(self, slide, row):
        self.rows.append(row)

    def show_picture(self, number, picture):
        self.pictures[number] = picture

    def show_problem(self, text):
        self.problems.append(text)

    def show_unanswered(self, slide, question):
        self.unanswered.append(question)

    def show_looking(self, num_questions, stage):
        self.waiting.append(num_questions)
        self.stages.append(stage)


class Asks:
    """The controller, with questions in short."""

    def __init__(self, controller):
        self.controller = controller
        self.slide_gone, self.cancel = controller.slide_gone, controller.cancel

    def click(self, slide, wishes, point, **options):
        self.controller.ask(slide, wishes, Question(kind="field", place=point, position=point), **options)

    def measure(self, slide, wishes, area, threshold=0.5, **options):
        position = (area.centroid.y, area.centroid.x)
        question = Question(kind="area", place=area, position=position, threshold=threshold, label="an area")
        self.controller.ask(slide, wishes, question, **options)


@pytest.fixture
def table():
    return FakeTable()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def asks(table, make_worker, shelf, pump):
    workers = {name: make_worker(name) for name in ("stored", "network", "pictures")}
    return Asks(ProbeController(table, **workers, post=pump, shelf=shelf))


@pytest.fixture
def wishes(model_folder: Path):
    return Wishes(model=str(model_folder), device="cpu", saliency=NO_SALIENCY)


@pytest.fixture
def prediction(shelf, slide, wishes):
    return shelf.prepare(slide, wishes).run(saliency=None)


def test_a_click_says_the_same_before_and_after_the_run(asks, table, pump, slide, wishes, prediction):
    asks.click(slide, wishes, TISSUE)
    pump.until(lambda: len(table.rows) == 1)
    asks.click(slide, wishes, TISSUE, prediction=prediction)
    pump.until(lambda: len(table.rows) == 2)
    before, after = table.rows
    assert before.answer.probabilities == pytest.approx(after.answer.probabilities, abs=1e-6)
    assert before.answer.outline.equals(after.answer.outline)
    assert [row.number for row in table.rows] == [1, 2]
    assert before.position_um == TISSUE  # 1 um/px
    assert before.answer.outline.area == pytest.approx(96 * 96)
    assert (before.source, after.source) == (NETWORK, STORED)
    assert before.model == after.model == "tiny"
    pump.until(lambda: set(table.pictures) == {1, 2})
    assert table.pictures[1].shape[2] == 3
    pump.until(lambda: table.waiting[-1] == 0)


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


def test_a_place_that_returned_never_sets_the_network_to_work(asks, table, pump, shelf, slide, wishes, prediction):
    from napari_gigaclf.viewer.asked_places import AskedPlaces, place_of, question_of
    from napari_gigaclf.viewer.slide_notes import NoteBook

    prepared = shelf.prepare(slide, wishes)

    class Now:
        def is_set(self):
            return True

    results = [prepared.run(saliency=None, cancel=Now())]
    area = shapely.box(128.25, 128, 512, 384).difference(shapely.box(200, 200, 300, 300))
    asked = [
        Question(kind="field", place=TISSUE, position=TISSUE, threshold=0.25),
        Question(kind="area", place=Box(200, 300, 330, 470), position=(250, 400), label="box"),
        Question(kind="area", place=area, position=(area.centroid.y, area.centroid.x), label="2 of tumour"),
    ]
    notes = NoteBook()
    notes.note_asked(slide.id, tuple(place_of(each) for each in asked))
    back = [question_of(each) for each in notes.of(slide.id).asked]
    assert [(each.kind, each.threshold, each.label) for each in back] == [
        ("field", 0.25, ""), ("area", 0.5, "box"), ("area", 0.5, "2 of tumour")
    ]  # fmt: skip
    assert (back[0].place, back[1].place) == (TISSUE, asked[1].place)
    assert back[2].place.equals(area)

    def ask(slide, question):
        asks.controller.ask(slide, wishes, question, prediction=results[-1], stored_only=True)

    places = AskedPlaces(notes, ask)
    places.ask_again(slide)
    places.ask_again(slide)
    pump.until(lambda: len(table.unanswered) == 3)
    assert table.rows == []
    assert not any(table.waiting), "the network was not wanted"
    for question in table.unanswered:
        places.unanswered(slide.id, question)
    assert len(notes.of(slide.id).asked) == 3, "another result may cover them"
    results.append(prediction)
    places.ask_again(slide)
    pump.until(lambda: len(table.rows) == 3)
    assert {row.source for row in table.rows} == {STORED}
    for row in table.rows:
        assert places.answered(slide.id, row.question)
    assert notes.of(slide.id).asked == tuple(place_of(each) for each in asked), "in the order of the table"
    places.ask_again(slide)
    pump.until(lambda: not asks.controller.num_waiting)
    assert len(table.rows) == 3
    places.clear(slide.id)
    assert notes.of(slide.id).asked == ()


def test_an_area_is_measured_with_its_holes(asks, table, pump, slide, wishes, prediction):
    whole = shapely.box(128, 128, 512, 384)
    holed = whole.difference(shapely.box(200, 200, 300, 300))
    asks.measure(slide, wishes, whole, prediction=prediction)
    asks.measure(slide, wishes, holed, prediction=prediction)
    pump.until(lambda: len(table.rows) == 2)
    first, second = (row.answer for row in table.rows)
    assert first.area_um2 == pytest.approx(384 * 256)
    assert second.area_um2 == pytest.approx(384 * 256 - 100 * 100)
    assert second.num_cells < first.num_cells
    text = area_text(second, "tumour")
    assert all(word in text for word in ("mm²", "mean", "highest", "at or above 0.5"))
    assert row_text(table.rows[1], "tumour") == f"an area: {text}"
    assert "tiny, from stored features" in row_details(table.rows[1], "tumour")


def test_an_area_says_the_same_before_and_after_the_run(asks, table, pump, slide, wishes, prediction):
    """Holes, several parts, a box and glass, by the network on the place alone and from what a run has stored."""
    holed = shapely.box(128, 128, 512, 384).difference(shapely.box(200, 200, 300, 300))
    parts = shapely.union_all([shapely.box(110, 110, 200, 200), shapely.box(400, 300, 530, 400)])
    for area in (holed, parts, shapely.box(0, 0, 640, 512), shapely.box(5, 5, 80, 80)):
        table.rows.clear()
        asks.measure(slide, wishes, area, threshold=0.3)
        pump.until(lambda: len(table.rows) == 1)
        asks.measure(slide, wishes, area, threshold=0.3, prediction=prediction)
        pump.until(lambda: len(table.rows) == 2)
        before, after = (row.answer for row in table.rows)
        assert [row.source for row in table.rows] == [NETWORK, STORED]
        for name in ("num_cells", "area_um2", "message", "threshold", "num_missing"):
            assert getattr(before, name) == getattr(after, name)
        if before.probabilities is not None:
            for name in ("probabilities", "mean", "maximum", "share_above"):
                assert getattr(before, name) == pytest.approx(getattr(after, name), abs=2e-4)
    assert before.message == "no tissue"


def test_the_threshold_is_the_questions_own(asks, table, pump, slide, wishes, prediction):
    area = shapely.box(96, 96, 544, 416)
    single = prediction.probability_map[1][np.isfinite(prediction.probability_map[1])]
    threshold = float(np.median(single))
    asks.measure(slide, wishes, area, threshold=threshold, prediction=prediction)
    pump.until(lambda: len(table.rows) == 1)
    answer = table.rows[0].answer
    assert answer.share_above["tumour"] == pytest.approx(0.5, abs=0.05)
    assert f"above {threshold:g}" in area_text(answer, "tumour")


def test_loading_and_planning_are_said(asks, table, pump, slide, wishes):
    asks.click(slide, wishes, TISSUE)
    assert table.waiting[-1] == 1
    pump.until(lambda: len(table.rows) == 1)
    stages = list(dict.fromkeys(table.stages))
    assert stages.index(LOADING) < stages.index(PLANNING)
    assert any("of" in stage and "tile" in stage for stage in stages)
    pump.until(lambda: table.waiting[-1] == 0)
    assert table.stages[-1] == ""
    table.stages.clear()
    asks.click(slide, wishes, TISSUE)
    pump.until(lambda: len(table.rows) == 2)
    assert LOADING not in table.stages
    assert PLANNING not in table.stages


def test_what_the_network_looks_at_can_be_stopped(asks, table, pump, pixels, wishes):
    large = open_slide(np.tile(pixels, (8, 8, 1)), um_per_px=1.0)
    asks.measure(large, wishes, shapely.box(0, 0, 5120, 4096))
    pump.until(lambda: any("tile" in stage for stage in table.stages))
    asks.cancel()
    pump.until(lambda: table.waiting[-1] == 0)
    assert table.rows == []
    assert table.problems == []


def test_a_place_that_a_run_did_not_cover_is_asked_of_the_network(asks, table, pump, shelf, slide, wishes):
    """A run over a part answers inside it; beyond, and across its edge, the network does."""
    limited = shelf.prepare(slide, Wishes(**{**fields_of(wishes), "area": Box(96, 416, 320, 544)})).run(saliency=None)
    whole = shelf.prepare(slide, wishes).run(saliency=None)
    inside, across = shapely.box(350, 150, 500, 380), shapely.box(150, 150, 500, 380)
    for area in (inside, across):
        asks.measure(slide, wishes, area, prediction=limited)
    pump.until(lambda: len(table.rows) == 2)
    rows = {row.question.place.bounds: row for row in table.rows}
    assert rows[inside.bounds].source == STORED
    assert rows[across.bounds].source == NETWORK
    for area in (inside, across):
        expected = whole.query(area)
        assert rows[area.bounds].answer.num_cells == expected.num_cells
        assert rows[area.bounds].answer.probabilities == pytest.approx(expected.probabilities, abs=2e-4)
    table.rows.clear()
    asks.measure(slide, None, across, prediction=limited)  # no model to run: said, not hidden
    pump.until(lambda: len(table.rows) == 1)
    answer = table.rows[0].answer
    assert answer.num_missing == whole.query(across).num_cells - answer.num_cells > 0
    assert "were not computed" in area_text(answer, "tumour")


def test_a_question_as_dear_as_a_run_is_refused_with_its_cost(
    asks, table, pump, shelf, slide, wishes, prediction, monkeypatch
):
    plan = shelf.prepare(slide, wishes)
    whole, quarter = shapely.box(0, 0, 640, 640), shapely.box(210, 120, 370, 280)
    strides = [axis.stride for axis in plan.network.axes]
    few = len(plan.asked(quarter).cells.only(plan.tissue_cells)) * strides[0] * strides[1]
    monkeypatch.setattr(question_cost, "MAX_PIXELS", few)
    asks.measure(slide, wishes, whole, prepared=plan)
    pump.until(lambda: table.problems)
    (text,) = table.problems
    assert not table.rows
    for word in (
        "nothing that has run covers this place",
        "megapixels of tissue",
        "a question may cost 0",
        "press Run",
    ):
        assert word in text
    asks.measure(slide, wishes, quarter, prepared=plan)
    asks.measure(slide, wishes, whole, prepared=plan, prediction=prediction)  # stored features answer at any size
    pump.until(lambda: len(table.rows) == 2)
    assert {row.source for row in table.rows} == {NETWORK, STORED}


def test_without_a_model_or_a_run_it_is_said(asks, table, pump, slide):
    asks.measure(slide, None, shapely.box(0, 0, 100, 100))
    assert "choose a model" in table.problems[0]


def test_where_a_run_is_to_look_is_no_matter_for_a_question(wishes):
    limited = Wishes(**{**fields_of(wishes), "area": Box(0, 10, 0, 10), "choice": RegionChoice.VIEW})
    assert whole_slide_wishes(limited) == wishes
    everything = Wishes(**{**fields_of(wishes), "choice": RegionChoice.SLIDE})
    assert whole_slide_wishes(everything) == everything


def fields_of(record):
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


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
