"""Boxes, rasters over level 0, and the half pixel between napari and everybody else."""

import numpy as np
import pytest

from napari_gigaclf.geometry import Box, PixelGrid, corner_to_napari_data, napari_data_to_corner, swap_xy


@pytest.mark.parametrize(
    ("box", "shape", "empty"),
    [(Box(0, 10, 5, 25), (10, 20), False), (Box(3, 3, 0, 9), (0, 9), True), (Box(5, 2, 0, 1), (0, 1), True)],
)
def test_box_shape(box: Box, shape: tuple[int, int], empty: bool) -> None:
    assert box.shape == shape
    assert box.empty is empty


def test_box_unpacks_in_the_order_of_slide_read() -> None:
    assert tuple(Box(1, 2, 3, 4)) == (1, 2, 3, 4)
    pixels = np.arange(30).reshape(5, 6)
    assert pixels[Box(1, 3, 2, 6).slices].shape == (2, 4)


def test_boxes_intersect_and_shift() -> None:
    assert Box(0, 10, 0, 10).intersection(Box(5, 20, -3, 4)) == Box(5, 10, 0, 4)
    assert Box(0, 1, 0, 1).intersection(Box(4, 6, 4, 6)).empty
    assert Box(0, 2, 0, 2).shifted(3, -1) == Box(3, 5, -1, 1)


GRID = PixelGrid(origin=(16.0, -4.5), step=(32.0, 31.7), shape=(7, 9))


def test_grid_centre_and_index_are_inverse() -> None:
    for row in range(GRID.shape[0]):
        for column in range(GRID.shape[1]):
            assert GRID.index_of(GRID.centre_of(row, column)) == (row, column)


def test_affine_maps_corners_of_pixels() -> None:
    corner = GRID.affine @ np.array([2.0, 3.0, 1.0])
    np.testing.assert_allclose(corner[:2], [16.0 + 64.0, -4.5 + 3 * 31.7])


@pytest.mark.parametrize("um_per_px", [None, (0.25, 0.5)])
def test_napari_transform_puts_pixel_centres_where_they_are(um_per_px: tuple[float, float] | None) -> None:
    """World = napari data coordinate of level 0 times um/px: the oracle is the chain of definitions."""
    scale, translate = GRID.napari_transform(um_per_px)
    unit = np.array(um_per_px or (1.0, 1.0))
    for row, column in [(0, 0), (3, 5)]:
        world = np.array(translate) + np.array(scale) * (row, column)
        level0_data = corner_to_napari_data(np.array([GRID.centre_of(row, column)]))[0]
        np.testing.assert_allclose(world, level0_data * unit)


def test_a_coarse_overlay_is_shifted_by_half_of_its_step_minus_one() -> None:
    grid = PixelGrid(origin=(0.0, 0.0), step=(256.0, 256.0), shape=(4, 4))
    assert grid.napari_transform(None)[1] == (127.5, 127.5)


def test_half_pixel_round_trip() -> None:
    points = np.array([[0.0, 0.0], [10.25, -3.0]])
    np.testing.assert_array_equal(corner_to_napari_data(napari_data_to_corner(points)), points)
    np.testing.assert_array_equal(napari_data_to_corner(points)[0], [0.5, 0.5])


def test_swap_xy_is_its_own_inverse() -> None:
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(swap_xy(points), [[2.0, 1.0], [4.0, 3.0]])
    np.testing.assert_array_equal(swap_xy(swap_xy(points)), points)
