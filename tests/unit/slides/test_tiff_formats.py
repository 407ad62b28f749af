"""TIFF slides of each maker: format, levels, pixel size and its source, extras, scenes, planes, privacy."""

import gc
import json

import numpy as np
import psutil
import pytest
import tifffile

from napari_gigaclf.errors import SlideError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.testing.slide_files import (
    SECRET,
    halved,
    picture,
    write_ome_tiff,
    write_philips,
    write_qptiff,
    write_scn,
    write_sparse_tiff,
    write_svs,
)

IMAGE = picture(517, 389)


def facts(slide):
    return slide.format, [level.shape[:2] for level in slide.levels], slide.um_per_px, slide.um_per_px_source


def test_aperio(tmp_path):
    with open_slide(write_svs(tmp_path / "a.svs", IMAGE)) as slide:
        assert facts(slide) == (
            "Aperio SVS", [(517, 389), (129, 97), (32, 24)], (0.2527, 0.2527), "Aperio header (MPP)",
        )  # fmt: skip
        assert [level.step for level in slide.levels] == [(1, 1), (4, 4), (16, 16)]
        assert slide.levels[1].um_per_px == pytest.approx((1.0108, 1.0108))
        assert slide.kind == "brightfield"
        assert slide.associated == ("thumbnail", "label", "macro")
        assert slide.read_associated("label").shape == (90, 80, 3)
        assert slide.read_associated("macro").shape == (80, 200, 3)
        assert slide.properties["objective magnification"] == "40"
        assert np.array_equal(slide.levels[0][...], IMAGE)
        assert np.array_equal(slide.levels[1][...], halved(IMAGE, 2))


@pytest.mark.parametrize("mpp", [None, "0", "-0.25", "nan", "1e9", "abc", "0,0,1"])
def test_aperio_without_a_believable_scale_is_unknown(tmp_path, mpp):
    with open_slide(write_svs(tmp_path / "a.svs", IMAGE, mpp=mpp)) as slide:
        assert (slide.um_per_px, slide.um_per_px_source) == (None, "unknown")
        assert all(level.um_per_px is None for level in slide.levels)


def test_the_users_scale_wins_for_all_levels(tmp_path):
    path = write_svs(tmp_path / "a.svs", IMAGE)
    with open_slide(path, um_per_px=(0.5, 0.25)) as slide:
        assert (slide.um_per_px, slide.um_per_px_source) == ((0.5, 0.25), "given by the user")
        assert slide.levels[2].um_per_px == (8.0, 4.0)
    with open_slide(path, um_per_px=1) as slide:
        assert slide.um_per_px == (1.0, 1.0)
    for nonsense in (0, -1, float("nan"), float("inf"), 1e6, (1, 2, 3)):
        with pytest.raises(SlideError, match="micrometres per pixel"):
            open_slide(path, um_per_px=nonsense)


def test_leica(tmp_path):
    with open_slide(write_scn(tmp_path / "a.scn", IMAGE)) as slide:
        assert facts(slide) == (
            "Leica SCN", [(517, 389), (129, 97), (32, 24)], (0.5, 0.5), "Leica header (view size)",
        )  # fmt: skip
        assert slide.associated == ("macro",)
        assert slide.scenes == ("0",)
        assert slide.kind == "brightfield"
        assert slide.properties["objective magnification"] == "20"
        assert np.array_equal(slide.levels[0][...], IMAGE)


def test_philips_takes_padding_back_and_fills_missing_tiles(tmp_path):
    with open_slide(write_philips(tmp_path / "a.tiff", IMAGE)) as slide:
        assert facts(slide) == (
            "Philips TIFF", [(512, 384), (256, 192), (128, 96)], (0.25, 0.25), "Philips header (DICOM_PIXEL_SPACING)",
        )  # fmt: skip
        assert slide.associated == ("macro", "label")
        assert np.array_equal(slide.levels[0][:, :256], IMAGE[:512, :256])
        assert (slide.levels[0][:, 256:] == 255).all()
        assert slide.kind == "brightfield"


def test_perkin_elmer_bands_are_fluorescence(tmp_path):
    bands = np.random.default_rng(0).integers(0, 4000, (300, 200, 4)).astype(np.uint16)
    with open_slide(write_qptiff(tmp_path / "a.qptiff", bands, bands=4)) as slide:
        assert facts(slide) == (
            "PerkinElmer QPTIFF", [(300, 200), (150, 100), (75, 50)], (0.5, 0.5),
            "PerkinElmer header (resolution tag)",
        )  # fmt: skip
        assert (slide.kind, slide.dtype, slide.num_channels) == ("fluorescence", np.uint16, 4)
        assert slide.background == (0, 0, 0, 0)
        assert np.array_equal(slide.read(0, 20, 90, 33, 140), bands[20:90, 33:140])
        assert slide.levels[0].chunks == (64, 64, 4)


def test_perkin_elmer_rgb_is_brightfield(tmp_path):
    with open_slide(write_qptiff(tmp_path / "a.qptiff", IMAGE)) as slide:
        assert slide.kind == "brightfield"
        assert len(slide.levels) == 3
        assert set(slide.associated) == {"thumbnail", "macro"}


def test_ome_tiff_with_units_per_axis(tmp_path):
    with open_slide(write_ome_tiff(tmp_path / "a.ome.tif", IMAGE)) as slide:
        assert facts(slide) == (
            "OME-TIFF", [(517, 389), (258, 194), (129, 97)], (0.4, 0.5), "OME-XML PhysicalSizeX",
        )  # fmt: skip
        assert slide.levels[2].um_per_px == (1.6, 2.0)
        assert np.array_equal(slide.levels[2][...], halved(IMAGE, 2))


def test_ome_tiff_scenes_planes_and_channels(tmp_path):
    path = tmp_path / "many.ome.tif"
    rng = np.random.default_rng(0)
    first = rng.integers(0, 60000, (3, 2, 70, 90)).astype(np.uint16)
    second = rng.integers(0, 255, (50, 40)).astype(np.uint8)
    channels = {"Channel": {"Name": ["a", "b"], "EmissionWavelength": [450, 520]}}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(first, photometric="minisblack", metadata={"axes": "ZCYX", "Name": SECRET, **channels})
        writer.write(second, photometric="minisblack", metadata={"axes": "YX", "Name": "label"})
        writer.write(second, photometric="minisblack", metadata={"axes": "YX", "Name": "B"})
    with open_slide(path) as slide:
        assert (slide.scenes, slide.num_z, slide.num_channels) == (("0", "1"), 3, 2)
        assert (slide.scene, slide.z) == (0, 1)
        assert slide.kind == "fluorescence"
        assert np.array_equal(slide.levels[0][...], np.moveaxis(first[1], 0, -1))
        middle = slide.id
    with open_slide(path, z=2) as slide:
        assert np.array_equal(slide.levels[0][...], np.moveaxis(first[2], 0, -1))
        assert slide.id != middle
        assert slide.z == 2
    with open_slide(path, scene=1) as slide:
        assert (slide.scene, slide.num_z, slide.z) == (1, 1, 0)
        assert np.array_equal(slide.levels[0][...], second)
        assert slide.read(0, 0, 5, 0, 6).shape == (5, 6, 1)
    for wrong in ({"scene": 2}, {"scene": "C"}, {"z": 3}, {"z": -1}):
        with pytest.raises(SlideError, match="there is no"):
            open_slide(path, **wrong)


def test_label_and_macro_of_a_generic_tiff_are_no_levels(tmp_path):
    """Same aspect as the slide, but said to be a label; another aspect; and levels in steps of 4 and 3."""
    path = tmp_path / "generic.tif"
    image = picture(480, 360)
    fourth, twelfth = halved(image, 2), halved(image, 2)[::3, ::3]
    with tifffile.TiffWriter(path) as writer:
        writer.write(picture(64, 60, seed=2), photometric="rgb", metadata=None, description="thumbnail")
        writer.write(image, photometric="rgb", tile=(64, 64), metadata=None)
        writer.write(fourth, photometric="rgb", tile=(64, 64), metadata=None, subfiletype=1)
        writer.write(twelfth, photometric="rgb", tile=(32, 32), metadata=None, subfiletype=1)
        writer.write(picture(80, 60, seed=3), photometric="rgb", metadata=None, description="label")
        writer.write(picture(50, 60, seed=4), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert [level.shape[:2] for level in slide.levels] == [(480, 360), (120, 90), (40, 30)]
        assert sorted(slide.associated) == ["image", "label", "thumbnail"]
        assert np.array_equal(slide.levels[2][...], twelfth)


def test_odd_sizes_have_whole_steps(tmp_path):
    """A level rounded up is still exactly twice as coarse; a level at 1/2.5 keeps its ratio."""
    path = tmp_path / "odd.tif"
    with tifffile.TiffWriter(path) as writer:
        for size in ((501, 333), (251, 167), (126, 84)):
            writer.write(picture(*size), photometric="rgb", tile=(64, 64), metadata=None)
    with open_slide(path, um_per_px=0.5) as slide:
        assert [level.step for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]
    with tifffile.TiffWriter(path) as writer:
        for size in ((500, 300), (200, 120)):
            writer.write(picture(*size), photometric="rgb", tile=(64, 64), metadata=None)
    with open_slide(path, um_per_px=0.5) as slide:
        assert [level.step for level in slide.levels] == [(1, 1), (2.5, 2.5)]
        assert slide.levels[1].um_per_px == (1.25, 1.25)


def test_sparse_tiles_are_background(tmp_path):
    with open_slide(write_sparse_tiff(tmp_path / "s.tif", IMAGE)) as slide:
        pixels = slide.levels[0][...]
        rows, columns = np.indices(IMAGE.shape[:2]) // 64
        stored = (rows + columns) % 2 == 0
        assert np.array_equal(pixels[stored], IMAGE[stored])
        assert (pixels[~stored] == 255).all()


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((40_000, 20_000), 3, (0.5, 0.25)),
        ((101_600, 101_600), 2, (0.25, 0.25)),
        ((72, 72), 2, None),
        ((96, 96), 2, None),
        ((37.795, 37.795), 3, None),  # 96 dpi said in centimetres
        ((300, 300), 2, None),
        ((1, 1), 1, None),
        ((1, 1), 2, None),
        ((40_000, 40_000), 1, None),
    ],
)
def test_resolution_tags_are_believed_where_a_microscope_can_have_them(tmp_path, resolution, unit, expected):
    path = tmp_path / "r.tif"
    tifffile.imwrite(path, IMAGE, photometric="rgb", resolution=resolution, resolutionunit=unit, metadata=None)
    with open_slide(path) as slide:
        assert slide.um_per_px == (pytest.approx(expected) if expected else None)
        assert slide.um_per_px_source == ("TIFF resolution tag" if expected else "unknown")


def test_imagej_unit(tmp_path):
    path = tmp_path / "ij.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(4.0, 2.0), metadata={"unit": "um"})
    with open_slide(path) as slide:
        assert slide.um_per_px == (0.5, 0.25)
        assert slide.um_per_px_source == "ImageJ description (unit)"


def test_nothing_about_the_patient_comes_out(tmp_path):
    """Descriptions hold names and dates; no property, name or text of a slide repeats them."""
    writers = {"a.svs": write_svs, "a.scn": write_scn, "a.tiff": write_philips, "a.qptiff": write_qptiff}
    for name, write in (writers | {"a.ome.tif": write_ome_tiff}).items():
        path = write(tmp_path / name, IMAGE)
        assert SECRET.encode() in path.read_bytes()
        with open_slide(path) as slide:
            said = [slide.properties, slide.associated, slide.scenes, slide.format, slide.um_per_px_source, repr(slide)]
            text = json.dumps(said)
            assert not any(part in text for part in ("DOE", "JANE", "1961", "12/29/09", "2013"))


def test_id_survives_renaming_and_tells_files_apart(tmp_path):
    first = write_svs(tmp_path / "first.svs", IMAGE)
    other = write_svs(tmp_path / "other.svs", picture(517, 389, seed=9))
    with open_slide(first) as a, open_slide(other) as b:
        before = a.id
        assert before != b.id
    moved = tmp_path / "elsewhere" / "renamed.tif"
    moved.parent.mkdir()
    first.rename(moved)
    with open_slide(moved) as slide:
        assert slide.id == before


def test_a_slide_that_is_let_go_closes_its_file(tmp_path, recwarn):
    """As a viewer lets go of it, whose layers know no ``close``; a level that is still held can still be read."""
    path = write_ome_tiff(tmp_path / "f.ome.tif", np.zeros((64, 64, 3), np.uint8))
    level = open_slide(path).levels[0]
    gc.collect()
    assert level[0, 0].tolist() == [0, 0, 0]
    del level
    gc.collect()
    assert str(path) not in [each.path for each in psutil.Process().open_files()]
    assert [str(each.message) for each in recwarn] == []


def test_real_files(shared_data):
    folder = shared_data / "slides"
    with open_slide(folder / "CMU-1-Small-Region.svs") as slide:
        assert facts(slide) == ("Aperio SVS", [(2967, 2220)], (0.499, 0.499), "Aperio header (MPP)")
        assert slide.associated == ("thumbnail", "label", "macro")
    with open_slide(folder / "tcga-jpeg2000.svs") as slide:
        assert facts(slide) == ("Aperio SVS", [(3567, 4443), (1783, 2221)], None, "unknown")
    with open_slide(folder / "hamamatsu-dapi.ndpi") as slide:
        assert slide.kind == "fluorescence"
        assert slide.background == (0, 0, 0)
        assert slide.um_per_px == pytest.approx((0.22818, 0.22818), abs=1e-5)
        assert slide.levels[0].chunks == (8, 3968, 3)
    with open_slide(folder / "metaplasia-HE-13198x11685.tif") as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8, 16, 32]
        assert slide.um_per_px == pytest.approx((0.2528, 0.2528))
        assert slide.kind == "brightfield"


def test_pixels_alone_tell_the_real_fluorescence(shared_data):
    """Without Hamamatsu's tag, the dark background tells; the bright slides stay brightfield."""
    for name, kind in (
        ("hamamatsu-dapi.ndpi", "fluorescence"),
        ("tcga-jpeg2000.svs", "brightfield"),
        ("CMU-1-Small-Region.svs", "brightfield"),
    ):
        with open_slide(shared_data / "slides" / name) as slide:
            level = slide.levels[-1]
            assert open_slide(level[: min(level.height, 1200)]).kind == kind
