"""The list of hotspots with a fake widget, a real result and real files: verdicts, undo, coming back."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from napari_gigaclf.annotations import read_geojson, validate_geojson
from napari_gigaclf.inference.exports import shown_classes
from napari_gigaclf.inference.findings.foci import find_foci
from napari_gigaclf.inference.findings.hotspots import find_hotspots
from napari_gigaclf.inference.findings.lesions import find_lesions, tissue_sections
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.controllers.findings import FindingsController
from napari_gigaclf.viewer.controllers.findings_jobs import first_class
from napari_gigaclf.viewer.controllers.shelf import Shelf
from napari_gigaclf.viewer.controllers.wishes import NO_SALIENCY, Wishes
from napari_gigaclf.viewer.findings_texts import (
    comparison_rows,
    empty_text,
    lesion_cells,
    lesion_text,
    lesions_text,
    missed_text,
    position_text,
    tally_text,
    verdict_text,
    who_text,
)


class FakeWidget:
    """Remembers what it was told."""

    def __init__(self):
        self.entries, self.shown, self.current = [], [], None
        self.places, self.thumbnails, self.tallies, self.lesions, self.notes, self.saved = [], {}, [], None, [], []
        self.blind, self.compared = None, []

    def show_list(self, entries, shown):
        self.entries, self.shown, self.current = list(entries), list(shown), None

    def show_shown(self, entries, shown):
        self.shown = list(shown)

    def show_entry(self, index, entry):
        self.entries[index] = entry

    def show_current(self, index):
        self.current = index

    def go_to(self, entry):
        self.places.append(entry.place)

    def show_thumbnail(self, index, pixels):
        self.thumbnails[index] = pixels

    def show_tally(self, found, num_hotspots):
        self.tallies.append((found, num_hotspots))

    def show_lesions(self, lesions):
        self.lesions = list(lesions)

    def show_blind(self, blind):
        self.blind = blind

    def show_comparison(self, call, found):
        self.compared.append((call, found))

    def show_saved(self, log):
        self.saved.append(log)

    def show_note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A slide of 1 um/px and 1536 x 1280 px: tissue with dark dots, enough for some neighbourhoods of 250 um."""
    rng = np.random.default_rng(3)
    image = np.full((1536, 1280, 3), 245, dtype=np.uint8)
    image[96:1440, 96:1184] = np.clip(rng.normal((205, 140, 180), 12, size=(1344, 1088, 3)), 0, 255).astype(np.uint8)
    for y, x in zip(rng.integers(100, 1430, 4000), rng.integers(640, 1170, 4000), strict=True):
        image[y : y + 5, x : x + 5] = (90, 50, 130)
    return open_slide([image, image[::4, ::4]], um_per_px=1.0)


@pytest.fixture(scope="module")
def prediction(big, model_folder: Path):
    return Shelf().prepare(big, Wishes(model=str(model_folder), device="cpu", saliency=NO_SALIENCY)).run(saliency=None)


@pytest.fixture
def make(make_worker, pump, tmp_path):
    """Make a widget and its controller, with verdicts kept in one folder."""

    def both():
        widget = FakeWidget()
        workers = {name: make_worker(name) for name in ("quick", "saver", "pictures")}
        return widget, FindingsController(widget, **workers, post=pump, folder=tmp_path / "reviews")

    return both


@pytest.fixture
def opened(make, pump, big, prediction):
    """Open the result in a new widget; all of it is shown when this returns."""

    def go(threshold=0.01):
        widget, findings = make()
        findings.reader = "Ada"
        findings.threshold = threshold
        findings.open(big, prediction, "tumour")
        pump.until(lambda: widget.lesions is not None)
        return widget, findings

    return go


def test_the_list_is_the_map_s_hotspots_with_counts_lesions_and_pictures(opened, pump, prediction):
    widget, _findings = opened()
    scores = np.asarray(prediction.probability_map[1])
    expected = find_hotspots(scores, prediction.grid, (1.0, 1.0))
    assert len(expected) >= 5
    assert [entry.place for entry in widget.entries] == [spot.place for spot in expected]
    assert widget.shown == list(range(len(expected)))
    found, reaching = widget.tallies[-1]
    assert reaching == len(expected)
    assert found.num_cells == (scores >= 0.01).sum()
    foci = find_foci(scores, 0.01)
    sections = tissue_sections(prediction.tissue, prediction.grid)
    assert widget.lesions == find_lesions(scores, foci, prediction.grid, (1.0, 1.0), sections)
    pump.until(lambda: len(widget.thumbnails) == len(expected))
    assert all(picture.ndim == 3 and max(picture.shape) <= 256 for picture in widget.thumbnails.values())


def test_the_class_that_is_looked_for_comes_first(prediction):
    def with_card(**changes):
        head = prediction.head
        config = dataclasses.replace(head.config, card=dataclasses.replace(head.config.card, **changes))
        return dataclasses.replace(prediction, head=dataclasses.replace(head, config=config))

    for positive in ("normal", "tumour", ""):
        result = with_card(positive_class=positive)
        assert first_class(result) == shown_classes(result)[0]


def test_going_through_it_ends_at_both_ends(opened):
    widget, findings = opened()
    findings.step(1)
    findings.step(1)
    assert widget.places == [entry.place for entry in widget.entries[:2]]
    findings.step(-1)
    findings.step(-1)
    assert widget.current == 0
    assert widget.notes[-1] == "That was the first place."
    for _ in widget.entries:
        findings.step(1)
    assert widget.current == len(widget.entries) - 1
    assert widget.notes[-1] == "That was the last place."


def test_the_threshold_hides_and_measures_and_the_last_wish_counts(opened, pump):
    widget, findings = opened()
    middle = float(np.median([entry.probability for entry in widget.entries]))
    count = len(widget.tallies)
    for threshold in (0.2, 0.9, 0.3, middle):
        findings.set_threshold(threshold)
    pump.until(lambda: widget.tallies[-1][0].threshold == middle)
    assert len(widget.tallies) - count <= 2  # those in between were skipped
    reaching = [entry for entry in widget.entries if entry.probability >= middle]
    assert len(widget.shown) == len(reaching) < len(widget.entries)
    assert widget.tallies[-1][1] == len(reaching)
    findings.set_threshold(1.0)
    pump.until(lambda: widget.tallies[-1][0].threshold == 1.0)
    findings.step(1)
    assert widget.places == []


def test_verdicts_come_back_and_every_step_can_be_undone(opened, pump):
    widget, findings = opened()
    findings.judge("accepted")
    assert "Choose a place" in widget.notes[-1]
    findings.step(1)
    findings.judge("accepted")
    findings.judge("accepted")
    findings.step(1)
    findings.judge("rejected")
    findings.note("lymphocytes")
    findings.step(1)
    findings.judge("relabelled", "normal")
    findings.step(1)
    findings.note("ask Grace")
    findings.step(1)
    findings.judge("rejected")
    findings.undo()
    pump.until(lambda: len(widget.saved) == 7)
    said = ["accepted", "rejected", "relabelled", "open", "open"]
    assert [entry.verdict for entry in widget.entries[:5]] == said
    again, later = opened()
    assert [entry.verdict for entry in again.entries[:5]] == said
    assert [verdict_text(entry) for entry in again.entries[:5]] == [
        "accepted", "rejected: lymphocytes", "is normal", "ask Grace", "",
    ]  # fmt: skip
    assert again.entries[1].review.who == "Ada"
    for _ in range(5):
        later.undo()
    assert later.undo() is None
    assert again.notes[-1] == "There is nothing to undo."
    assert {entry.verdict for entry in again.entries} == {"open"}
    pump.until(lambda: len(again.saved) == 5)
    assert [entry.review for entry in opened()[0].entries] == [None] * len(again.entries)


def test_what_has_a_verdict_stays_listed_below_the_threshold(opened):
    widget, findings = opened()
    findings.choose(len(widget.entries) - 1)
    findings.judge("rejected")
    findings.set_threshold(1.0)
    assert widget.shown == [len(widget.entries) - 1]
    findings.undo()
    assert widget.shown == [len(widget.entries) - 1]  # one is there
    findings.set_threshold(1.0)
    assert widget.shown == []


def test_another_class_has_its_own_list_and_verdicts(opened, pump, prediction):
    widget, findings = opened()
    findings.step(1)
    findings.judge("accepted")
    findings.look("normal")
    pump.until(lambda: bool(widget.entries) and widget.entries[0].class_name == "normal")
    assert {entry.verdict for entry in widget.entries} == {"open"}
    findings.undo()
    assert "tumour" in widget.notes[-1]
    findings.look("tumour")
    pump.until(lambda: bool(widget.entries) and widget.entries[0].class_name == "tumour")
    assert {entry.verdict for entry in widget.entries} == {"open"}


def test_nonsense_is_not_taken(opened):
    widget, findings = opened()
    findings.step(1)
    findings.judge("relabelled", " ")
    assert "Give the class" in widget.notes[-1]
    findings.note("x" * 3000)
    assert "3000 letters" in widget.notes[-1]
    assert widget.entries[0].review is None
    findings.reader = "  "
    findings.judge("accepted")
    assert widget.entries[0].review.who == "unnamed"


def test_a_damaged_file_is_said_and_not_overwritten(opened, pump, tmp_path):
    widget, findings = opened()
    findings.step(1)
    findings.judge("accepted")
    pump.until(lambda: len(widget.saved) == 1)
    (path,) = (tmp_path / "reviews").iterdir()
    path.write_text("{")
    widget, findings = opened()
    assert "not valid JSON" in widget.notes[-1]
    findings.step(1)
    findings.judge("rejected")
    findings.undo()
    assert "not valid JSON" in widget.notes[-2]
    pump.drain()
    assert path.read_text() == "{"
    assert widget.entries[0].review is None


def test_the_end_of_the_program_waits_for_the_last_verdict(opened, tmp_path):
    _widget, findings = opened()
    findings.step(1)
    for _ in range(20):
        findings.judge("accepted")
        findings.judge("rejected")
    assert findings.close()
    (path,) = (tmp_path / "reviews").iterdir()
    assert len(json.loads(path.read_text())["reviews"]) == 40


def test_a_result_that_is_gone_takes_its_answers_along(make, pump, big, prediction):
    widget, findings = make()
    findings.open(big, prediction, "tumour")
    findings.result_gone()
    pump.until(lambda: not findings._saver.busy and not findings._quick.busy)
    pump.drain()
    assert widget.entries == []
    findings.export(Path("nowhere"), "s", (0.0, 0.0))
    assert "no result" in widget.notes[-1]


def test_a_result_without_its_slide_has_a_list_and_no_pictures(make, pump, prediction):
    widget, findings = make()
    findings.open(None, prediction, "tumour")
    pump.until(lambda: widget.lesions is not None)
    assert findings.found.um_per_px == (1.0, 1.0)
    pump.drain()
    assert widget.thumbnails == {}


def test_the_export_has_the_rejected_ones_too(opened, pump, tmp_path):
    widget, findings = opened()
    findings.step(1)
    findings.judge("rejected")
    findings.step(1)
    findings.judge("relabelled", "normal")
    findings.export(tmp_path / "out", "s", (10.0, 20.0))
    pump.until(lambda: bool(widget.notes))
    assert "Exported s-hotspots.geojson" in widget.notes[-1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "s-hotspots.geojson",
        "s-hotspots.csv",
        "s-lesions.csv",
    }
    assert not validate_geojson(tmp_path / "out" / "s-hotspots.geojson")
    found = read_geojson(tmp_path / "out" / "s-hotspots.geojson")
    assert len(found) == len(widget.entries)
    assert [a.class_name for a in found[:3]] == ["rejected: tumour", "normal", "unreviewed: tumour"]
    assert found[0].metadata["reviewed_by"] == "Ada"
    assert found[0].geometry.centroid.x == pytest.approx(widget.entries[0].place[1] - 10)
    with (tmp_path / "out" / "s-hotspots.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["verdict"], rows[0]["who"], rows[1]["new_class"]) == ("rejected", "Ada", "normal")
    (tmp_path / "file").write_text("")
    findings.export(tmp_path / "file" / "sub", "s", (0.0, 0.0))
    pump.until(lambda: "cannot be written" in widget.notes[-1])


def test_the_sentences(opened):
    widget, findings = opened()
    found, _reaching = widget.tallies[-1]
    one = dataclasses.replace(found, num_foci=1, area_mm2=1.5, threshold=0.5)
    assert tally_text(one, 1, "tumour", complete=True) == "1 hotspot, 1 focus, 1.5 mm² of tumour at 0.50 or more"
    many = dataclasses.replace(found, num_foci=1200, area_mm2=None, area_px=300_000.0, threshold=0.5)
    text = tally_text(many, 3, "tumour", complete=False)
    assert text == "3 hotspots, 1 200 foci, 300 000 px² of tumour at 0.50 or more; the run was stopped, this is a part"
    assert "the highest tumour is 0.31: lower" in empty_text(0.31, "tumour", 0.5)
    assert empty_text(None, "tumour", 0.5) == "No place was found for tumour."
    lesion = dataclasses.replace(widget.lesions[0], diameter_mm=0.35, area_mm2=0.02, size_class="micro", foci=(1, 2))
    assert lesion_cells(lesion, 1) == ["1", "1", "2", "0.02", "0.35", "micro"]
    assert lesion_text(lesion) == "piece 1 of the tissue, 2 foci, 0.02 mm², longest distance 0.35 mm: micro"
    assert lesions_text([lesion, lesion]) == "2 lesions in 1 tissue section, the longest 0.35 mm: micro"
    assert lesions_text([]) == "No lesion at this threshold."
    findings.step(1)
    findings.judge("accepted")
    assert position_text(widget.entries, widget.shown, 0) == f"1 of {len(widget.entries)}, 1 with a verdict"
    assert "(Ada, 20" in who_text(widget.entries[0])
    assert "nobody" in who_text(widget.entries[1])


def test_the_reader_s_own_call_comes_first_and_stays(make, opened, pump, big, prediction):
    widget, findings = make()
    findings.reader = "Ada"
    findings.threshold = 0.01
    findings.set_reader_first(True)
    assert widget.blind
    findings.record_call("tumour", [])
    assert "no result yet" in widget.notes[-1]
    findings.open(big, prediction, "tumour")
    pump.until(lambda: findings.found is not None)
    pump.drain()
    findings.step(1)
    findings.set_threshold(0.02)
    findings.export(Path("nowhere"), "s", (0.0, 0.0))
    assert "no call of yours" in widget.notes[-1]
    pump.drain()
    assert (widget.blind, widget.entries, widget.places, widget.tallies, widget.lesions) == (True, [], [], [], None)
    assert widget.thumbnails == {}
    findings.record_call("normal", [(600.0, 600.0), (5.0, 5.0)])
    assert not widget.blind
    pump.until(lambda: bool(widget.compared))
    call, found = widget.compared[-1]
    assert (call.class_name, call.who, len(call.places)) == ("normal", "Ada", 2)
    assert set(found.both) | set(found.only_model) == set(widget.lesions)
    assert len(widget.entries) >= 5
    rows = comparison_rows(call, found, prediction, "tumour")
    assert rows[0] == ("call", "normal", f"tumour {prediction.probabilities['tumour']:.3f}")
    assert rows[1][1] == "2 places"
    assert missed_text(0, "place") == "nothing"
    findings.record_call("tumour", [])  # too late
    pump.until(lambda: len(widget.saved) == 2)
    again, later = make()
    later.set_reader_first(True)
    later.open(big, prediction, "tumour")
    pump.until(lambda: bool(again.compared))
    assert again.compared[-1][0] == call
    assert not again.blind
