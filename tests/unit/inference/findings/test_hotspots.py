"""Hotspots are those of the obvious greedy loop, whatever the map; ties go to the first cell; quick on large maps."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.hotspots import RADIUS_PX, RADIUS_UM, find_hotspots


def grid_of(shape, step=(32.0, 32.0), origin=(0.0, 0.0)):
    return PixelGrid(origin=origin, step=step, shape=shape)


def obvious(scores, grid, unit, radius, least, limit):
    """Look at every cell, highest first, and keep it if none that was kept lies nearer than the radius."""
    kept = []
    cells = [(-scores[r, c], r, c) for r in range(scores.shape[0]) for c in range(scores.shape[1])]
    for negative, r, c in sorted(cell for cell in cells if cell[0] == cell[0] and -cell[0] >= least):
        y, x = grid.centre_of(r, c)
        far = (
            ((y - h[1][0]) * unit[0]) ** 2 + ((x - h[1][1]) * unit[1]) ** 2 >= radius**2 - 1e-9 for h in kept
        )  # fmt: skip
        if all(far) and len(kept) < limit:
            kept.append(((r, c), (y, x), -negative))
    return kept


few = st.sampled_from([0.0, 0.2, 0.4, 0.4000001, 0.7, 1.0, float("nan")])


@settings(max_examples=200, deadline=None)
@given(
    scores=arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=few),
    cells=st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.25, 3.1, 40.0]),
    unit=st.sampled_from([(0.5, 0.5), (1.0, 0.25)]),
    least=st.sampled_from([0.0, 0.3, 0.7]),
    limit=st.sampled_from([1, 3, 500]),
)
def test_they_are_those_of_the_obvious_loop(scores, cells, unit, least, limit):
    grid = grid_of(scores.shape, step=(32.0, 48.0), origin=(5.0, 7.5))
    radius = cells * 16.0
    found = find_hotspots(scores, grid, unit, radius=radius, least=least, limit=limit)
    expected = obvious(scores, grid, unit, radius, least, limit)
    assert [((h.row, h.column), h.place, h.probability) for h in found] == [
        (cell, place, float(np.float32(value))) for cell, place, value in expected
    ]


def test_the_beginning_of_the_list_does_not_depend_on_where_it_ends():
    scores = np.random.default_rng(0).random((60, 50)).astype(np.float32)
    grid = grid_of(scores.shape)
    whole = find_hotspots(scores, grid, (0.5, 0.5), radius=100, least=0.0)
    part = find_hotspots(scores, grid, (0.5, 0.5), radius=100, least=0.6)
    assert part == [h for h in whole if h.probability >= 0.6] != whole
    assert find_hotspots(scores, grid, (0.5, 0.5), radius=100, least=0.0, limit=7) == whole[:7]


def test_without_a_scale_the_radius_is_in_pixels():
    scores = np.zeros((1, 40), dtype=np.float32) + 0.9
    columns = [h.column for h in find_hotspots(scores, grid_of((1, 40)), None)]
    assert columns == [0, 16, 32]  # 500 px are 15.6 cells
    assert (16 - 1) * 32 < RADIUS_PX <= 16 * 32
    columns = [h.column for h in find_hotspots(scores, grid_of((1, 40)), (0.5, 0.5))]
    assert columns == [0, 16, 32]  # 250 um are 15.6 cells
    assert (16 - 1) * 16 < RADIUS_UM <= 16 * 16


def test_an_empty_map_has_none_and_nonsense_is_refused():
    nothing = np.full((4, 5), np.nan, dtype=np.float32)
    assert find_hotspots(nothing, grid_of((4, 5)), None) == []
    with pytest.raises(RegionError, match="does not fit"):
        find_hotspots(nothing, grid_of((5, 4)), None)
    for radius in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RegionError, match="no length"):
            find_hotspots(nothing, grid_of((4, 5)), None, radius=radius)


def test_the_map_is_left_as_it_was():
    scores = np.random.default_rng(1).random((9, 9)).astype(np.float64)
    before = scores.copy()
    find_hotspots(scores, grid_of((9, 9)), None)
    assert np.array_equal(scores, before)


def test_a_million_cells_are_searched_in_less_time_than_it_takes_to_sort_them():
    """Sorting is what the obvious loop begins with; it takes about 25 times as long."""
    scores = np.random.default_rng(2).random((1000, 1000)).astype(np.float32)
    grid = grid_of(scores.shape)

    def best_of(function):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    sorting = best_of(lambda: np.argsort(scores, axis=None, kind="stable"))
    finding = best_of(lambda: find_hotspots(scores, grid, (0.5, 0.5), limit=100))
    assert len(find_hotspots(scores, grid, (0.5, 0.5), limit=100)) == 100
    assert finding < sorting
