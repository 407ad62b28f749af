"""Verdicts: the latest counts, every step can be undone, files are whole or refused, nothing said is lost on export."""

import csv
import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.annotations import read_geojson, validate_geojson
from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings import review_file, reviews
from napari_gigaclf.inference.findings.exports import write_hotspot_table, write_hotspots, write_lesion_table
from napari_gigaclf.inference.findings.foci import find_foci
from napari_gigaclf.inference.findings.hotspots import find_hotspots
from napari_gigaclf.inference.findings.lesions import find_lesions
from napari_gigaclf.inference.findings.ranking import ranked
from napari_gigaclf.inference.findings.review_file import ReviewStore, review_path
from napari_gigaclf.inference.findings.reviews import ReaderCall, Review, ReviewKey, ReviewLog, now
from napari_gigaclf.models.card import FieldSpec

KEY = ReviewKey(slide_id="ab12", model="m", version="1", sha256="cd")
GRID = PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(4, 5))


def said(place=(16.0, 16.0), verdict="accepted", **more):
    values = {"class_name": "tumour", "probability": 0.75, "who": "Ada", "when": "2026-01-02T03:04:05+00:00"}
    return Review(place=place, verdict=verdict, **{**values, **more})


def log_of(*all_said):
    log = ReviewLog(key=KEY, slide_name="a slide")
    for each in all_said:
        log = log.adding(each)
    return log


def entries_of(log, scores, class_name="tumour"):
    return ranked(
        find_hotspots(scores, GRID, None, radius=40, least=0.3),
        log,
        scores,
        GRID,
        class_name=class_name,
        field=FieldSpec(cells=1, px=96),
        input_step=(1.0, 1.0),
    )


reviews_strategy = st.builds(
    said,
    place=st.tuples(st.sampled_from([16.0, 48.0]), st.floats(0, 100)),
    verdict=st.sampled_from(["open", "accepted", "rejected"]),
    note=st.text(max_size=20),
    who=st.text(max_size=5),
    class_name=st.sampled_from(["tumour", "normal"]),
    probability=st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(reviews_strategy, max_size=6))
def test_a_log_comes_back_from_its_file_and_undoes_to_nothing(tmp_path_factory, all_said):
    store = ReviewStore(tmp_path_factory.mktemp("reviews"), KEY)
    assert store.load() == ReviewLog(key=KEY)
    log = log_of(*all_said).called(ReaderCall(class_name="tumour", places=((1.0, 2.5),), who="Ada", when=now()))
    store.save(log)
    assert ReviewStore(store.path.parent, KEY).load() == log
    for count in reversed(range(len(all_said))):
        log = log.undone()
        assert log.reviews == tuple(all_said[:count])
    assert log.undone() == log


def test_the_latest_verdict_counts_and_undoing_brings_the_one_before_back():
    log = log_of(said(), said((48.0, 16.0)), said(verdict="rejected", note="lymphocytes"))
    assert [r.verdict for r in log.current("tumour")] == ["accepted", "rejected"]
    assert log.current("normal") == []
    assert [r.verdict for r in log.undone().current("tumour")] == ["accepted", "accepted"]


def test_a_call_that_was_made_stays():
    first, second = (ReaderCall(class_name=name, who="Ada", when=now()) for name in ("normal", "tumour"))
    assert log_of().called(first).called(second).call == first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "relabelled"}, "new class"),
        ({"new_class": "normal"}, "new class"),
        ({"note": "x" * 2001}, "2001 letters"),
        ({"probability": float("nan")}, "finite"),
        ({"place": (float("inf"), 0.0)}, "finite"),
        ({"when": "2026-01-02T03:04:05"}, "zone"),
        ({"when": "yesterday"}, "yesterday"),
    ],
)
def test_a_review_that_is_none_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        said(**change)


def test_there_is_an_end_to_what_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(reviews, "MAX_REVIEWS", 2)
    with pytest.raises(OutputError, match="2 verdicts"):
        log_of(said(), said(), said())
    monkeypatch.setattr(review_file, "MAX_REVIEWS", 1)
    store = ReviewStore(tmp_path, KEY)
    store.save(log_of(said(), said()))
    with pytest.raises(ResultError, match="2 verdicts"):
        store.load()
    monkeypatch.setattr(review_file, "MAX_BYTES", 10)
    with pytest.raises(ResultError, match="larger than"):
        store.load()


def damaged(change):
    def damage(path):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_text("{"), "not valid JSON"),
        (lambda path: path.write_text("[]"), "not a JSON object"),
        (damaged(lambda c: c.update(format="napari-gigaclf reviews 2")), "this version reads"),
        (damaged(lambda c: c.update(more=1)), "unknown key"),
        (damaged(lambda c: c.pop("reviews")), "lacks the key"),
        (damaged(lambda c: c["reviews"][0].update(verdict="maybe")), "known are"),
        (damaged(lambda c: c["reviews"][0].update(note=7)), "type str"),
        (damaged(lambda c: c["reviews"][0].update(place=[1.0])), "2 entries"),
        (damaged(lambda c: c["reviews"][0].update(new_class="normal")), "new class"),
        (damaged(lambda c: c["key"].update(slide_id="other")), "another slide"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_left_alone(tmp_path, damage, words):
    store = ReviewStore(tmp_path, KEY)
    store.save(log_of(said()))
    damage(store.path)
    before = store.path.read_bytes()
    with pytest.raises(ResultError, match=words) as error:
        ReviewStore(tmp_path, KEY).load()
    assert str(store.path) in str(error.value)
    assert "\n" not in str(error.value)
    assert store.path.read_bytes() == before


def test_a_second_window_does_not_overwrite_the_first(tmp_path):
    one, other = ReviewStore(tmp_path, KEY), ReviewStore(tmp_path, KEY)
    one.load(), other.load()
    one.save(log_of(said()))
    with pytest.raises(OutputError, match="another window"):
        other.save(log_of(said(verdict="rejected")))
    assert other.load() == log_of(said())
    other.save(log_of(said(verdict="rejected")))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="cannot be written"):
        ReviewStore(tmp_path, KEY).save(log_of())


def test_files_are_apart_by_slide_and_model_and_stay_in_their_folder(tmp_path):
    keys = [
        KEY,
        ReviewKey(slide_id="ab13", model="m", version="1", sha256="cd"),
        ReviewKey(slide_id="ab12", model="m", version="2", sha256="cd"),
        ReviewKey(slide_id="ab12", model="m", version="1", sha256="ce"),
        ReviewKey(slide_id="../../etc", model="/", version="", sha256=""),
    ]
    paths = [review_path(tmp_path, key) for key in keys]
    assert len(set(paths)) == len(keys)
    assert all(path.parent == tmp_path for path in paths)


SCORES = np.zeros((4, 5), dtype=np.float32)
SCORES[0, 0], SCORES[2, 2], SCORES[3, 4] = 0.75, 0.9, 0.5


def test_the_list_is_hotspots_with_verdicts_and_keeps_what_was_said_elsewhere():
    gone = (2 * 32 + 16.0, 16.0)
    log = log_of(said(verdict="rejected"), said(gone), said((9999.0, 9999.0), probability=0.6))
    entries = entries_of(log, SCORES)
    assert [(e.rank, e.probability, e.verdict) for e in entries] == [
        (1, pytest.approx(0.9), "open"),
        (2, pytest.approx(0.75), "rejected"),
        (3, pytest.approx(0.6), "accepted"),  # off the map: what was remembered
        (4, pytest.approx(0.5), "open"),
        (5, 0.0, "accepted"),  # no hotspot there
    ]
    assert entries[0].outline.bounds == (32.0, 32.0, 128.0, 128.0)
    nudged = log_of(said((17.0, 9.0), verdict="rejected"))  # of a run at another level: the same cell
    assert [e.verdict for e in entries_of(nudged, SCORES)] == ["open", "rejected", "open"]


def test_everything_goes_out_with_who_and_when(tmp_path):
    log = log_of(
        said(verdict="rejected", note="=lymphocytes"),
        said((2 * 32 + 16.0, 2 * 32 + 16.0), verdict="relabelled", new_class="normal"),
    )
    entries = entries_of(log, SCORES)
    assert write_hotspots(tmp_path / "h.geojson", entries, model="m", notes={"slide_id": "ab12"}) == 3
    assert not validate_geojson(tmp_path / "h.geojson")
    found = read_geojson(tmp_path / "h.geojson")
    assert [a.class_name for a in found] == ["normal", "rejected: tumour", "unreviewed: tumour"]
    assert [a.author for a in found] == ["person", "person", "model:m"]
    assert found[1].metadata["reviewed_by"] == "Ada"
    assert found[1].metadata["reviewed_at"] == "2026-01-02T03:04:05+00:00"
    assert found[1].metadata["note"] == "=lymphocytes"
    assert found[1].metadata["verdict"] == "rejected"
    assert found[0].measurements["prob_tumour"] == pytest.approx(0.9)
    assert len({a.shown_colour for a in found}) == 3
    write_hotspot_table(tmp_path / "h.csv", entries, (0.5, 0.25))
    with (tmp_path / "h.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["relabelled", "rejected", "open"]
    assert (rows[1]["who"], rows[1]["when"], rows[1]["note"]) == ("Ada", "2026-01-02T03:04:05+00:00", "'=lymphocytes")
    assert (rows[1]["y_um"], rows[1]["x_um"]) == ("8.0", "4.0")
    foci = find_foci(SCORES, 0.5)
    lesions = find_lesions(SCORES, foci, GRID, (0.5, 0.5), np.ones((4, 5), np.int32), sized=True)
    assert write_lesion_table(tmp_path / "l.csv", lesions, 0.5) == len(lesions)
    with (tmp_path / "l.csv").open(newline="") as file:
        assert {row["size_class"] for row in csv.DictReader(file)} == {"isolated cells"}
