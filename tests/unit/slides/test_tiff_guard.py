"""Tiles that lie about their size, strips larger than memory, stacks of pages, and files of ten gigabytes."""

import io
import time

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.fingerprint import file_fingerprint
from napari_gigaclf.slides.tiff_guard import jpeg2000_size, jpeg_size
from napari_gigaclf.testing.slide_files import picture

IMAGE = picture(200, 150)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 33), (200, 7)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"dpi": (96, 96), "comment": b"\xff\xc0 no frame"}])
def test_jpeg_size_is_what_pillow_wrote(height, width, options):
    file = io.BytesIO()
    Image.fromarray(picture(height, width)).save(file, "JPEG", **options)
    assert jpeg_size(file.getvalue()) == (height, width)


@pytest.mark.parametrize("codec", ["j2k", "jp2"])
def test_jpeg2000_size_is_what_was_encoded(codec):
    encoded = imagecodecs.jpeg2k_encode(IMAGE, codecformat=codec)
    assert jpeg2000_size(encoded) == IMAGE.shape[:2]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff", b"\xff" * 5000, b"\xff\xd8\xff\xda\0\x02", bytes(5000)]
)
def test_noise_has_no_size(data):
    assert jpeg_size(data) is None
    assert jpeg2000_size(data) is None


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_tile_that_asks_for_gigabytes_is_refused(tmp_path, compression):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, IMAGE, tile=(64, 64), compression=compression, photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert slide.read(0, 0, 64, 0, 64).shape == (64, 64, 3)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    content = bytearray(path.read_bytes())
    tile = content[offset : offset + count]
    if compression == "jpeg":
        frame = tile.index(b"\xff\xc0")
        tile[frame + 5 : frame + 9] = b"\xff\xf0\xff\xf0"
    else:
        header = tile.index(b"\xff\x4f\xff\x51")
        tile[header + 8 : header + 16] = (60_000).to_bytes(4, "big") * 2
    content[offset : offset + count] = tile
    path.write_bytes(content)
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match="a tile says it is"):
            slide.read(0, 0, 64, 0, 64)
        assert np.abs(slide.read(0, 64, 128, 64, 128).astype(int) - IMAGE[64:128, 64:128]).mean() < 8


def test_an_uncompressed_image_of_one_huge_strip_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_gigaclf.slides.tiff_levels.MAX_CHUNK_BYTES", 10_000)
    for byteorder in "<>":
        path = tmp_path / "one-strip.tif"
        deep = np.random.default_rng(0).integers(0, 65535, (700, 600, 3)).astype(f"{byteorder}u2")
        tifffile.imwrite(path, deep, rowsperstrip=700, byteorder=byteorder, photometric="rgb", metadata=None)
        with open_slide(path) as slide:
            assert slide.levels[0].chunks == (512, 512, 3)
            assert np.array_equal(slide.read(0, 100, 300, 200, 410), deep[100:300, 200:410])
            assert slide.read(0, 0, 5, 0, 5).dtype == np.uint16


def test_pages_of_a_stack_can_be_chosen_and_the_first_is_shown(tmp_path):
    path = tmp_path / "stack.tif"
    pages = np.stack([picture(80, 60, seed=i) for i in range(4)])
    tifffile.imwrite(path, pages, photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert slide.num_z == 4
        assert np.array_equal(slide.levels[0][...], pages[0])
    with open_slide(path, z=2) as slide:
        assert np.array_equal(slide.levels[0][...], pages[2])


def test_the_fingerprint_of_ten_gigabytes_is_quick_and_sees_both_ends(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"start")
        file.truncate(10 * 2**30)
    start = time.perf_counter()
    before = file_fingerprint(path)
    assert time.perf_counter() - start < 2
    for place, change in ((0, b"S"), (10 * 2**30 - 3, b"end")):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(change)
        after = file_fingerprint(path)
        assert after != before
        before = after


def test_opening_and_reading_is_quick(shared_data):
    """Opening takes a header and a read some tiles, whatever the size (limits are ten times what is measured)."""
    path = shared_data / "slides" / "metaplasia-HE-13198x11685.tif"
    with open_slide(path) as slide:
        slide.read(0, 0, 1, 0, 1)
    start = time.perf_counter()
    slide = open_slide(path)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    for i in range(10):
        slide.read(0, 900 * i, 900 * i + 512, 700 * i, 700 * i + 512)
    read = (time.perf_counter() - start) / 10
    slide.close()
    assert opened < 0.2
    assert read < 0.4
