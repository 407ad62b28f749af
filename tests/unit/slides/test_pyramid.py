"""Coarse levels computed once: right pixels, kept in a cache with a limit, stopped cleanly."""

import os
import threading

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.errors import Cancelled, OutputError
from napari_gigaclf.slides import open_slide, pyramid
from napari_gigaclf.slides.pyramid import area_mean, blocks, ensure_coarse_levels, evict, plan_factors
from napari_gigaclf.testing.slide_files import picture

TILES = picture(5003, 301)


@pytest.fixture
def path(tmp_path):
    """Return a slide with one long level."""
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, TILES, tile=(64, 64), compression="zlib", photometric="rgb")
    return path


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), factor=st.integers(1, 5),
    dtype=st.sampled_from(["u1", "u2", "i2", "u4", "f4"]), seed=st.integers(0, 99),
)  # fmt: skip
def test_area_mean_is_the_mean_of_the_pixels_there_are(height, width, factor, dtype, seed):
    block = (np.random.default_rng(seed).random((height, width, 2)) * 255).astype(dtype)
    found = area_mean(block, factor)
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            part = block[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            exact = part.mean(axis=(0, 1), dtype=np.float64)
            expected = exact if dtype == "f4" else np.floor(exact + 0.5)
            assert np.allclose(found[i, j], expected.astype(dtype), rtol=1e-6)
    assert found.shape == (-(-height // factor), -(-width // factor), 2)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60_000), width=st.integers(1, 60_000), factor=st.sampled_from([2, 4]),
    chunk=st.sampled_from([(256, 256), (8, 60_000), (1, 60_000), (512, 512), (4096, 4096)]),
)  # fmt: skip
def test_blocks_cover_each_pixel_once_and_each_new_chunk_once(height, width, factor, chunk):
    boxes = blocks((height, width), chunk, factor, 3)
    assert sum(box.shape[0] * box.shape[1] for box in boxes) == height * width
    unit = factor * pyramid.CHUNK
    assert all(box.y0 % unit == 0 and box.x0 % unit == 0 for box in boxes)
    assert len({(box.y0, box.x0) for box in boxes}) == len(boxes)


def test_plan_ends_small():
    assert plan_factors(900, 800) == ()
    assert plan_factors(5003, 301) == (2, 2, 2)
    assert plan_factors(100_000, 90_000)[0] == 4


def test_levels_are_right_and_kept(path, tmp_path):
    reports = []
    slide = open_slide(path, um_per_px=0.5)
    with ensure_coarse_levels(slide, reports.append, folder=tmp_path / "cache") as full:
        assert [level.shape for level in full.levels] == [(5003, 301, 3), (2502, 151, 3), (1251, 76, 3), (626, 38, 3)]
        assert [level.step for level in full.levels] == [(1, 1), (2, 2), (4, 4), (8, 8)]
        assert full.levels[3].um_per_px == (4.0, 4.0)
        assert np.array_equal(full.levels[1][...], area_mean(TILES, 2))
        assert np.array_equal(full.levels[2][...], area_mean(area_mean(TILES, 2), 2))
        assert full.id == slide.id
        assert full.kind == "brightfield"
    assert reports[-1].done == reports[-1].total == len(reports)
    # The second time nothing of the slide is read again, whatever it is called now.
    again = []
    renamed = path.rename(path.with_name("renamed.tif"))
    with ensure_coarse_levels(open_slide(renamed), again.append, folder=tmp_path / "cache") as full:
        assert np.array_equal(full.levels[1][...], area_mean(TILES, 2))
    assert again == []


def test_a_strip_file_is_read_in_bounded_memory(tmp_path, monkeypatch):
    path = tmp_path / "strips.tif"
    image = picture(300, 5001)
    tifffile.imwrite(path, image, rowsperstrip=1, compression="zlib", photometric="rgb")
    monkeypatch.setattr(pyramid, "BLOCK_BYTES", 2**18)
    slide = open_slide(path)
    largest = []
    read = slide.read
    monkeypatch.setattr(slide, "read", lambda *a: largest.append((a[2] - a[1]) * (a[4] - a[3]) * 3) or read(*a))
    with ensure_coarse_levels(slide, folder=tmp_path / "cache") as full:
        assert np.array_equal(full.levels[1][...], area_mean(image, 2))
    assert max(largest) <= 2**18


def test_a_slide_with_coarse_levels_is_left_alone(tmp_path):
    slide = open_slide(picture(300, 200))
    assert ensure_coarse_levels(slide, folder=tmp_path / "cache") is slide
    assert not (tmp_path / "cache").exists()


def test_measurements_keep_their_type(tmp_path):
    grey = np.random.default_rng(0).integers(0, 65535, (4200, 40)).astype(np.uint16)
    with ensure_coarse_levels(open_slide(grey), folder=tmp_path) as full:
        assert full.levels[1].shape == (2100, 20)
        assert np.array_equal(full.levels[1][...], area_mean(grey[..., None], 2)[..., 0])


def test_stopping_leaves_nothing(path, tmp_path):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        ensure_coarse_levels(open_slide(path), lambda report: cancel.set(), cancel, folder=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_error(path, tmp_path):
    (tmp_path / "cache").write_text("a file is in the way")
    with pytest.raises(OutputError):
        ensure_coarse_levels(open_slide(path), folder=tmp_path / "cache")


def test_damaged_levels_are_made_again(path, tmp_path):
    with ensure_coarse_levels(open_slide(path), folder=tmp_path / "cache"):
        pass
    (entry,) = (tmp_path / "cache").iterdir()
    (entry / "1" / "zarr.json").write_text("{")
    with ensure_coarse_levels(open_slide(path), folder=tmp_path / "cache") as full:
        assert np.array_equal(full.levels[2][...], area_mean(area_mean(TILES, 2), 2))


def test_what_was_used_longest_ago_goes_first(tmp_path):
    for age, name in ((300, "old"), (200, "middle"), (100, "new"), (400, "kept")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(bytes(1000))
        (tmp_path / name / "used").touch()
        os.utime(tmp_path / name / "used", (1e9 - age, 1e9 - age))
    stale = tmp_path / ".abc.partial"
    stale.mkdir()
    os.utime(stale, (1e9, 1e9))
    evict(tmp_path, 2500, keep=tmp_path / "kept")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept", "new"]
