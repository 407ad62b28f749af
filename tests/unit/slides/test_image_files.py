"""PNG and JPEG: colours, resolution, limits."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import picture

IMAGE = picture(120, 80)


def save(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_modes(tmp_path):
    rgb = Image.fromarray(IMAGE)
    with open_slide(save(tmp_path, rgb)) as slide:
        assert (slide.format, slide.kind, slide.um_per_px) == ("PNG", "brightfield", None)
        assert np.array_equal(slide.levels[0][...], IMAGE)
    with open_slide(save(tmp_path, rgb.quantize(32))) as slide:
        assert np.array_equal(slide.levels[0][...], np.asarray(rgb.quantize(32).convert("RGB")))
    with open_slide(save(tmp_path, rgb.convert("L"))) as slide:
        assert slide.levels[0].shape == (120, 80)
        assert slide.kind == "other"
    deep = np.random.default_rng(0).integers(0, 65535, (30, 20)).astype(np.uint16)
    with open_slide(save(tmp_path, Image.fromarray(deep))) as slide:
        assert slide.dtype == np.uint16
        assert np.array_equal(slide.levels[0][...], deep)
    clear = np.dstack([IMAGE, np.zeros(IMAGE.shape[:2], np.uint8)])
    with open_slide(save(tmp_path, Image.fromarray(clear))) as slide:
        assert (slide.levels[0][...] == 255).all()
    with open_slide(save(tmp_path, rgb.convert("CMYK"), "a.jpg", quality=95)) as slide:
        assert np.abs(slide.levels[0][...].astype(int) - IMAGE).mean() < 4


def test_print_resolution_is_no_scale(tmp_path):
    with open_slide(save(tmp_path, Image.fromarray(IMAGE), "a.jpg", dpi=(96, 96))) as slide:
        assert slide.um_per_px is None
    with open_slide(save(tmp_path, Image.fromarray(IMAGE), dpi=(50_800, 50_800))) as slide:
        assert slide.um_per_px == pytest.approx((0.5, 0.5), rel=1e-3)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_picture_of_terabytes_is_refused_by_its_header(tmp_path, recwarn):
    for side in (12_000, 60_000, 2**31 - 1):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
        with pytest.raises(SlideError, match=r"bomb\.png"):
            open_slide(tmp_path / "bomb.png")
    assert not recwarn.list


def test_damaged(tmp_path):
    for name in ("a.png", "a.jpg"):
        path = save(tmp_path, Image.fromarray(IMAGE), name)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with open_slide(path) as slide, pytest.raises(SlideError, match=name):
            slide.read(0, 0, 10, 0, 10)
        path.write_bytes(content[:12])
        with pytest.raises(SlideError, match=name):
            open_slide(path)
