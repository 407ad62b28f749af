"""OpenSlide as oracle: the same pixels, levels and micrometres per pixel where it reads the same file."""

import sys

import numpy as np
import pytest

from napari_gigaclf.errors import MissingDependencyError, SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.colour import ycbcr_to_rgb
from napari_gigaclf.testing.slide_files import picture, write_svs

openslide = pytest.importorskip("openslide")


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("CMU-1-Small-Region.svs", 0),
        ("tcga-jpeg2000.svs", 0),
        ("hamamatsu-dapi.ndpi", 0),
        ("metaplasia-HE-13198x11685.tif", 0),
        ("camelyon-jpeg2000.dcm", 1),
    ],
)
def test_same_pixels_and_levels(shared_data, name, tolerance):
    path = shared_data / "slides" / name
    oracle = openslide.OpenSlide(path)
    with open_slide(path) as slide:
        # OpenSlide adds levels of its own to NDPI, which it scales down from stored ones.
        assert [(level.width, level.height) for level in slide.levels] == list(oracle.level_dimensions)[
            : len(slide.levels)
        ]
        said = oracle.properties.get("openslide.mpp-x")
        if slide.um_per_px is not None and said is not None:
            assert slide.um_per_px[1] == pytest.approx(float(said), rel=1e-3)
        for level in range(min(2, len(slide.levels))):
            step = slide.levels[level].step
            # OpenSlide places a coarse region by level-0 pixels: corners which are the same in both.
            y, x = 256 if slide.levels[level].height > 700 else 0, 512
            ours = slide.read(level, y, y + 300, x, x + 300).astype(int)
            place = (round(x * step[1]), round(y * step[0]))
            if level and oracle.level_downsamples[level] != slide.levels[level].downsample:
                continue
            theirs = np.asarray(oracle.read_region(place, level, (300, 300)))[..., :3].astype(int)
            assert np.abs(ours - theirs).max() <= tolerance
    oracle.close()


def test_dicom_that_says_rgb_and_holds_ycbcr_looks_like_the_slide_it_was_made_from(shared_data):
    """OpenSlide takes the header's word, so its pixels are YCbCr; the colours are those of the Aperio file."""
    slides = shared_data / "slides"
    path = slides / "dicom-cmu-1-small-region" / "level-0-frames-0-30.dcm"
    with open_slide(path) as slide, open_slide(slides / "CMU-1-Small-Region.svs") as origin:
        ours = slide.read(0, 900, 1200, 900, 1200)
        # It was compressed again, with chroma at half resolution, so only mean colours of the same places agree.
        means = [
            block.reshape(10, 30, 10, 30, 3).mean(axis=(1, 3)) for block in (ours, origin.read(0, 900, 1200, 900, 1200))
        ]
        assert np.abs(means[0] - means[1]).max() < 4
        theirs = np.asarray(openslide.OpenSlide(path).read_region((900, 900), 0, (300, 300)))[..., :3]
        assert np.array_equal(ours, ycbcr_to_rgb(theirs))


def test_imitated_aperio_file_is_one_to_openslide(tmp_path):
    """The files our tests write are close enough to the maker's for OpenSlide to take them."""
    path = write_svs(tmp_path / "a.svs", picture(517, 389))
    oracle = openslide.OpenSlide(path)
    assert oracle.properties["openslide.vendor"] == "aperio"
    with open_slide(path) as slide:
        assert list(oracle.level_dimensions) == [(level.width, level.height) for level in slide.levels]
        assert set(oracle.associated_images) == set(slide.associated)
        theirs = np.asarray(oracle.read_region((10, 20), 0, (200, 300)))[..., :3]
        assert np.array_equal(slide.read(0, 20, 320, 10, 210), theirs)
    oracle.close()


def test_a_missing_library_names_the_command(tmp_path, monkeypatch):
    path = tmp_path / "slide.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "napari-gigaclf\[openslide\]"'):
        open_slide(path)
    dicom = tmp_path / "slide.dcm"
    dicom.write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setitem(sys.modules, "wsidicom", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "napari-gigaclf\[dicom\]"'):
        open_slide(dicom)


def test_formats_that_are_none(tmp_path):
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.mrxs").write_text("nothing")
    (tmp_path / "text.txt").write_text("nothing")
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("empty.svs", "empty"),
        ("text.mrxs", "no slide format known here: known are SVS, .*; convert others to OME-TIFF, such as with QuPath"),
        ("text.txt", "no slide format known here: known are SVS, .*; convert others to OME-TIFF, such as with QuPath"),
        ("folder", "neither OME-Zarr nor DICOM"),
        ("absent.svs", "there is no such file"),
    ):
        with pytest.raises(SlideError, match=reason) as caught:
            open_slide(tmp_path / name)
        assert name in str(caught.value)
