"""Kept features: found again by slide and model, limited in size, deletable; whatever is damaged is refused."""

import dataclasses
import os
import shutil

import numpy as np
import pytest

from napari_gigaclf.errors import OutputError, ResultError
from napari_gigaclf.inference import Prediction, classify
from napari_gigaclf.inference.teaching.kept_features import KeptFeatures
from napari_gigaclf.inference.teaching.painting import Canvas


@pytest.fixture(scope="module")
def result(make_model, pixels):
    from napari_gigaclf.slides import open_slide

    return classify(open_slide(pixels, um_per_px=1.0), make_model(), tissue=False, saliency=None)


def identity(result):
    model = result.record.model
    return model.name, model.version, model.sha256


def of_slide(result, slide_id):
    record = dataclasses.replace(result.record, slide=dataclasses.replace(result.record.slide, id=slide_id))
    return dataclasses.replace(result, record=record)


def test_they_are_found_again_whole(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    assert kept.find(result.record.slide.id, identity(result)) is None
    kept.keep(result)
    found = kept.find(result.record.slide.id, identity(result))
    assert np.array_equal(Canvas.of(found.store, found.grid).features, result.store.features)
    assert kept.find("another", identity(result)) is None
    assert kept.find(result.record.slide.id, (*identity(result)[:2], "other weights")) is None
    assert kept.size() > 100_000 // 8


def test_they_can_be_deleted(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    kept.keep(result)
    kept.keep(of_slide(result, "b"))
    whole = kept.size()
    freed = kept.forget("b", identity(result))
    assert kept.size() == whole - freed
    assert kept.find("b", identity(result)) is None
    assert kept.forget("b", identity(result)) == 0
    assert kept.forget_all() == whole - freed
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_program_left_is_in_nobody_s_way(result, tmp_path, monkeypatch):
    kept = KeptFeatures(tmp_path)
    kept.keep(result)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_path, **_how: None)
        assert kept.forget_all() > 0
    (left,) = tmp_path.iterdir()
    kept.keep(result)
    assert kept.forget_all() > 0
    assert list(tmp_path.iterdir()) == [left]


def test_the_size_is_limited_and_the_longest_unused_go_first(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    kept.keep(result)
    one = kept.size()
    kept.forget_all()
    limited = KeptFeatures(tmp_path, max_bytes=int(2.5 * one) + result.store.features.nbytes)
    for number, name in enumerate("abc"):
        path = limited.keep(of_slide(result, name))
        os.utime(path, (number, number))
    limited.find("a", identity(result))  # used just now
    limited.keep(of_slide(result, "d"))
    assert [limited.find(name, identity(result)) is not None for name in "abcd"] == [True, False, True, True]
    assert limited.size() <= limited.max_bytes
    with pytest.raises(OutputError, match="more than the"):
        KeptFeatures(tmp_path, max_bytes=1000).keep(result)
    assert [limited.find(name, identity(result)) is not None for name in "abcd"] == [True, False, True, True]


def test_what_was_kept_together_does_not_push_one_another_out(result, tmp_path):
    first = KeptFeatures(tmp_path).keep(of_slide(result, "a"))
    size = KeptFeatures(tmp_path).size()
    kept = KeptFeatures(tmp_path, max_bytes=int(2.5 * size))
    together = [kept.keep(of_slide(result, name), spare=[]) for name in "b"]
    together.append(kept.keep(of_slide(result, "c"), spare=together))
    assert not first.exists()
    with pytest.raises(OutputError, match="there is no room"):
        kept.keep(of_slide(result, "d"), spare=together)
    assert all(path.exists() for path in together)
    kept.keep(of_slide(result, "d"))
    assert not together[0].exists()


def test_what_is_rounded_or_damaged_is_not_taken(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    path = kept.keep(result)
    slide_id = result.record.slide.id
    shutil.rmtree(path)
    Prediction.save(result, path)
    assert kept.find(slide_id, identity(result)) is None
    with pytest.raises(OutputError, match="half precision"):
        kept.keep(Prediction.load(path))
    (path / "result.json").write_text("{}")
    with pytest.raises(ResultError):
        kept.find(slide_id, identity(result))
    kept.keep(result)
    assert kept.find(slide_id, identity(result)) is not None


def test_a_file_under_another_slides_name_is_not_taken(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    path = kept.keep(result)
    path.rename(kept.path("b", identity(result)))
    assert kept.find("b", identity(result)) is None


def test_leftovers_of_a_killed_program_go_after_a_day(result, tmp_path):
    kept = KeptFeatures(tmp_path)
    for name, age in ((".a.gigaclf.0123.partial", 10**6), (".b.gigaclf.0123.partial", 0)):
        (tmp_path / name).mkdir()
        if age:
            os.utime(tmp_path / name, (age, age))
    kept.keep(result)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == [".b.gigaclf.0123.partial"]
