"""A regression's result: drawn over the range of its scores, and called a score wherever numbers are shown."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from shapely.geometry import box

from napari_gigaclf import classify, load_model
from napari_gigaclf.annotations import read_geojson
from napari_gigaclf.inference.exports import (
    class_rows,
    region_annotations,
    results_row,
    summary,
    tile_annotations,
    write_annotations,
    write_ome_tiff,
    write_ome_zarr,
)
from napari_gigaclf.models.pooling import build_pooling
from napari_gigaclf.slides import open_slide
from napari_gigaclf.viewer.ask_texts import answer_text, area_text
from napari_gigaclf.viewer.controllers.jobs import Export, export_all
from napari_gigaclf.viewer.controllers.mapping import LiveMap
from napari_gigaclf.viewer.controllers.probe import STORED, ProbeRow, Question
from napari_gigaclf.viewer.exported_map import channel_notes, map_layers
from napari_gigaclf.viewer.layers import Frame, prediction_layers
from napari_gigaclf.viewer.texts import result_lines


@pytest.fixture
def prediction(slide, score_folder):
    return classify(slide, load_model(score_folder), saliency="score")


def scored(prediction, score_range):
    """Return the result as one of a model of another range."""
    config = dataclasses.replace(prediction.head.config, score_range=score_range)
    return dataclasses.replace(prediction, head=dataclasses.replace(prediction.head, config=config))


def test_the_map_is_drawn_over_the_scores_that_were_learnt_from(prediction, slide):
    data, kwargs, _ = prediction_layers(prediction, Frame.of_slide(slide), "score")[0]
    assert kwargs["contrast_limits"] == (-2.0, 6.0)
    assert kwargs["name"] == "score"
    assert (np.asarray(kwargs["colormap"].map(np.linspace(0, 1, 5)))[:, 3] == 1).all(), "low scores are seen too"
    assert np.array_equal(np.isfinite(data), np.isfinite(prediction.probability_map[0])), "negative ones are not hidden"
    assert (data[np.isfinite(data)] < 0).any()


def test_without_a_known_range_over_that_of_the_map(prediction, slide):
    unknown = scored(prediction, None)
    _, kwargs, _ = prediction_layers(unknown, Frame.of_slide(slide), "score")[0]
    values = prediction.probability_map[np.isfinite(prediction.probability_map)]
    assert kwargs["contrast_limits"] == pytest.approx((values.min(), values.max()))


def test_a_threshold_below_zero_hides_what_lies_below_it(prediction):
    live = LiveMap(("score",), prediction.grid, "score", scale=LiveMap(("a",), prediction.grid, "a").scale)
    live.fill(prediction.probability_map)
    all_of_it = np.isfinite(live.shown).sum()
    values = live.values[np.isfinite(live.values)]
    live.look("score", float(np.median(values)))
    assert 0 < np.isfinite(live.shown).sum() < all_of_it


def test_words_speak_of_a_score(prediction):
    text = "\n".join(result_lines(prediction))
    assert f"Slide: score {prediction.probabilities['score']:.3f}" in text
    assert "probab" not in text
    answer = prediction.query(box(150, 150, 400, 380))
    assert answer.share_above == {}
    assert "above" not in area_text(answer, "score")
    assert "highest" in area_text(answer, "score")
    assert answer_text(answer).startswith("score ")


def test_tables_and_outlines_speak_of_a_score(prediction, tmp_path):
    (row,) = class_rows(prediction)
    assert list(row) == ["class", "slide_score", "cells", "mean", "minimum", "maximum"]
    found = summary(prediction)
    assert found["numbers_are"] == "score"
    line = results_row(json.loads(json.dumps(found)))
    assert line["score"] == prediction.probabilities["score"]
    assert "prob_score" not in line
    assert region_annotations(prediction) == []
    assert region_annotations(prediction, threshold=float(np.nanmin(prediction.probability_map)))
    assert set(next(tile_annotations(prediction)).measurements) == {"score"}
    assert write_annotations(prediction, tmp_path / "a.geojson", tiles=True) > 0
    assert read_geojson(tmp_path / "a.geojson")[0].metadata.get("numbers_are") in ("score", None)


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_an_exported_map_comes_back_as_one_of_scores(prediction, tmp_path, kind):
    path = tmp_path / f"map.ome.{kind}"
    (write_ome_tiff if kind == "tif" else write_ome_zarr)(prediction, path)
    with open_slide(path) as exported:
        (layer,) = map_layers(exported, channel_notes(exported))
    assert layer[1]["contrast_limits"] == (-2.0, 6.0)
    assert "viridis" in layer[1]["colormap"].name
    if kind == "zarr":
        notes = json.loads((path / ".zattrs").read_text())
        assert notes["omero"]["channels"][0]["window"] == {"min": -2.0, "max": 6.0, "start": -2.0, "end": 6.0}


def test_the_saliency_of_the_highest_place_needs_no_threshold(slide, score_folder):
    model = load_model(score_folder)
    model.config = dataclasses.replace(model.config, pooling="highest")
    model.pooling = build_pooling("highest", 128)
    found = classify(slide, model, saliency="score")
    assert found.saliency.logit == "the score of the cell where it is largest"


def test_places_that_were_asked_are_written_as_scores(prediction, slide, tmp_path):
    answer = prediction.query(box(150, 150, 400, 380))
    question = Question(kind="area", place=box(150, 150, 400, 380), position=(265.0, 275.0))
    row = ProbeRow(
        number=1, slide_id=slide.id, question=question, position_um=None, answer=answer, model="m", wishes=None,
        source=STORED, seconds=0.01,
    )  # fmt: skip
    (path,) = export_all(Export(folder=tmp_path, stem="s", prediction=None, drawn=(), rows=(row,)))
    with path.open() as file:
        (found,) = csv.DictReader(file)
    assert float(found["score"]) == pytest.approx(answer.probabilities["score"])
    assert [name for name in found if "prob" in name or "share" in name] == []
