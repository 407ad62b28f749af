"""What a result leaves for other programs says the same as the result."""

import csv
import json

import numpy as np
import pytest
import shapely

from napari_gigaclf.annotations import read_geojson, validate_geojson
from napari_gigaclf.errors import OutputError, RegionError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference import exports
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.head import StoredHead
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.record import InputRecord, ModelRecord, RunRecord, SlideRecord, WorkRecord
from napari_gigaclf.models import ModelCard, ModelConfig

CARD = {
    "title": "t",
    "summary": "s",
    "intended_tissue": "phantom",
    "stain": "H&E",
    "intended_use": "tests",
    "not_for": "anything else",
    "training_data": "none",
    "licence": "BSD-3-Clause",
    "citation": (),
    "measured": {},
}


def config(classes=("normal", "tumour"), positive="tumour"):
    return ModelConfig(
        name="tiny",
        version="1",
        classes=classes,
        um_per_px=1.0,
        activation="softmax",
        network="cell-net",
        pooling="highest",
        spread=(1.0, 1.0, 1.0),
        card=ModelCard(**CARD, positive_class=positive),
    )


def record(um_per_px):
    return RunRecord(
        started="2026-11-20T16:00:00+00:00",
        slide=SlideRecord(
            name="slide.svs",
            id="ab" * 16,
            format="Aperio SVS",
            shape=(400, 600),
            um_per_px=um_per_px,
            um_per_px_source="given by the user",
        ),
        model=ModelRecord(name="tiny", version="1", sha256="cd" * 32, um_per_px=1.0, pooling="highest"),
        input=InputRecord(
            level=1,
            um_per_px=None if um_per_px is None else (1.0, 1.0),
            resampling="none",
            factor=(1.0, 1.0),
            shape=(200, 300),
            origin=(0, 0),
            region="",
            tissue="",
            cell_rule="",
            num_cells=30,
        ),
        work=WorkRecord(
            device="a processor",
            device_key="cpu",
            tile=(512, 512),
            tiles=4,
            tiles_run=3,
            tiles_skipped_flat=1,
            tiles_run_backward=0,
            tiles_skipped_zero=0,
            reads=3,
            seconds={"classifying": 1.25, "saliency": 0.5},
            peak_memory_bytes=10,
        ),
        versions={"torch": "2"},
        parameters={},
        warnings=("the stain is far from the training's",),
        saliency="",
    )


@pytest.fixture
def make_prediction():
    """Make a result of 5 x 6 cells by hand: a ring of tumour, one lonely cell, glass on the right."""

    def make(um_per_px=(0.5, 0.25), classes=("normal", "tumour"), positive="tumour", complete=True):
        tumour = np.full((5, 6), 0.125, dtype=np.float32)
        tumour[0:3, 0:3] = 0.75
        tumour[1, 1] = 0.25
        tumour[0, 0] = 0.5
        tumour[4, 4] = 1.0
        tumour[:, 5] = np.nan
        values = np.stack([1 - tumour, tumour])[: len(classes)]
        kept = np.isfinite(tumour)
        return Prediction(
            classes=classes,
            probabilities=dict(zip(classes, (0.0, 1.0), strict=False)),
            probability_map=values,
            grid=PixelGrid(origin=(10.0, 20.0), step=(64.0, 32.0), shape=(5, 6)),
            saliency=None,
            tissue=None,
            complete=complete,
            message="",
            record=record(um_per_px),
            store=FeatureStore(
                kept=kept,
                features=np.zeros((int(kept.sum()), 4), dtype=np.float16),
                scores=np.zeros(int(kept.sum()), dtype=np.float32),
            ),
            head=StoredHead(config=config(classes, positive), weights=b""),
            input_step=(2.0, 2.0),
        )

    return make


def test_regions_are_the_cells_at_or_above_the_threshold_highest_first(make_prediction):
    lonely, ring = exports.region_annotations(make_prediction())
    assert lonely.geometry.equals(shapely.box(20 + 4 * 32, 10 + 4 * 64, 20 + 5 * 32, 10 + 5 * 64))
    assert ring.geometry.equals(shapely.box(20, 10, 20 + 3 * 32, 10 + 3 * 64) - shapely.box(52, 74, 84, 138)), (
        "the hole is kept"
    )
    assert ring.measurements["cells"] == 8
    assert ring.measurements["mean_tumour"] == pytest.approx((7 * 0.75 + 0.5) / 8)
    assert ring.measurements["max_tumour"] == 0.75
    assert ring.measurements["mean_normal"] == pytest.approx(1 - (7 * 0.75 + 0.5) / 8)
    assert ring.measurements["area_um2"] == 8 * 64 * 0.5 * 32 * 0.25
    assert (ring.class_name, ring.author, ring.kind) == ("tumour", "model:tiny", "annotation")
    assert ring.metadata["model_sha256"] == "cd" * 32
    assert "Research use only" in ring.metadata["use"]


def test_threshold_class_and_smallest_area_are_kept(make_prediction):
    prediction = make_prediction()
    assert len(exports.region_annotations(prediction, threshold=0.9)) == 1
    assert len(exports.region_annotations(prediction, min_area_um2=5 * 64 * 0.5 * 32 * 0.25)) == 1
    (normal,) = exports.region_annotations(prediction, class_name="normal", threshold=0.8)
    assert normal.class_name == "normal"
    assert normal.geometry.area == (25 - 9 - 1) * 64 * 32
    with pytest.raises(RegionError, match="there are normal, tumour"):
        exports.region_annotations(prediction, class_name="tumor")


def test_nothing_in_micrometres_is_claimed_for_an_unknown_scale(make_prediction):
    prediction = make_prediction(um_per_px=None)
    assert not [n for a in exports.region_annotations(prediction) for n in a.measurements if n.endswith("_um2")]
    assert {row["area_above_um2"] for row in exports.class_rows(prediction)} == {None}
    with pytest.raises(RegionError, match="unknown"):
        exports.region_annotations(prediction, min_area_um2=1.0)


def test_without_a_card_that_says_so_all_but_the_first_class_are_looked_for(make_prediction):
    assert exports.shown_classes(make_prediction()) == ("tumour",)
    assert exports.shown_classes(make_prediction(positive="")) == ("tumour",)
    assert exports.shown_classes(make_prediction(classes=("normal",), positive="")) == ("normal",)


def test_geojson_keeps_all_rules_with_regions_and_cells(tmp_path, make_prediction):
    prediction = make_prediction()
    path = tmp_path / "a.geojson"
    assert exports.write_annotations(prediction, path, tiles=True) == 2 + 25
    assert validate_geojson(path) == []
    tiles = [a for a in read_geojson(path) if a.kind == "tile"]
    assert sum(t.geometry.area for t in tiles) == 25 * 64 * 32
    assert all(set(t.measurements) == {"prob_normal", "prob_tumour"} for t in tiles)
    at = {t.geometry.bounds[:2]: t.measurements["prob_tumour"] for t in tiles}
    assert at[20 + 4 * 32, 10 + 4 * 64] == 1.0
    assert exports.write_annotations(prediction, path) == 2


def test_json_says_what_the_result_says(tmp_path, make_prediction):
    prediction = make_prediction(complete=False)
    path = exports.write_json(prediction, tmp_path / "prediction.json", request={"level": "auto"})
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["probabilities"] == {"normal": 0.0, "tumour": 1.0}
    assert content["complete"] is False
    assert content["probabilities_are"] == "highest place, uncalibrated"
    assert content["seconds"] == 1.75
    assert content["record"]["slide"]["um_per_px"] == [0.5, 0.25]
    assert content["record"]["model"]["sha256"] == "cd" * 32
    assert content["map"] == {"origin": [10.0, 20.0], "step": [64.0, 32.0], "shape": [5, 6]}
    assert content["request"] == {"level": "auto"}
    assert content["classes"]["tumour"]["maximum"] == 1.0
    assert content["classes"]["tumour"]["share_above_0.5"] == 9 / 25
    assert content["classes"]["tumour"]["area_above_um2"] == 9 * 64 * 0.5 * 32 * 0.25
    row = exports.results_row(content)
    assert row == exports.results_row(exports.summary(prediction, {"level": "auto"}))
    assert (row["status"], row["prob_tumour"], row["level"]) == ("partial", 1.0, 1)


def test_a_result_without_tissue_can_be_written(tmp_path, make_prediction):
    import dataclasses

    prediction = make_prediction()
    empty = dataclasses.replace(
        prediction,
        probabilities={},
        probability_map=np.full_like(prediction.probability_map, np.nan),
        message="no tissue was found",
    )
    assert exports.write_annotations(empty, tmp_path / "a.geojson", tiles=True) == 0
    assert validate_geojson(tmp_path / "a.geojson") == []
    content = json.loads(exports.write_json(empty, tmp_path / "a.json").read_text())
    assert content["classes"]["tumour"]["mean"] is None
    assert content["message"] == "no tissue was found"
    exports.write_ome_tiff(empty, tmp_path / "a.ome.tif")
    exports.write_class_table(empty, tmp_path / "a.csv")


def test_class_table(tmp_path, make_prediction):
    path = exports.write_class_table(make_prediction(), tmp_path / "classes.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["normal", "tumour"]
    assert float(rows[1]["slide_probability"]) == 1.0
    assert int(rows[1]["cells"]) == 25


def test_map_image_has_the_classes_the_place_and_says_when_it_is_partial(make_prediction):
    image = exports.map_image(make_prediction(complete=False))
    assert image.channels == ("normal", "tumour")
    assert image.cell_um == (32.0, 8.0)
    assert "partial" in image.notes["complete"]


@pytest.mark.parametrize(
    "write", [exports.write_json, exports.write_class_table, exports.write_ome_tiff, exports.write_ome_zarr]
)
def test_a_place_that_cannot_be_written_to_is_one_clear_line(tmp_path, make_prediction, write):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write(make_prediction(), tmp_path / "file" / "a.ome.tif")
    assert "\n" not in str(caught.value)
