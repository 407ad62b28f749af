"""DICOM slides written here: resolutions, label, scale, illumination, single files, privacy, damage."""

import json

import numpy as np
import pytest

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import halved, picture

pytest.importorskip("wsidicom")

from napari_gigaclf.testing.dicom_files import write_dicom

IMAGE = picture(258, 194)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a DICOM slide."""
    return write_dicom(tmp_path_factory.mktemp("dicom") / "slide", IMAGE)


def test_folder_and_single_file(folder):
    with open_slide(folder) as slide, open_slide(folder / "level-1.dcm") as single:
        for opened in (slide, single):
            assert opened.format == "DICOM"
            assert [level.shape for level in opened.levels] == [(258, 194, 3), (129, 97, 3), (64, 48, 3)]
            assert [level.step for level in opened.levels] == [(1, 1), (2, 2), (4, 4)]
            assert (opened.um_per_px, opened.um_per_px_source) == (pytest.approx((0.5, 0.5)), "DICOM PixelSpacing")
            assert opened.kind == "brightfield"
            for times, level in enumerate(opened.levels):
                assert np.array_equal(level[...], halved(IMAGE, times))
        assert slide.id == single.id


def test_nothing_about_the_patient_comes_out(folder):
    with open_slide(folder) as slide:
        text = json.dumps([slide.properties, slide.associated, slide.scenes, slide.um_per_px_source, repr(slide)])
        assert not any(part in text for part in ("DOE", "JANE", "1961", "2026"))


def test_the_label_is_no_slide(folder):
    with pytest.raises(SlideError, match="label"):
        open_slide(folder / "label.dcm")


def test_illumination_says_fluorescence(tmp_path):
    with open_slide(write_dicom(tmp_path / "glow", IMAGE // 8, fluorescence=True)) as slide:
        assert slide.kind == "fluorescence"
        assert slide.background == (0, 0, 0)


def test_cut_files_are_one_error(folder, tmp_path):
    content = (folder / "level-0.dcm").read_bytes()
    for length in (140, 400, len(content) // 2):
        path = tmp_path / f"{length}.dcm"
        path.write_bytes(content[:length])
        with pytest.raises(SlideError, match=rf"{length}\.dcm"), open_slide(path) as slide:
            slide.read(0, 200, 258, 100, 194)


def test_a_file_of_terabytes_is_refused(folder, tmp_path):
    import pydicom

    data = pydicom.dcmread(folder / "level-0.dcm")
    data.TotalPixelMatrixRows = data.TotalPixelMatrixColumns = 2**31
    data.save_as(tmp_path / "huge.dcm")
    with pytest.raises(SlideError, match=r"huge\.dcm"):
        open_slide(tmp_path / "huge.dcm")
