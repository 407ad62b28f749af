"""Outlines run along the edges of cells, exactly, and enclose these cells and no others."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.outlines import outlines


def grid_of(shape, origin=(0.0, 0.0), step=(1.0, 1.0)):
    return PixelGrid(origin=origin, step=step, shape=shape)


@settings(max_examples=150, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_cell_is_inside_exactly_if_it_is_in_the_mask(mask):
    found = outlines(mask, grid_of(mask.shape))
    assert all(o.polygon.is_valid for o in found)
    rows, columns = np.indices(mask.shape)
    inside = np.zeros(mask.shape, dtype=int)
    for outline in found:
        inside += shapely.contains_xy(outline.polygon, columns + 0.5, rows + 0.5)
        assert outline.polygon.area == len(outline.rows)
        assert mask[outline.rows, outline.columns].all()
    np.testing.assert_array_equal(inside, mask)


def test_holes_are_kept_and_corners_are_only_where_the_line_turns():
    mask = np.ones((5, 6), dtype=bool)
    mask[2, 2:4] = False
    (outline,) = outlines(mask, grid_of((5, 6), origin=(10.0, 100.0), step=(2.0, 3.5)))
    assert outline.polygon.normalize().equals_exact(
        shapely.Polygon(shapely.box(100, 10, 121, 20).exterior, [shapely.box(107, 14, 114, 16).exterior]).normalize()
    )
    assert len(outline.polygon.exterior.coords) == len(outline.polygon.interiors[0].coords) == 5


def test_cells_that_touch_at_a_corner_are_two_regions():
    assert len(outlines(np.eye(2, dtype=bool), grid_of((2, 2)))) == 2
    assert outlines(np.zeros((2, 2), dtype=bool), grid_of((2, 2))) == []
    with pytest.raises(ValueError, match="grid"):
        outlines(np.ones((2, 2), dtype=bool), grid_of((2, 3)))


def test_a_large_ragged_map_is_quick():
    """Ninety thousand cells, thousands of regions: seconds, not minutes (the time limit of the suite guards it)."""
    rng = np.random.default_rng(0)
    mask = rng.random((300, 300)) < 0.4
    found = outlines(mask, grid_of(mask.shape))
    assert sum(o.polygon.area for o in found) == mask.sum()
