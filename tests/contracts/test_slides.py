"""Every format keeps the slide contract: real files beside the checkout, and files written here like scanners'."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_gigaclf.slides import Slide, open_slide
from napari_gigaclf.slides.pyramid import ensure_coarse_levels
from napari_gigaclf.testing.dicom_files import write_dicom
from napari_gigaclf.testing.slide_contract import SlideContract
from napari_gigaclf.testing.slide_files import (
    halved,
    picture,
    write_ome_tiff,
    write_ome_zarr,
    write_philips,
    write_qptiff,
    write_scn,
    write_sparse_tiff,
    write_svs,
)

SIZE = (517, 389)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Return one made-up picture for the files of this module."""
    return picture(*SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the files of this module, so that each is written once."""
    return tmp_path_factory.mktemp("slides")


def once(path: Path, write, *args, **kwargs) -> Path:
    """Write a file unless an earlier test did."""
    return path if path.exists() else write(path, *args, **kwargs)


def opened(path: Path, **kwargs) -> Iterator[Slide]:
    """Open a slide for one test."""
    with open_slide(path, **kwargs) as slide:
        yield slide


class TestRealAperio(SlideContract):
    @pytest.fixture
    def slide(self, shared_data):
        yield from opened(shared_data / "slides" / "CMU-1-Small-Region.svs")


class TestRealAperioJpeg2000(SlideContract):
    @pytest.fixture
    def slide(self, shared_data):
        yield from opened(shared_data / "slides" / "tcga-jpeg2000.svs")


class TestRealHamamatsuFluorescence(SlideContract):
    @pytest.fixture
    def slide(self, shared_data):
        yield from opened(shared_data / "slides" / "hamamatsu-dapi.ndpi")


class TestRealPyramidalTiff(SlideContract):
    @pytest.fixture
    def slide(self, shared_data):
        yield from opened(shared_data / "slides" / "metaplasia-HE-13198x11685.tif")


class TestRealDicomFolder(SlideContract):
    max_level_difference = 30.0
    """Its converter dropped pixels instead of averaging them, which shows in fine tissue."""

    @pytest.fixture
    def slide(self, shared_data):
        pytest.importorskip("wsidicom")
        yield from opened(shared_data / "slides" / "dicom-cmu-1-small-region")


class TestRealDicomFile(SlideContract):
    @pytest.fixture
    def slide(self, shared_data):
        pytest.importorskip("wsidicom")
        yield from opened(shared_data / "slides" / "camelyon-jpeg2000.dcm")


class TestRealThroughOpenSlide(SlideContract):
    """A file that OpenSlide reads, under a suffix that leads there."""

    @pytest.fixture
    def slide(self, shared_data, tmp_path):
        pytest.importorskip("openslide")
        copy = tmp_path / "slide.svslide"
        shutil.copyfile(shared_data / "slides" / "tcga-jpeg2000.svs", copy)
        yield from opened(copy)


class TestAperio(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "aperio.svs", write_svs, image))


class TestLeica(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "leica.scn", write_scn, image))


class TestPhilips(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "philips.tiff", write_philips, image))


class TestPerkinElmerBrightfield(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "brightfield.qptiff", write_qptiff, image))


class TestPerkinElmerBands(SlideContract):
    @pytest.fixture
    def slide(self, folder):
        bands = np.random.default_rng(1).integers(0, 4000, (*SIZE, 5)).astype(np.uint16)
        yield from opened(once(folder / "bands.qptiff", write_qptiff, bands, bands=5))


class TestOmeTiff(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "slide.ome.tif", write_ome_tiff, image))


class TestSparseTiff(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "sparse.tif", write_sparse_tiff, image))


class TestPlainStripTiff(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        path = folder / "strips.tif"
        if not path.exists():
            tifffile.imwrite(path, image, rowsperstrip=7, compression="lzw", photometric="rgb")
        yield from opened(path)


class TestSixteenBitTiff(SlideContract):
    @pytest.fixture
    def slide(self, folder):
        path = folder / "grey16.tif"
        if not path.exists():
            grey = np.random.default_rng(2).integers(0, 65535, SIZE).astype(">u2")
            tifffile.imwrite(path, grey, byteorder=">", tile=(64, 48), compression="zlib")
        yield from opened(path)


class TestOmeZarr04(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "v04.ome.zarr", write_ome_zarr, image, "0.4"))


class TestOmeZarr05(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        yield from opened(once(folder / "v05.ome.zarr", write_ome_zarr, image, "0.5"))


class TestZippedOmeZarr(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        path = folder / "zipped.ome.zarr.zip"
        if not path.exists():
            store = write_ome_zarr(folder / "to-zip.ome.zarr", image, "0.5")
            shutil.make_archive(str(path.with_suffix("")), "zip", folder, store.name)
        yield from opened(path)


class TestDicom(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        pytest.importorskip("wsidicom")
        yield from opened(once(folder / "dicom", write_dicom, image))


class TestPng(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        path = folder / "picture.png"
        if not path.exists():
            Image.fromarray(image).save(path)
        yield from opened(path)


class TestJpeg(SlideContract):
    @pytest.fixture
    def slide(self, folder, image):
        path = folder / "picture.jpg"
        if not path.exists():
            Image.fromarray(image).save(path, quality=90)
        yield from opened(path)


class TestArray(SlideContract):
    @pytest.fixture
    def slide(self, image):
        with open_slide(image, um_per_px=(0.5, 0.25)) as slide:
            yield slide


class TestArrays(SlideContract):
    @pytest.fixture
    def slide(self, image):
        with open_slide([image, halved(image), halved(image, 2)]) as slide:
            yield slide


class TestFloatArray(SlideContract):
    @pytest.fixture
    def slide(self):
        with open_slide(np.random.default_rng(3).normal(size=(70, 90)).astype(np.float32)) as slide:
            yield slide


class TestComputedLevels(SlideContract):
    """A slide whose coarse levels came out of the cache."""

    @pytest.fixture
    def slide(self, folder):
        path = folder / "long.tif"
        if not path.exists():
            tifffile.imwrite(path, picture(300, 5001), tile=(64, 64), compression="zlib", photometric="rgb")
        with ensure_coarse_levels(open_slide(path), folder=folder / "cache") as slide:
            assert len(slide.levels) > 1
            yield slide
