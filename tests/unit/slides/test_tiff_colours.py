"""Pixels of plain TIFFs in every colour model: correct, or refused with one error; Pillow is the oracle."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import picture

IMAGE = picture(90, 70)
GREY = IMAGE[..., 1]


def pixels(path):
    with open_slide(path) as slide:
        return slide.levels[0][...], slide


def test_palette(tmp_path):
    path = tmp_path / "p.tif"
    Image.fromarray(IMAGE).quantize(64).save(path, compression="tiff_lzw")
    found, slide = pixels(path)
    assert np.array_equal(found, np.asarray(Image.open(path).convert("RGB")))
    assert (slide.dtype, slide.num_channels) == (np.uint8, 3)


def test_grey_keeps_one_channel(tmp_path):
    path = tmp_path / "g.tif"
    Image.fromarray(GREY).save(path)
    found, slide = pixels(path)
    assert np.array_equal(found, GREY)
    assert slide.kind == "other"


def test_white_is_zero(tmp_path):
    path = tmp_path / "w.tif"
    tifffile.imwrite(path, 255 - GREY, photometric="miniswhite", metadata=None)
    assert np.array_equal(pixels(path)[0], GREY)


def test_one_bit(tmp_path):
    path = tmp_path / "b.tif"
    Image.fromarray(GREY > 200).save(path, compression="group4")
    assert np.array_equal(pixels(path)[0], np.where(GREY > 200, 255, 0))


def test_inks(tmp_path):
    path = tmp_path / "c.tif"
    inks = np.random.default_rng(0).integers(0, 256, (60, 50, 4)).astype(np.uint8)
    Image.fromarray(inks, mode="CMYK").save(path)
    oracle = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(pixels(path)[0] - oracle).max() <= 1


def test_ycbcr_without_jpeg(tmp_path):
    path = tmp_path / "y.tif"
    ycbcr = np.asarray(Image.fromarray(IMAGE).convert("YCbCr"))
    tifffile.imwrite(path, ycbcr, photometric="ycbcr", subsampling=(1, 1), compression="lzw", metadata=None)
    oracle = np.asarray(Image.fromarray(ycbcr, mode="YCbCr").convert("RGB")).astype(int)
    assert np.abs(pixels(path)[0] - oracle).max() <= 1


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_ycbcr_jpeg(tmp_path, subsampling):
    path = tmp_path / "j.tif"
    options = {"compression": "jpeg", "compressionargs": {"level": 95}}
    tifffile.imwrite(path, IMAGE, photometric="rgb", subsampling=subsampling, tile=(64, 64), **options)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.photometric.name == "YCBCR"
    oracle = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(pixels(path)[0] - oracle).max() <= 2


@pytest.mark.parametrize(("kind", "alpha"), [("unassalpha", "straight"), ("assocalpha", "premultiplied")])
def test_alpha_is_laid_over_white(tmp_path, kind, alpha):
    path = tmp_path / "a.tif"
    mask = np.linspace(0, 255, IMAGE.size // 3).astype(np.uint8).reshape(IMAGE.shape[:2])
    colour = IMAGE if alpha == "straight" else (IMAGE.astype(int) * mask[..., None] // 255).astype(np.uint8)
    rgba = np.dstack([colour, mask])
    tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=[kind], metadata=None)
    expected = IMAGE * (mask[..., None] / 255) + 255 * (1 - mask[..., None] / 255)
    assert np.abs(pixels(path)[0] - expected).max() <= 1.01


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4", "f8", "u4"])
def test_measurements_keep_their_type(tmp_path, dtype):
    path = tmp_path / "m.tif"
    values = (np.random.default_rng(0).random((40, 30)) * 1000).astype(dtype)
    tifffile.imwrite(path, values, metadata=None, compression="zlib", rowsperstrip=11)
    found, slide = pixels(path)
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, values)
    assert slide.kind == "other"


def test_sixteen_bit_rgb_is_no_brightfield(tmp_path):
    path = tmp_path / "r.tif"
    tifffile.imwrite(path, IMAGE.astype(np.uint16) * 257, photometric="rgb", metadata=None)
    found, slide = pixels(path)
    assert (slide.kind, found.dtype, found.shape) == ("other", np.uint16, IMAGE.shape)


def test_planes_side_by_side(tmp_path):
    path = tmp_path / "s.tif"
    planes = np.moveaxis(IMAGE, -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", tile=(32, 32), metadata=None)
    assert np.array_equal(pixels(path)[0], IMAGE)


def test_colours_not_understood_are_refused(tmp_path):
    path = tmp_path / "lab.tif"
    tifffile.imwrite(path, IMAGE, photometric="cielab", metadata=None)
    with pytest.raises(SlideError, match="CIELAB"):
        open_slide(path)
    tifffile.imwrite(path, np.ones((8, 8), np.complex64), metadata=None)
    with pytest.raises(SlideError, match="complex"):
        open_slide(path)


def test_a_huge_strip_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, np.zeros((30_000, 12_000), np.uint8), compression="zlib", rowsperstrip=30_000, metadata=None)
    with pytest.raises(SlideError, match="blocks of 343 MiB"):
        open_slide(path)
