"""What is decided before a run: tissue, tile, memory, time."""

import errno
import tempfile

import numpy as np
import pytest

from napari_gigaclf.errors import OutputError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference import estimate, network, prepare, storage
from napari_gigaclf.inference.timing import responsive_tile
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.tissue import TissueMask, TissueSettings, find_tissue


@pytest.fixture
def island():
    """Pink tissue on glass, 2.56 mm wide."""
    pixels = np.full((640, 640, 3), 250, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(-25, 25, (340, 340, 3))
    pixels[110:450, 200:540] = np.clip(noise + np.array([200, 110, 170]), 0, 255)
    return open_slide(pixels, um_per_px=4.0)


@pytest.mark.parametrize("tissue", [True, TissueSettings(resolution_um=16.0)])
def test_tissue_is_found(make_model, island, tissue):
    prepared = prepare(island, make_model(um_per_px=4.0), tissue=tissue)
    rows, columns = np.nonzero(prepared.kept)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 13, 6, 16)
    assert prepared.estimate.cells == prepared.kept.sum() == 121
    assert prepared.tissue.settings is not None


def test_glass_alone_has_no_tissue(make_model):
    glass = open_slide(np.full((640, 640, 3), 245, dtype=np.uint8), um_per_px=4.0)
    prepared = prepare(glass, make_model(um_per_px=4.0))
    assert prepared.estimate.cells == 0
    assert prepared.estimate.seconds == 0
    found = prepared.run()
    assert found.probabilities == {}
    assert "no tissue found" in found.message
    assert found.record.work.tiles_run == 0


def test_plans_share_the_tissue_mask_and_its_sum(make_model, island):
    fine, model = open_slide(np.asarray(island.levels[0]), um_per_px=4.0), make_model(um_per_px=4.0)
    mask = find_tissue(fine, TissueSettings(resolution_um=16.0))
    plans = [prepare(fine, model, tissue=mask), prepare(fine, model, tissue=mask, region=Box(100, 400, 100, 400))]
    laid = [plan.whole._masks[0] for plan in plans]
    assert all(each.shown is mask.mask and each.total is mask.sums for each in laid)
    assert mask.mask.shape == (160, 160)


def test_estimate_counts_what_the_run_does(make_model, slide, tissue):
    prepared = prepare(slide, make_model(), tissue=tissue, tile=64)
    expected = prepared.estimate
    done = prepared.run(saliency=None).record.work
    assert expected.tiles == done.tiles
    assert expected.tiles_flat >= done.tiles_skipped_flat  # a flat tile beside tissue is computed
    assert expected.seconds > 0
    assert expected.saliency_seconds > expected.seconds
    assert expected.memory_bytes > 1e6
    assert expected.saliency_memory_bytes > slide.levels[0].height * slide.levels[0].width * 4
    assert expected.um_per_px == (1.0, 1.0)
    assert expected.level == 0


def test_a_run_is_announced_by_the_speed_of_its_own_tiles(make_model, slide, monkeypatch):
    asked = []

    def speed(streamed, device, tile):
        asked.append((streamed.plan((3, 512, 512)).tile, device.type, tile))
        return 1e-6 * tile

    monkeypatch.setattr(network, "streamed_seconds_per_pixel", speed)
    small, large = (prepare(slide, make_model(), tissue=False, tile=tile).estimate for tile in (64, 128))
    assert asked == [((64, 64), "cpu", 64), ((128, 128), "cpu", 128)]
    assert large.seconds > 1.5 * small.seconds


def test_a_region_that_is_cut_is_a_warning(make_model, slide, tissue):
    height = slide.levels[0].height
    prepared = prepare(slide, make_model(), tissue=tissue, region=Box(height // 2, height + height // 2, 0, 300))
    assert prepared.warnings[0].startswith("region: ")
    assert "outside the slide" in prepared.warnings[0]


def test_tiles_answer_soon():
    sides = [responsive_tile(seconds, 32, 0.3) for seconds in (1e-9, 1e-7, 1e-6, 1e-3)]
    assert sides == [1024, 768, 256, 128]
    assert responsive_tile(1e-6, 160, 0.3) == 160


def test_little_memory_means_larger_tiles(make_model):
    pixels = np.broadcast_to(np.uint8(0), (2000, 2000, 3))
    network = prepare(open_slide(pixels, um_per_px=1.0), make_model(), tissue=False, region=Box(0, 64, 0, 64)).network
    source = type("Source", (), {"shape": (3, 20_000, 20_000), "flat_value": None})()
    small = network.with_tile(128)
    roomy = estimate.fit_memory(small, source, 1 << 40)
    tight = estimate.fit_memory(small, source, 4 << 30)
    need = [n.streamed.plan(source.shape).peak_bytes for n in (roomy, tight)]
    assert roomy is small
    assert need[1] < need[0] / 2
    assert estimate.fit_memory(small, source, None) is small


def test_domain_warning_comes_before_the_run(make_model, island):
    warnings = prepare(island, make_model(um_per_px=1.0), level=0).warnings
    assert any(text.startswith("scale: 4 um/px") for text in warnings)


def test_painted_mask_without_a_cell(make_model, slide):
    grid = PixelGrid(origin=(0.0, 0.0), step=(8.0, 8.0), shape=(42, 50))
    speck = np.zeros(grid.shape, dtype=bool)
    speck[5, 5] = True  # 1/16 of a cell
    assert not prepare(slide, make_model(), tissue=TissueMask.from_array(speck, grid)).kept.any()


def test_large_arrays_lie_in_a_file():
    values = storage.zeros((100, 30), np.float32, in_memory_bytes=1000)
    assert isinstance(values, np.memmap)
    assert not values.any()
    values[3, 4] = 7
    assert values.sum() == 7
    assert not isinstance(storage.zeros((2, 3), np.float16), np.memmap)


def test_no_room_for_large_arrays(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match=r"no room for 12\.0 GB .*No space left"):
        storage.zeros((1_000_000, 3000), np.float32)
