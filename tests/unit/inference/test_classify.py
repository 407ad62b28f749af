"""Streaming a slide gives what the untiled network gives on the whole masked image."""

import threading

import numpy as np
import pytest
import shapely
import torch
from scipy.ndimage import gaussian_filter

from napari_gigaclf.errors import GigaclfError, ModelError, RegionError, ScaleError
from napari_gigaclf.geometry import Box
from napari_gigaclf.inference import classify, place_gradient, prepare
from napari_gigaclf.inference.query import TOO_SMALL
from napari_gigaclf.models.pooling import POOLING_KINDS
from napari_gigaclf.models.slide_answer import SlideAnswer
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.tissue import TissueMask

TILE = 96


def values_of(prediction):
    return np.array([prediction.probabilities[name] for name in prediction.classes])


@pytest.mark.parametrize("pooling", POOLING_KINDS)
def test_equals_the_untiled_network(make_model, slide, pixels, mask, tissue, untiled, pooling):
    """In float64, where no rounding flips a ReLU; maps are stored in float32."""
    model = make_model(pooling=pooling).double()
    expected = untiled(model, pixels, mask)
    found = classify(slide, model, tissue=tissue, tile=TILE)
    assert np.array_equal(np.isnan(found.probability_map), np.isnan(expected.probability_map))
    assert found.probability_map == pytest.approx(expected.probability_map, abs=1e-7, nan_ok=True)
    assert values_of(found) == pytest.approx(expected.probabilities, abs=1e-10)
    assert found.saliency.class_name == model.classes[expected.class_index]
    largest = expected.saliency.max()
    assert largest > 0
    assert np.abs(found.saliency.raw - expected.saliency).max() <= 1e-6 * largest
    assert found.complete
    assert found.message == ""


ANSWER = SlideAnswer(num_highest=5, gain=0.5, shift=-0.3, per_doubling=-0.2, least_cells=60, most_cells=500)
CALIBRATED = {"pooling": "highest", "classes": ("normal", "tumour"), "slide_answer": ANSWER}


def test_a_slides_calibrated_answer_equals_the_untiled_networks(make_model, slide, pixels, mask, tissue, untiled):
    model = make_model(**CALIBRATED).double()
    expected = untiled(model, pixels, mask)
    odds = np.log(expected.probability_map[1].astype(float)) - np.log(expected.probability_map[0].astype(float))
    odds = np.sort(odds[~np.isnan(odds)])
    z = 0.5 * odds[-5:].mean() - 0.3 - 0.2 * np.log2(len(odds) / 1000)
    found = classify(slide, model, tissue=tissue, tile=TILE)
    assert found.probabilities["tumour"] == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-5)
    assert found.probability_map == pytest.approx(expected.probability_map, abs=1e-7, nan_ok=True)
    assert any("slide's probability" in warning for warning in found.record.warnings) == (len(odds) < 60)


def test_a_stopped_run_gives_the_calibrated_answer_for_what_it_has(make_model, slide, tissue):
    model = make_model(**CALIBRATED)
    part = classify(slide, model, tissue=tissue, tile=64, cancel=StopAfter(14))
    odds = torch.from_numpy(part.probability_map).double().log().diff(dim=0)
    expected = torch.softmax(ANSWER.logits(odds[~odds.isnan()]), dim=0)
    assert values_of(part) == pytest.approx(expected.numpy(), abs=1e-3)


def test_a_region_is_asked_as_before_where_slides_have_a_calibrated_answer(make_model, slide, tissue):
    found = classify(slide, make_model(**CALIBRATED), tissue=tissue, saliency=None)
    answer = found.query(Box(0, 331, 0, 397))
    assert answer.probabilities["tumour"] == pytest.approx(np.nanmax(found.probability_map[1]), abs=1e-3)


def test_single_precision_differs_by_rounding(make_model, slide, pixels, mask, tissue, untiled):
    model = make_model()
    expected = untiled(model, pixels, mask)
    found = classify(slide, model, tissue=tissue, tile=TILE)
    assert found.probability_map == pytest.approx(expected.probability_map, abs=1e-4, nan_ok=True)
    assert values_of(found) == pytest.approx(expected.probabilities, abs=1e-4)


@pytest.mark.parametrize("network", ["resnet18", "paper-table1"])
def test_other_networks_equal_themselves_untiled(make_model, pixels, untiled, network):
    model = make_model(network=network, pooling="mean").double()
    stride = {"resnet18": 32, "paper-table1": 160}[network]
    found = classify(open_slide(pixels, um_per_px=1.0), model, tissue=False, saliency=None, tile=2 * stride)
    with torch.no_grad():
        image = (torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255).double()
        features = model.features(image)[0].flatten(1).T
        expected = model.probabilities(model.cell_logits(features)).numpy()
    cells = found.probability_map.reshape(3, -1).T
    assert cells == pytest.approx(expected, abs=1e-7)
    assert values_of(found) == pytest.approx(model(image)[0].softmax(0).numpy(), abs=1e-10)
    assert found.saliency is None


@pytest.mark.parametrize("saliency", ["normal", "other"])
def test_saliency_of_a_named_class(make_model, slide, pixels, mask, tissue, untiled, saliency):
    model = make_model(pooling="highest").double()
    expected = untiled(model, pixels, mask, model.classes.index(saliency))
    found = classify(slide, model, tissue=tissue, saliency=saliency, tile=TILE).saliency
    assert found.class_name == saliency
    assert np.abs(found.raw - expected.saliency).max() <= 1e-6 * expected.saliency.max()
    assert "tissue cells with p >= 0.5" in found.logit or "no cell reaches 0.5" in found.logit
    assert found.values.max() == pytest.approx(1.0)
    shown = np.asarray(found.values)[np.asarray(found.values) > 0]
    assert shown.min() >= 0.5
    assert "Gaussian blur with sigma 25 um" in found.normalisation


@pytest.mark.parametrize("pooling", ["mean", "highest"])
def test_a_region_is_the_untiled_network_pooled_over_its_cells(
    make_model, slide, pixels, mask, tissue, untiled, pooling
):
    model = make_model(pooling=pooling).double()
    region = shapely.Polygon([(90, 40), (320, 150), (200, 260), (60, 200)], [[(150, 120), (200, 120), (180, 170)]])
    rows, columns = np.mgrid[:10, :12]
    inside = shapely.contains_xy(region, columns * 32 + 16, rows * 32 + 16)
    expected = untiled(model, pixels, mask, region=inside)
    found = classify(slide, model, tissue=tissue, tile=TILE, region=region)
    assert values_of(found) == pytest.approx(expected.probabilities, abs=1e-10)
    assert found.probability_map == pytest.approx(expected.probability_map, abs=1e-7, nan_ok=True)
    grid = found.saliency.raw_grid
    y0, x0 = (int(corner) for corner in grid.origin)
    assert y0 > 0
    placed = np.zeros_like(expected.saliency)
    placed[y0 : y0 + grid.shape[0], x0 : x0 + grid.shape[1]] = found.saliency.raw
    assert np.abs(placed - expected.saliency).max() <= 1e-6 * expected.saliency.max()


def test_glass_is_skipped_and_not_read(make_model, pixels, tissue):
    class Counting:
        def __init__(self, slide):
            self._slide = slide
            self.boxes = []

        def __getattr__(self, name):
            return getattr(self._slide, name)

        def read(self, level, *box):
            self.boxes.append(Box(*box))
            return self._slide.read(level, *box)

    counting = Counting(open_slide(pixels, um_per_px=1.0))
    prepared = prepare(counting, make_model(), tissue=tissue, tile=64)
    counting.boxes.clear()
    found = prepared.run(saliency=None)
    work = found.record.work
    assert work.tiles_skipped_flat > 0
    assert work.tiles_run + work.tiles_skipped_flat == work.tiles
    assert prepared.estimate.tiles == work.tiles
    shown = [tissue.mask[box.y0 // 8 : -(-box.y1 // 8), box.x0 // 8 : -(-box.x1 // 8)] for box in counting.boxes]
    assert all(part.any() for part in shown)


def test_zero_gradient_tiles_are_skipped(make_model, slide, tissue):
    work = classify(slide, make_model(pooling="highest"), tissue=tissue, saliency="other", tile=64).record.work
    assert work.tiles_run_backward > 0
    assert work.tiles_skipped_zero > 0


def test_live_map_fills_to_the_whole_map(make_model, slide, tissue):
    updates = []
    found = classify(slide, make_model(), tissue=tissue, saliency=None, tile=TILE, on_map=updates.append)
    live = np.full_like(found.probability_map, np.nan)
    for update in updates:
        _, height, width = update.probabilities.shape
        part = live[:, update.y0 : update.y0 + height, update.x0 : update.x0 + width]
        part[:] = np.where(np.isnan(update.probabilities), part, update.probabilities)
    assert len(updates) > 3
    assert np.array_equal(live, found.probability_map, equal_nan=True)


@pytest.mark.parametrize(
    "region",
    [
        Box(100, 230, 130, 300),
        shapely.Polygon([(90, 20), (320, 150), (200, 260), (60, 200)], [[(150, 120), (200, 120), (180, 170)]]),
        np.array([[33.0, 65.0], [33.0, 97.0], [65.0, 97.0], [65.0, 65.0]]),
        shapely.MultiPoint([(100, 100), (300, 200)]),
    ],
    ids=["box", "polygon", "vertices", "points"],
)
def test_a_region_gives_the_numbers_of_the_whole_slide(make_model, slide, tissue, region):
    check_region(make_model(), slide, tissue, region)


def test_a_region_of_a_network_that_sees_far(make_model, slide, tissue):
    check_region(make_model(network="resnet18"), slide, tissue, shapely.Point(260, 150).buffer(60))


def check_region(model, slide, tissue, region):
    whole = classify(slide, model, tissue=tissue, saliency=None, tile=96)
    part = classify(slide, model, tissue=tissue, saliency=None, tile=64, region=region)
    computed = ~np.isnan(part.probability_map[0])
    assert 0 < computed.sum() < (~np.isnan(whole.probability_map[0])).sum()
    assert part.grid == whole.grid
    assert part.probability_map[:, computed] == pytest.approx(whole.probability_map[:, computed], abs=1e-4)
    answer = whole.query(region)
    assert answer.num_cells == computed.sum()
    assert answer.probabilities == pytest.approx(part.probabilities, abs=2e-3)


def test_a_region_reads_only_what_it_sees(make_model, slide, tissue):
    prepared = prepare(slide, make_model(), tissue=tissue, region=Box(100, 160, 130, 160))
    assert prepared.source.box == Box(64, 192, 96, 192)
    assert prepared.first_cell == (2, 3)


@pytest.mark.parametrize("pooling", POOLING_KINDS)
def test_a_click_before_equals_the_query_after(make_model, slide, tissue, pooling):
    import dataclasses

    from napari_gigaclf.models.card import FieldSpec

    model = make_model(pooling=pooling)
    card = dataclasses.replace(model.card, field=FieldSpec(cells=2, px=128))
    model.config = dataclasses.replace(model.config, card=card)
    prepared = prepare(slide, model, tissue=tissue, tile=TILE)
    prediction = prepared.run(saliency=None)
    for point in [(130.0, 180.0), (60.0, 200.0), (100.0, 77.7), (250.5, 130.0)]:
        before, after = prepared.ask(point), prediction.query(point)
        assert before.num_cells == after.num_cells > 0
        assert before.probabilities == pytest.approx(after.probabilities, abs=2e-3)
        assert before.mean == pytest.approx(after.mean, abs=1e-4)
        assert before.maximum == pytest.approx(after.maximum, abs=1e-4)
        assert before.share_above == after.share_above
        assert before.outline.equals(after.outline)
        assert before.area_um2 == pytest.approx(128 * 128)


@pytest.mark.parametrize("pooling", POOLING_KINDS)
def test_a_question_before_equals_the_query_after(make_model, slide, tissue, pooling):
    """A box, an outline with a hole, several parts: the network on the place alone, and the features of a run."""
    prepared = prepare(slide, make_model(pooling=pooling), tissue=tissue, tile=TILE)
    prediction = prepared.run(saliency=None)
    outline = shapely.Polygon([(90, 20), (320, 150), (200, 260), (60, 200)], [[(150, 120), (200, 120), (180, 170)]])
    parts = shapely.union_all([shapely.box(60, 60, 120, 130), shapely.box(250, 150, 300, 230)])
    for region in (Box(100, 230, 130, 300), outline, parts, Box(0, 331, 0, 397)):
        before, after = prepared.ask(region, threshold=0.3), prediction.query(region, threshold=0.3)
        assert after.num_missing == 0
        assert before.num_cells == after.num_cells > 0
        assert before.probabilities == pytest.approx(after.probabilities, abs=2e-3)
        assert before.maximum == pytest.approx(after.maximum, abs=1e-4)
        assert before.share_above == after.share_above
        assert before.outline.equals(after.outline)
    tiny = shapely.box(100, 100, 101, 101)
    assert prepared.ask(tiny).message == prediction.query(tiny).message == TOO_SMALL


def test_a_question_leaves_the_report_of_a_run_alone(make_model, slide, tissue):
    """A person asks while a run is under way: its record must count its own tiles."""
    prepared = prepare(slide, make_model(), tissue=tissue, tile=TILE)
    expected = prepared.run(saliency=None).record.work

    def ask(_update):
        prepared.ask((130.0, 180.0))
        place_gradient(prepared, (130.0, 180.0), "tumour")

    found = prepared.run(saliency=None, on_map=ask).record.work
    assert (found.tiles_run, found.tiles, found.tiles_skipped_flat) == (
        expected.tiles_run,
        expected.tiles,
        expected.tiles_skipped_flat,
    )
    report = prepared.network.streamed.last_report
    prepared.ask((130.0, 180.0))
    assert prepared.network.streamed.last_report is report


def test_what_a_run_over_a_part_did_not_compute_is_counted(make_model, slide, tissue):
    prepared = prepare(slide, make_model(), tissue=tissue, tile=TILE)
    part = classify(slide, make_model(), tissue=tissue, saliency=None, region=Box(96, 224, 128, 256))
    region = Box(96, 288, 128, 320)
    whole, found = prepared.run(saliency=None).query(region), part.query(region)
    assert part.query(Box(100, 200, 140, 250)).num_missing == 0
    assert found.num_missing == whole.num_cells - found.num_cells > 0
    assert whole.num_missing == 0
    assert part.query((5.0, 390.0)).num_missing == 0  # glass: there was nothing to compute
    assert part.query((250.0, 200.0)).num_missing > 0


def test_a_click_on_glass_says_no_tissue(make_model, slide, tissue):
    prepared = prepare(slide, make_model(), tissue=tissue)
    prediction = prepared.run(saliency=None)
    for answer in (prepared.ask((5.0, 390.0)), prediction.query((5.0, 390.0))):
        assert answer.probabilities is None
        assert answer.message == "no tissue"
        assert answer.num_cells == 0
    with pytest.raises(RegionError, match="outside the slide"):
        prepared.ask((5.0, 4000.0))
    with pytest.raises(RegionError, match="outside the slide"):
        prediction.query((-1.0, 5.0))


def test_a_query_over_everything_is_the_slide(make_model, slide, tissue):
    found = classify(slide, make_model(pooling="mean"), tissue=tissue, saliency=None)
    answer = found.query(Box(0, 331, 0, 397))
    assert answer.probabilities == pytest.approx(found.probabilities, abs=1e-3)
    assert answer.mean["tumour"] == pytest.approx(np.nanmean(found.probability_map[1]), abs=1e-6)
    assert answer.maximum["tumour"] == pytest.approx(np.nanmax(found.probability_map[1]))
    above = found.probability_map[0][~np.isnan(found.probability_map[0])] >= 0.5
    assert answer.share_above["normal"] == pytest.approx(above.mean())


class StopAfter:
    """A cancel token that asks to stop after being asked a number of times."""

    def __init__(self, times):
        self.times = times

    def is_set(self):
        self.times -= 1
        return self.times < 0


def test_a_stopped_run_leaves_a_partial_result(make_model, slide, tissue):
    model = make_model()
    whole = classify(slide, model, tissue=tissue, saliency=None, tile=64)
    part = classify(slide, model, tissue=tissue, tile=64, cancel=StopAfter(14))
    assert not part.complete
    assert part.message.startswith("partial result: stopped after")
    assert part.saliency is None
    computed = ~np.isnan(part.probability_map[0])
    assert 0 < computed.sum() < (~np.isnan(whole.probability_map[0])).sum()
    assert part.probability_map[:, computed] == pytest.approx(whole.probability_map[:, computed], abs=1e-4)
    assert part.query(Box(0, 331, 0, 397)).probabilities == pytest.approx(part.probabilities, abs=1e-6)
    assert part.query((250.0, 180.0)).message == "nothing was computed here"


def test_a_run_stopped_at_once_claims_nothing(make_model, slide, tissue):
    stop = threading.Event()
    stop.set()
    part = classify(slide, make_model(), tissue=tissue, cancel=stop)
    assert not part.complete
    assert part.probabilities == {}
    assert np.isnan(part.probability_map).all()


def test_stopping_during_saliency_keeps_the_probabilities(make_model, slide, tissue):
    model = make_model(pooling="mean")
    seen = []
    stop = threading.Event()

    def progress(report):
        seen.append(report)
        if report.phase == "saliency":
            stop.set()

    part = classify(slide, model, tissue=tissue, tile=64, progress=progress, cancel=stop)
    assert {report.phase for report in seen} == {"classifying", "saliency"}
    assert not part.complete
    assert part.saliency is None
    assert "saliency" in part.message
    assert part.probabilities == pytest.approx(
        classify(slide, model, tissue=tissue, tile=64, saliency=None).probabilities, abs=1e-6
    )


def test_no_tissue_is_an_answer(make_model, slide, tissue):
    nothing = TissueMask.from_array(np.zeros_like(tissue.mask), tissue.grid)
    found = classify(slide, make_model(), tissue=nothing)
    assert found.probabilities == {}
    assert found.complete
    assert "no tissue found" in found.message
    assert np.isnan(found.probability_map).all()
    assert found.query((100.0, 100.0)).message == "no tissue"


def test_resampled_map_lies_where_the_slide_is(make_model, pixels):
    smooth = gaussian_filter(pixels, (3, 3, 0))
    fine = open_slide(np.kron(smooth, np.ones((3, 2, 1), dtype=np.uint8)), um_per_px=(1 / 3, 0.5))
    model = make_model()
    coarse = classify(open_slide(smooth, um_per_px=1.0), model, tissue=False, saliency=None)
    found = classify(fine, model, tissue=False, saliency=None)
    assert found.grid.step == pytest.approx((96.0, 64.0))
    assert found.grid.shape == coarse.grid.shape
    assert found.record.input.factor == pytest.approx((3.0, 2.0))
    agreement = np.corrcoef(found.probability_map.ravel(), coarse.probability_map.ravel())[0, 1]
    shifted = np.corrcoef(found.probability_map[:, 1:].ravel(), coarse.probability_map[:, :-1].ravel())[0, 1]
    assert agreement > 0.98
    assert shifted < 0.8


def test_the_callers_model_is_left_alone(make_model, slide, tissue):
    model = make_model().train().requires_grad_(requires_grad=True)
    classify(slide, model, tissue=tissue)
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_record(make_model, slide, tissue):
    record = classify(slide, make_model(), tissue=tissue, tile=TILE, region=Box(0, 331, 0, 300)).record
    assert record.slide.id == slide.id
    assert record.slide.um_per_px_source == "given by the user"
    assert record.model.name == "test-model"
    assert record.input.um_per_px == (1.0, 1.0)
    assert record.input.region.startswith("POLYGON")
    assert record.work.tile == (TILE, TILE)
    assert record.work.device_key == "cpu"
    assert set(record.work.seconds) == {"preparing", "classifying", "saliency"}
    assert record.work.peak_memory_bytes > 1e8
    assert record.versions["torch"].startswith("2.")
    assert "25%" in record.input.cell_rule
    assert record.parameters["saliency"] == "predicted"
    assert record.saliency


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"saliency": "tumor"}, ModelError, "no class 'tumor'; it has normal, tumour, other"),
        ({"device": "cuda:7"}, GigaclfError, "device 'cuda:7' cannot be used: .*; usable here: "),
        ({"device": "abacus"}, GigaclfError, "no such device"),
        ({"level": 3}, ScaleError, "level 3 does not exist"),
        ({"region": Box(4000, 5000, 0, 10)}, RegionError, "outside the slide"),
        ({"region": Box(0, 2, 0, 2)}, RegionError, "draw it larger"),
    ],
)
def test_wishes_that_cannot_be_met(make_model, slide, options, error, words):
    with pytest.raises(error, match=words):
        classify(slide, make_model(), tissue=False, **options)


def test_models_that_are_none(slide, tmp_path):
    with pytest.raises(ModelError, match="no model"):
        classify(slide, "no-such-model")
    with pytest.raises(ModelError):
        classify(slide, tmp_path)


def test_other_than_brightfield_is_refused_by_name(make_model):
    deep = open_slide(np.zeros((64, 64, 3), dtype=np.uint16), um_per_px=1.0)
    with pytest.raises(ModelError, match=r"test-model reads 8-bit RGB brightfield slides; .* is a 16-bit slide"):
        classify(deep, make_model())


def test_a_slide_smaller_than_a_cell_is_refused(make_model):
    with pytest.raises(ModelError, match="less than one cell"):
        classify(open_slide(np.zeros((20, 20, 3), dtype=np.uint8), um_per_px=1.0), make_model(), tissue=False)


def test_unknown_scale(make_model, pixels):
    unknown = open_slide(pixels)
    with pytest.raises(ScaleError, match="unknown"):
        classify(unknown, make_model())
    found = classify(unknown, make_model(), level=0, tissue=False, saliency="tumour")
    assert found.record.input.um_per_px is None
    assert "sigma 25 px" in found.saliency.normalisation
    assert found.query((100.0, 100.0)).area_um2 is None
    assert any("unknown" in warning for warning in found.record.warnings)


def test_tile_and_memory_do_not_change_the_answer(make_model, slide, tissue):
    model = make_model()
    one = classify(slide, model, tissue=tissue, tile=64, saliency=None)
    other = classify(slide, model, tissue=tissue, memory="200MB", saliency=None)
    assert one.probability_map == pytest.approx(other.probability_map, abs=1e-4, nan_ok=True)
