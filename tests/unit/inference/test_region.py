import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.region import as_geometry, cells_inside, field_cells, field_outline, region_warnings

SLIDE = (1000, 2000)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_cells_are_those_whose_centres_shapely_finds_inside(seed):
    rng = np.random.default_rng(seed)
    blobs = [shapely.Point(*rng.uniform(-200, 2200, 2)).buffer(rng.uniform(5, 700)) for _ in range(4)]
    holes = [shapely.Point(*rng.uniform(0, 2000, 2)).buffer(rng.uniform(5, 300)) for _ in range(3)]
    geometry = shapely.union_all(blobs).difference(shapely.union_all(holes))
    grid = PixelGrid(origin=(3.3, -2.1), step=tuple(rng.uniform(20, 60, 2)), shape=(40, 60))
    rows, columns = np.mgrid[: grid.shape[0], : grid.shape[1]]
    x = grid.origin[1] + (columns + 0.5) * grid.step[1]
    y = grid.origin[0] + (rows + 0.5) * grid.step[0]
    assert np.array_equal(cells_inside(geometry, grid).whole(grid.shape), shapely.contains_xy(geometry, x, y))


def test_every_kind_of_region_means_the_same():
    box = as_geometry(Box(10, 30, 40, 80), SLIDE)
    assert box.equals(as_geometry(np.array([[10, 40], [10, 80], [30, 80], [30, 40]]), SLIDE))
    assert box.equals(as_geometry(shapely.box(40, 10, 80, 30), SLIDE))


def test_it_is_said_how_much_of_a_region_is_left_out():
    for region, expected in (
        (Box(-100, 100, 0, 100), ("region: 50.0% of its area lies outside the slide and is left out",)),
        (shapely.box(1900, 0, 2300, 50), ("region: 75.0% of its area lies outside the slide and is left out",)),
        (Box(0, 1000, 0, 2000), ()),
        (shapely.Point(5, 5), ()),
    ):
        assert region_warnings(region, as_geometry(region, SLIDE)) == expected


def test_what_reaches_beyond_the_slide_is_clipped():
    assert as_geometry(Box(-50, 100, 1900, 9000), SLIDE).equals(shapely.box(1900, 0, 2000, 100))


def test_an_outline_that_crosses_itself_is_repaired():
    bow = as_geometry(np.array([[0, 0], [100, 100], [100, 0], [0, 100]]), SLIDE)
    assert bow.is_valid
    assert bow.area == pytest.approx(5000)


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Box(5, 5, 0, 9), "is empty"),
        (Box(2000, 2100, 0, 9), "outside the slide"),
        (shapely.Point(3000, 5), "outside the slide"),
        (shapely.Polygon(), "empty"),
        (shapely.LineString([(0, 0), (5, 5)]), "must be a polygon"),
        (np.zeros((2, 2)), "N >= 3"),
        (np.array([[0, 0], [1, np.nan], [1, 1]]), "not finite"),
    ],
)
def test_regions_that_are_none(region, words):
    with pytest.raises(RegionError, match=words):
        as_geometry(region, SLIDE)


def test_field_of_a_click():
    grid = PixelGrid(origin=(0.0, 0.0), step=(32.0, 32.0), shape=(10, 20))
    assert field_cells((33.0, 5.0), 1, grid) == Box(1, 2, 0, 1)
    assert field_cells((33.0, 5.0), 3, grid) == Box(0, 3, -1, 2)
    assert field_cells((33.0, 70.0), 2, grid) == Box(1, 3, 2, 4)
    assert field_cells((9999.0, 5.0), 1, grid) == Box(9, 10, 0, 1)
    assert field_outline(Box(1, 2, 0, 1), (96.0, 96.0), grid).bounds == (-32.0, 0.0, 64.0, 96.0)
