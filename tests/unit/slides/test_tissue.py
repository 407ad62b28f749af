"""The tissue mask: found where it is, nowhere else, in one piece."""

import tracemalloc

import numpy as np
import pytest
import shapely

from napari_gigaclf.errors import RegionError, ScaleError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.slides.tissue import TissueMask, TissueSettings, find_tissue

GLASS, PINK = (242, 240, 243), (221, 160, 196)


def picture(height=500, width=600, noise=2.0):
    pixels = np.full((height, width, 3), GLASS, dtype=float)
    pixels += np.random.default_rng(0).normal(0, noise, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def found(pixels, um=8.0, **settings):
    return find_tissue(open_slide(pixels, um_per_px=um), TissueSettings(**settings))


def test_a_stained_disc_is_found_with_its_area():
    pixels = picture()
    y, x = np.mgrid[:500, :600]
    disc = np.hypot(y - 250, x - 300) < 150
    pixels[disc] = PINK
    tissue = found(pixels)
    assert (tissue.mask != disc).mean() < 0.005
    assert tissue.area_um2 == pytest.approx(np.pi * (150 * 8) ** 2, rel=0.02)
    assert tissue.unit == "um"


@pytest.mark.parametrize("noise", [0.0, 2.0, 5.0])
def test_glass_alone_is_no_tissue(noise):
    tissue = found(picture(noise=noise))
    assert not tissue.mask.any()
    assert tissue.outlines() == []
    assert tissue.area_um2 == 0


def test_pure_white_is_no_tissue():
    assert not found(np.full((300, 300, 3), 255, np.uint8)).mask.any()


def test_a_crop_of_nothing_but_tissue_is_not_cut_in_half():
    rng = np.random.default_rng(1)
    pixels = np.empty((400, 400, 3))
    pixels[:, :200], pixels[:, 200:] = PINK, (120, 80, 150)
    assert found(np.clip(pixels + rng.normal(0, 9, pixels.shape), 0, 255).astype(np.uint8)).mask.all()


def test_pale_tissue_beside_dark_tissue_is_kept():
    pixels = picture()
    pixels[100:400, 50:300] = (70, 40, 100)
    pixels[100:400, 300:550] = (228, 200, 216)
    tissue = found(pixels)
    assert tissue.mask[110:390, 60:540].all()
    assert not tissue.mask[:80].any()


@pytest.mark.parametrize(
    "colour", [(0, 0, 0), (12, 9, 14), (60, 60, 62), (150, 150, 149), (30, 60, 200), (20, 140, 60)]
)
def test_black_borders_grey_dust_and_blue_or_green_ink_are_no_tissue(colour):
    pixels = picture()
    pixels[150:350, 200:400] = PINK
    pixels[:, :60] = colour
    pixels[-40:] = colour
    tissue = found(pixels)
    assert tissue.mask[160:340, 210:390].all()
    assert not tissue.mask[:, :58].any()
    assert not tissue.mask[-38:].any()


def test_glass_of_a_warm_lamp_is_no_tissue():
    pixels = np.clip(picture().astype(int) + np.array([4, -4, -16]), 0, 255).astype(np.uint8)
    pixels[200:300, 200:300] = (205, 150, 170)
    tissue = found(pixels)
    assert tissue.mask.mean() == pytest.approx(100 * 100 / (500 * 600), rel=0.1)


def test_small_holes_are_filled_and_small_pieces_dropped_by_their_size_in_um():
    pixels = picture()
    pixels[100:400, 100:400] = PINK
    pixels[150:170, 150:170] = GLASS  # 160 um x 160 um
    pixels[250:300, 250:300] = GLASS  # 400 um x 400 um
    pixels[50:60, 500:510] = PINK  # 80 um x 80 um
    tissue = found(pixels)
    assert tissue.mask[160, 160]
    assert not tissue.mask[275, 275]
    assert not tissue.mask[55, 505]
    assert len(tissue.outlines()) == 1
    assert len(tissue.outlines()[0].interiors) == 1
    everything = found(pixels, min_area_um2=0.0, max_hole_um2=0.0, close_um=0.0)
    assert not everything.mask[160, 160]
    assert everything.mask[55, 505]


def test_the_same_slide_at_another_scale_gives_the_same_outline():
    coarse = picture(250, 300)
    coarse[60:180, 80:220] = PINK
    fine = coarse.repeat(8, axis=0).repeat(8, axis=1)
    tissue = found(fine, um=1.0)
    assert tissue.grid.step == (8.0, 8.0)
    assert tissue.mask.shape == (250, 300)
    assert (tissue.mask != found(coarse).mask).mean() < 0.001


def test_sizes_that_are_no_multiple_keep_their_far_edge():
    pixels = picture(805, 1003)
    pixels[400:, 500:] = PINK
    tissue = found(pixels, um=1.0)
    assert tissue.mask.shape == (101, 126)
    assert tissue.mask[-1, -1]


def test_without_um_the_settings_count_in_pixels():
    pixels = picture(500, 600)
    pixels[100:400, 100:400] = PINK
    tissue = find_tissue(open_slide(pixels))
    assert (tissue.unit, tissue.area_um2) == ("px", None)
    assert tissue.area_px == pytest.approx(300 * 300, rel=0.02)
    large = find_tissue(open_slide(np.broadcast_to(np.array(GLASS, np.uint8), (50, 5000, 3))))
    assert large.mask.shape == (17, 1667)


def test_other_images_are_refused():
    with pytest.raises(ScaleError, match="8-bit RGB"):
        find_tissue(open_slide(np.zeros((50, 50), np.uint16)))


@pytest.mark.parametrize(
    "setting", [{"resolution_um": 0.0}, {"close_um": -1.0}, {"min_area_um2": float("nan")}, {"least_strength": 0.5}]
)
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ScaleError):
        TissueSettings(**setting)


def test_tissue_of_a_phantom_is_where_it_grows():
    slide = PhantomSlide(2015, (6144, 8192), 0.5)
    tissue = find_tissue(slide)
    assert len(tissue.outlines()) == 1
    for polygon in slide.tumour_polygons():
        assert shapely.union_all(tissue.outlines()).buffer(1).contains(polygon)
    assert 0.3 < tissue.mask.mean() < 0.6


# --- the mask itself -------------------------------------------------------------------------------------------------


@pytest.fixture
def ring() -> TissueMask:
    mask = np.zeros((6, 7), bool)
    mask[1:5, 1:6] = True
    mask[2:4, 2:4] = False
    mask[5, 6] = True  # touches the ring at a corner only
    return TissueMask.from_array(
        mask, PixelGrid(origin=(100.0, 200.0), step=(10.0, 20.0), shape=(6, 7)), um_per_px=(0.5, 0.25)
    )


def test_outlines_are_the_edges_of_the_pixels(ring):
    outlines = ring.outlines()
    assert len(outlines) == 2
    large = max(outlines, key=lambda polygon: polygon.area)
    assert large.equals(
        shapely.Polygon(shapely.box(220, 110, 320, 150).exterior, [shapely.box(240, 120, 280, 140).exterior.coords])
    )
    assert len(large.exterior.coords) == 5
    assert sum(polygon.area for polygon in outlines) == ring.area_px == 17 * 200
    assert ring.area_um2 == 17 * 200 * 0.125


def test_fraction_of_a_box_is_exact(ring):
    outline = shapely.union_all(ring.outlines())
    rng = np.random.default_rng(0)
    for _ in range(50):
        y0, x0 = rng.uniform(60, 160), rng.uniform(150, 340)
        y1, x1 = y0 + rng.uniform(0.1, 60), x0 + rng.uniform(0.1, 90)
        box = shapely.box(x0, y0, x1, y1)
        assert ring.fraction_in((y0, y1, x0, x1)) == pytest.approx(box.intersection(outline).area / box.area, abs=1e-9)
    assert ring.fraction_in(Box(110, 120, 220, 240)) == 1.0
    assert ring.covers((149.0, 151.0, 219.0, 221.0))
    assert not ring.covers((120.0, 140.0, 240.0, 280.0))
    with pytest.raises(RegionError):
        ring.fraction_in((5.0, 5.0, 0.0, 1.0))


def test_sampling_takes_the_pixel_that_holds_the_centre(ring):
    assert np.array_equal(ring.sample(ring.grid), ring.mask)
    fine = PixelGrid(origin=(95.0, 190.0), step=(5.0, 10.0), shape=(14, 16))
    sampled = ring.sample(fine)
    assert not sampled[0].any()
    assert not sampled[:, 0].any()
    assert np.array_equal(sampled[1:13, 1:15], ring.mask.repeat(2, axis=0).repeat(2, axis=1))


def test_a_mask_is_not_summed_up_before_that_is_needed():
    """A brush makes a mask anew at each of its movements; that of a gigapixel slide has 40 million pixels."""
    grid = PixelGrid(origin=(0.0, 0.0), step=(16.0, 16.0), shape=(1000, 1000))
    painted = np.ones(grid.shape, dtype=np.uint8)
    tracemalloc.start()
    try:
        mask = TissueMask.from_array(painted, grid, um_per_px=(0.5, 0.5))
        assert mask.area_um2 == 8000.0**2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * painted.nbytes


def test_a_mask_must_fit_its_grid():
    with pytest.raises(RegionError, match="does not fit"):
        TissueMask.from_array(np.ones((3, 4)), PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(4, 3)))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("metaplasia-HE-13198x11685.tif", 0.5, 0.7),
        ("CMU-1-Small-Region.svs", 0.3, 0.5),
        ("tcga-jpeg2000.svs", 0.5, 0.75),
    ],
)
def test_real_slides(shared_data, name, low, high):
    with open_slide(shared_data / "slides" / name) as slide:
        tissue = find_tissue(slide)
    assert low < tissue.mask.mean() < high
    assert len(tissue.outlines()) <= 3
    assert all(polygon.is_valid for polygon in tissue.outlines())
