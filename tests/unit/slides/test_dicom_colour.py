"""DICOM tiles that are YCbCr although the header says RGB: told from those that are what the header says."""

import io

import numpy as np
import pytest
from PIL import Image

from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.dicom_colour import tile_holds_ycbcr, ycbcr_tiles_to_rgb
from napari_gigaclf.testing.slide_files import picture

IMAGE = picture(128, 128)


def encoded(**options):
    """Return the picture as a JPEG stream."""
    stream = io.BytesIO()
    Image.fromarray(IMAGE).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def without_jfif(tile):
    """Return a JPEG stream without its APP0 segment."""
    assert tile[2:4] == b"\xff\xe0"
    return tile[:2] + tile[4 + int.from_bytes(tile[4:6], "big") :]


def test_what_a_tile_says_of_its_colours():
    assert tile_holds_ycbcr(encoded(subsampling="4:2:0"))
    assert tile_holds_ycbcr(encoded(subsampling="4:4:4"))
    assert tile_holds_ycbcr(without_jfif(encoded(subsampling="4:2:2")))
    assert not tile_holds_ycbcr(without_jfif(encoded(subsampling="4:4:4")))
    assert not tile_holds_ycbcr(encoded(keep_rgb=True))


def test_what_is_no_colour_jpeg_says_nothing():
    grey = io.BytesIO()
    Image.fromarray(IMAGE[..., 0]).save(grey, "JPEG")
    tile = encoded()
    assert not any(tile_holds_ycbcr(each) for each in (b"", b"\xff\xd8", tile[:5], IMAGE.tobytes(), grey.getvalue()))
    for length in range(0, 700, 7):
        tile_holds_ycbcr(tile[:length])  # a cut stream raises nothing


def test_missing_tiles_stay_white():
    picture_ycbcr = Image.fromarray(IMAGE).convert("YCbCr")
    truth = np.asarray(picture_ycbcr.convert("RGB")).astype(int)
    ycbcr = np.asarray(picture_ycbcr).copy()
    ycbcr[:20] = 255
    rgb = ycbcr_tiles_to_rgb(ycbcr)
    assert (rgb[:20] == 255).all()
    assert np.abs(rgb[20:].astype(int) - truth[20:]).max() <= 1


@pytest.mark.parametrize("tables", [{"subsampling": "4:2:0"}, {"keep_rgb": True}])
def test_a_slide_of_jpeg_tiles_has_its_colours(tmp_path, tables):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("wsidicom")
    from napari_gigaclf.testing.dicom_files import write_dicom

    path = write_dicom(tmp_path, IMAGE) / "level-0.dcm"
    data = pydicom.dcmread(path)
    assert data.PhotometricInterpretation == "RGB"
    data.Rows, data.Columns, data.NumberOfFrames = *IMAGE.shape[:2], 1
    data.PixelData = pydicom.encaps.encapsulate([encoded(**tables)])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    data.SeriesInstanceUID = pydicom.uid.generate_uid()
    alone = tmp_path / "jpeg.dcm"
    data.save_as(alone, enforce_file_format=True)
    with open_slide(alone) as slide:
        shown = slide.read(0, 0, 128, 0, 128).astype(int)
    truth = np.asarray(Image.open(io.BytesIO(encoded(**tables))).convert("RGB")).astype(int)
    assert np.abs(shown - truth).max() <= 1
