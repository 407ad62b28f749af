"""A phantom written to a file: levels that are means of level 0, scale, nothing half written."""

import numpy as np
import pytest

from napari_gigaclf.errors import OutputError
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.slides.phantom.export import halved


@pytest.fixture(scope="module")
def slide() -> PhantomSlide:
    return PhantomSlide(9, (1100, 2077), 1.0)


@pytest.fixture(scope="module")
def saved(slide, tmp_path_factory):
    reports = []
    path = slide.save(tmp_path_factory.mktemp("saved") / "phantom.ome.tif", quality=95, progress=reports.append)
    assert [report.done for report in reports] == [512, 1024, 1100]
    return path


def test_the_file_opens_with_its_levels_and_its_scale(saved):
    with open_slide(saved) as file:
        assert [level.shape for level in file.levels] == [(1100, 2077, 3), (550, 1039, 3), (275, 520, 3)]
        assert file.um_per_px == (1.0, 1.0)
        assert file.levels[0].chunks[:2] == (256, 256)
        assert file.is_brightfield


def test_its_pixels_are_the_phantoms(slide, saved):
    expected = slide.read(0, 0, 1100, 0, 2077)
    with open_slide(saved) as file:
        for level in range(3):
            height, width = file.levels[level].shape[:2]
            pixels = file.read(level, 0, height, 0, width).astype(float)
            assert np.abs(pixels - expected).mean() < 3.0  # JPEG with half the colour resolution
            expected = halved(expected)


def test_halving_is_the_mean_of_four():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    means = pixels.reshape(3, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.array_equal(halved(pixels), np.floor(means + 0.5).astype(np.uint8))
    assert np.array_equal(halved(pixels[:5, :7])[2, 3], pixels[4, 6])


def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing(slide, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        PhantomSlide(1, (40, 40), 1.0).save(tmp_path / "file" / "phantom.ome.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
