"""The phantom: one answer per place, whichever region is read; a truth that fits its pixels."""

import time

import numpy as np
import pytest
import shapely

from napari_gigaclf.errors import RegionError, SlideError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.slides import Slide
from napari_gigaclf.slides.phantom import PHANTOM_VERSION, PhantomSlide
from napari_gigaclf.slides.phantom.noise import Noise, enlarge, hash_cells, salted, uniform


@pytest.fixture(scope="module")
def slide() -> PhantomSlide:
    return PhantomSlide(5, (1500, 1600), 0.5)


@pytest.fixture(scope="module")
def wholes(slide):
    return [slide.read(k, 0, level.height, 0, level.width) for k, level in enumerate(slide.levels)]


SHARES = [(0.0, 0.02, 0.7, 0.77), (0.2, 0.31, 0.25, 0.26), (0.35, 0.351, 0.3, 0.55), (0.51, 0.514, 0.0, 1.0)]


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("share", SHARES)
def test_a_region_alone_equals_the_same_region_of_a_larger_one(slide, wholes, level, share):
    whole = wholes[level]
    height, width = whole.shape[:2]
    y0, y1 = int(share[0] * height), int(share[1] * height) + 1
    x0, x1 = int(share[2] * width), min(int(share[3] * width) + 1, width)
    assert np.array_equal(slide.read(level, y0, y1, x0, x1), whole[y0:y1, x0:x1])


@pytest.mark.parametrize("level", [3, 4, 6])
def test_a_region_alone_equals_the_same_region_of_a_larger_one_on_coarse_levels(level):
    slide = PhantomSlide(2, (60_000, 60_000), 0.5)
    y, x = (side // 3 for side in slide.levels[level].shape[:2])
    whole = slide.read(level, y, y + 160, x, x + 150)
    assert np.array_equal(slide.read(level, y + 31, y + 77, x + 40, x + 41), whole[31:77, 40:41])
    assert whole.std() > 5


def test_blocks_of_a_large_read_meet_without_a_seam():
    slide = PhantomSlide(8, (2300, 2300), 1.0)
    across = slide.read(0, 1000, 1100, 900, 1200)
    assert np.array_equal(slide.read(0, 1050, 1060, 0, 2300)[:, 900:1200], across[50:60])


def test_indexing_a_level_gives_what_reading_gives(slide, wholes):
    level = slide.levels[0]
    assert np.array_equal(level[700:720, 800:830], wholes[0][700:720, 800:830])
    assert np.array_equal(np.asarray(slide.levels[-1]), wholes[-1])


def test_same_seed_same_slide_and_other_seed_another(slide):
    again = PhantomSlide(5, (1500, 1600), 0.5)
    other = PhantomSlide(6, (1500, 1600), 0.5)
    box = (700, 800, 700, 800)
    assert np.array_equal(again.read(0, *box), slide.read(0, *box))
    assert not np.array_equal(other.read(0, *box), slide.read(0, *box))
    assert again.id == slide.id != other.id
    assert PhantomSlide(5, (1500, 1600), 0.25).id != slide.id


# Means of blocks of 100 x 100 pixels, green. They fail when the appearance changes: then PHANTOM_VERSION goes up, and
# the phantom's model and the sample slide are made anew.
APPEARANCE = {
    (3, 0.5): [144.01, 131.23, 147.85, 146.0, 148.31, 138.74, 141.62, 148.26, 141.65, 142.69, 130.32, 131.9],
    (11, 1.0): [141.88, 172.26, 181.99, 127.54, 137.62, 187.37, 146.66, 111.52, 131.27, 208.47, 164.04, 122.09],
}


@pytest.mark.parametrize(("seed", "um"), APPEARANCE)
def test_appearance_is_that_of_its_version(seed, um):
    pixels = PhantomSlide(seed, (2000, 2000), um).read(0, 850, 1150, 800, 1200)
    means = pixels[..., 1].reshape(3, 100, 4, 100).mean(axis=(1, 3), dtype=float)
    assert PHANTOM_VERSION == 1
    assert np.allclose(means.ravel(), APPEARANCE[seed, um], atol=0.1)


def test_it_is_a_slide(slide):
    assert isinstance(slide, Slide)
    assert slide.kind == "brightfield"
    assert slide.is_brightfield
    assert slide.um_per_px == (0.5, 0.5)
    assert slide.levels[1].um_per_px == (1.0, 1.0)
    assert slide.levels[1].shape == (750, 800, 3)
    assert slide.levels[0].chunks == (512, 512, 3)
    assert slide.properties["phantom.seed"] == "5"
    assert slide.path is None


def test_odd_sizes_have_levels_that_reach_the_edge():
    slide = PhantomSlide(1, (2051, 1333), 0.5)
    assert [level.shape[:2] for level in slide.levels] == [(2051, 1333), (1026, 667), (513, 334)]
    assert slide.levels[2].step == (4.0, 4.0)
    assert slide.read(2, 510, 513, 330, 334).shape == (3, 4, 3)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (10, 3000), (900, 130)])
@pytest.mark.parametrize("um", [0.25, 4.0])
def test_any_size_can_be_read_and_has_a_truth(shape, um):
    slide = PhantomSlide(4, shape, um)
    assert slide.read(0, 0, shape[0], 0, shape[1]).shape == (*shape, 3)
    assert all(region.polygon.is_valid for region in slide.truth())


def test_outside_is_background(slide):
    pixels = slide.read(0, -5, 5, -7, 3)
    assert (pixels[:5] == slide.background).all()
    assert not (pixels[5:, 7:] == slide.background).all()


@pytest.mark.parametrize("box", [(0, 5, 5, 5, 9), (0, 5, 4, 0, 9), (9, 0, 5, 0, 9), (-1, 0, 5, 0, 9)])
def test_regions_that_make_no_sense_are_refused(slide, box):
    with pytest.raises(RegionError):
        slide.read(*box)


@pytest.mark.parametrize(("shape", "um"), [((0, 10), 0.5), ((10, 1 << 23), 0.5), ((10, 10), 0.0), ((10, 10), 99.0)])
def test_slides_that_make_no_sense_are_refused(shape, um):
    with pytest.raises(SlideError, match="a phantom has"):
        PhantomSlide(1, shape, um)


def test_a_closed_slide_is_not_read():
    slide = PhantomSlide(1, (100, 100), 0.5)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read(0, 0, 10, 0, 10)


def test_a_slide_of_ten_gigapixels_opens_and_shows_its_overview_at_once():
    start = time.process_time()
    slide = PhantomSlide(3, (100_000, 100_000), 0.5)
    overview = np.asarray(slide.levels[-1])
    detail = slide.read(0, 50_000, 50_256, 25_000, 25_256)
    assert time.process_time() - start < 20  # about 3 s; the limit leaves room for a busy machine
    assert max(overview.shape) <= 1024
    assert overview.std() > 10
    assert detail.shape == (256, 256, 3)
    assert {"macro", "micro", "cells"} == {region.kind for region in slide.truth()}


def test_coarse_levels_show_the_mean_of_finer_ones():
    slide = PhantomSlide(3, (16_000, 16_000), 0.5)
    fine = slide.read(0, 7000, 8024, 7000, 8024).astype(float)
    for level, bound in ((1, 2.5), (2, 5.0), (3, 9.0)):
        k, side = 2**level, 1024 // 2**level
        means = fine.reshape(side, k, side, k, 3).mean(axis=(1, 3))
        painted = slide.read(level, 7000 // k, 7000 // k + side, 7000 // k, 7000 // k + side)
        assert np.abs(painted - means).mean() < bound
        assert np.abs((painted - means).mean(axis=(0, 1))).max() < bound
    means = slide.read(3, 600, 1240, 600, 1240).reshape(320, 2, 320, 2, 3).astype(float).mean(axis=(0, 1, 2, 3))
    assert np.abs(slide.read(4, 300, 620, 300, 620).mean(axis=(0, 1)) - means).max() < 6


def test_tumours_lie_in_tissue_and_apart_from_one_another():
    slide = PhantomSlide(2015, (6144, 8192), 0.5)
    regions = slide.truth()
    assert {"macro", "micro", "cells"} == {region.kind for region in regions}
    for k, region in enumerate(regions):
        assert region.polygon.is_valid
        assert region.area_um2 == pytest.approx(region.polygon.area * 0.25)
        assert all(not region.polygon.intersects(other.polygon) for other in regions[k + 1 :])
        x, y = shapely.get_coordinates(region.polygon.exterior).astype(int).T
        for i in range(0, len(x), max(1, len(x) // 8)):
            assert slide.read(0, y[i] - 20, y[i] + 20, x[i] - 20, x[i] + 20).mean() < 225


def test_a_slide_without_tumour_has_none():
    slide = PhantomSlide(2015, (3000, 3000), 0.5, tumour=False)
    assert slide.truth() == []
    assert not slide.tumour_mask(Box(0, 3000, 0, 3000), 50).any()


def test_the_mask_is_the_rasterised_polygon():
    slide = PhantomSlide(11, (3000, 3000), 0.5)
    box = Box(300, 2700, 200, 2800)
    mask = slide.tumour_mask(box, 4)
    assert mask.shape == (600, 650)
    union = shapely.union_all(slide.tumour_polygons())
    rows, columns = np.mgrid[0:600:13, 0:650:13]
    expected = shapely.contains_xy(union, 200 + (columns + 0.5) * 4, 300 + (rows + 0.5) * 4)
    assert np.array_equal(mask[::13, ::13], expected)
    inside = shapely.intersection(union, shapely.box(200, 300, 2800, 2700)).area
    grid = PixelGrid(origin=(300.0, 200.0), step=(32.0, 32.0), shape=(75, 82))
    assert slide.tumour_fraction(grid).sum() * 32 * 32 == pytest.approx(inside, rel=0.01)


def test_only_nuclei_of_tumour_size_lie_in_a_tumour():
    """Dark pixels in a tumour survive an opening by 5 um; elsewhere few do."""
    from scipy.ndimage import binary_opening

    slide = PhantomSlide(11, (1500, 1500), 1.0)
    pixels = slide.read(0, 0, 1500, 0, 1500)
    dark = pixels[..., 0] < 140
    large = binary_opening(dark, np.hypot(*np.mgrid[-3:4, -3:4]) <= 3.2)
    tumour = slide.tumour_mask(Box(0, 1500, 0, 1500))
    assert large[tumour].sum() / dark[tumour].sum() > 4 * large[~tumour].sum() / dark[~tumour].sum()


def test_hashes_are_uniform_and_independent_of_the_neighbour():
    rows, columns = np.mgrid[-200:200, -200:200]
    draws = uniform(hash_cells(salted(1, 2), rows, columns), 0)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 16, (0, 1))[0]
    assert np.abs(counts / 10_000 - 1).max() < 0.05
    assert abs(np.corrcoef(draws[:, 1:].ravel(), draws[:, :-1].ravel())[0, 1]) < 0.01


def test_noise_on_axes_is_the_noise_at_points():
    noise = Noise(3)
    y, x = np.arange(-300, 300, 7.3), np.arange(50_000, 50_400, 9.1)
    rows, columns = np.meshgrid(y, x, indexing="ij")
    points = noise.at(4, (rows / 40).astype(np.float32), (columns / 40).astype(np.float32))
    assert np.allclose(noise.on_axes(4, 40.0, y, x), points, atol=2e-3)
    assert -1 <= points.min() < -0.3 < 0.3 < points.max() <= 1


def test_enlarging_reproduces_a_plane():
    nodes = np.add.outer(np.arange(5) * 3.0, np.arange(6) * 2.0).astype(np.float32)
    y, x = np.linspace(20.0, 59.0, 14), np.linspace(30.0, 79.0, 17)
    expected = np.add.outer((y / 10 - 2) * 3, (x / 10 - 3) * 2)
    assert np.allclose(enlarge(nodes, (2, 3), 10.0, y, x), expected, atol=1e-4)
