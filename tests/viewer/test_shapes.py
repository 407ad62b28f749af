"""Drawn shapes become the areas a person sees, holes and all, half a pixel off napari's data coordinates."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_gigaclf.errors import RegionError
from napari_gigaclf.slides.mask_edges import regions
from napari_gigaclf.viewer.shapes import (
    MAX_CORNERS,
    fewer_corners,
    filled_shapes,
    geometry_of,
    outline_rings,
    split_rings,
)

SQUARE = np.array([[0, 0], [0, 10], [10, 10], [10, 0]], dtype=float)


def test_a_rectangle_is_shifted_by_half_a_pixel_and_turned_to_xy() -> None:
    vertices = np.array([[0, 0], [0, 20], [10, 20], [10, 0]], dtype=float)  # (y, x)
    assert geometry_of(vertices, "rectangle").bounds == (0.5, 0.5, 20.5, 10.5)


def test_an_ellipse_has_the_area_of_an_ellipse() -> None:
    area = geometry_of(SQUARE * [1.0, 2.0], "ellipse").area
    assert area == pytest.approx(np.pi * 5 * 10, rel=2e-3)


@pytest.mark.parametrize("kind", ["line", "path"])
def test_open_lines_have_no_area(kind: str) -> None:
    with pytest.raises(RegionError, match="no area"):
        geometry_of(SQUARE, kind)


def test_a_closed_path_counts_as_a_polygon() -> None:
    assert geometry_of(np.vstack([SQUARE, SQUARE[:1]]), "path").area == 100


def test_a_flat_polygon_is_refused() -> None:
    with pytest.raises(RegionError, match="no area"):
        geometry_of(np.array([[0, 0], [5, 5], [10, 10]], dtype=float), "polygon")


@pytest.mark.parametrize("twice", range(4))
def test_a_vertex_that_was_clicked_twice_changes_nothing(twice: int) -> None:
    doubled = np.insert(SQUARE, twice, SQUARE[twice], axis=0)
    assert geometry_of(doubled, "polygon").area == 100
    assert geometry_of(np.vstack([doubled, SQUARE[:1], SQUARE[:1]]), "polygon").area == 100


def test_concatenated_rings_are_holes_by_the_even_odd_rule() -> None:
    hole = np.array([[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]], dtype=float)
    drawn = np.vstack([SQUARE, SQUARE[:1], hole])
    assert len(split_rings(drawn)) == 2
    assert geometry_of(drawn, "polygon").area == pytest.approx(96)


def test_an_island_in_a_hole_counts_again() -> None:
    def ring(low: float, high: float) -> np.ndarray:
        return np.array([[low, low], [low, high], [high, high], [high, low], [low, low]])

    drawn = np.vstack([ring(0, 10), ring(2, 8), ring(4, 6)])
    assert geometry_of(drawn, "polygon").area == pytest.approx(100 - 36 + 4)


@given(st.integers(0, 4), st.integers(0, 10_000))
def test_polygons_with_any_number_of_holes_survive_the_way_to_napari_and_back(num_holes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outer = shapely.box(0, 0, 100, 60)
    for index in range(num_holes):
        x, y = 3 + 20 * index, rng.integers(3, 40)
        outer = outer.difference(shapely.box(x, y, x + rng.integers(2, 15), y + rng.integers(2, 15)))
    (shape,) = filled_shapes(outer)
    back = geometry_of(shape, "polygon")
    assert back.symmetric_difference(outer).area == pytest.approx(0, abs=1e-6)


def test_outlines_are_closed_rings_in_yx_data_coordinates() -> None:
    ring = shapely.Polygon([(10, 20), (30, 20), (30, 50)], holes=[[(20, 25), (25, 25), (25, 30)]])
    rings = outline_rings(shapely.MultiPolygon([ring]))
    assert len(rings) == 2
    assert all(np.array_equal(each[0], each[-1]) for each in rings)
    assert rings[0][0].tolist() == [19.5, 9.5]


def test_of_outlines_with_too_many_corners_those_that_stand_out_least_are_not_drawn() -> None:
    rows, columns = np.indices((3000, 3000))
    disc = (rows - 1500) ** 2 + (columns - 1500) ** 2 < 1400**2
    (few,) = regions(disc)
    assert fewer_corners([few], 1.0)[0].equals_exact(few, 0)
    (many,) = regions(disc & ((rows % 5 < 3) | (columns < 1500)))  # a comb
    assert shapely.get_num_coordinates(many) < MAX_CORNERS
    comb = [shapely.affinity.translate(many, 4000 * number) for number in range(20)]
    drawn = fewer_corners(comb, 1.0)
    assert shapely.get_num_coordinates(drawn).sum() <= MAX_CORNERS
    assert all(shapely.hausdorff_distance(one, other) <= 4 for one, other in zip(drawn, comb, strict=True))
