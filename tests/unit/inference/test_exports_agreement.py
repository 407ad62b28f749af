import numpy as np
import pytest
import shapely
from sklearn.metrics import roc_auc_score

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.agreement import agreement, covered, rank_auc


def test_rank_auc_is_that_of_scikit_learn_with_ties_too():
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores = rng.integers(0, 6, 80) / 5
        positive = rng.random(80) < 0.3
        assert rank_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_coverage_is_exact_also_over_holes_overlaps_and_borders():
    grid = PixelGrid(origin=(10.0, 20.0), step=(4.0, 8.0), shape=(5, 4))
    ring = shapely.box(0, 0, 30, 20) - shapely.box(22, 12, 26, 16)
    share = covered(grid, [ring, shapely.box(20, 10, 30, 13), shapely.Point(41, 27).buffer(3)])
    union = shapely.union_all([ring, shapely.box(20, 10, 30, 13), shapely.Point(41, 27).buffer(3)])
    for row in range(5):
        for column in range(4):
            cell = shapely.box(20 + 8 * column, 10 + 4 * row, 28 + 8 * column, 14 + 4 * row)
            assert share[row, column] == pytest.approx(cell.intersection(union).area / 32, abs=1e-12)
    assert covered(grid, [])[2, 2] == 0
    assert covered(grid, [shapely.box(1000, 1000, 1001, 1001)]).sum() == 0


def test_glass_and_places_that_were_not_computed_are_left_out():
    grid = PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(2, 4))
    scores = np.array([[0.9, 0.8, 0.1, np.nan], [0.2, 0.3, 0.0, 1.0]])
    tissue = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=bool)
    found = agreement(scores, grid, [shapely.box(0, 0, 2, 1)], tissue=tissue)
    assert (found.auc, found.num_positive, found.num_negative) == (1.0, 2, 4)
    turned = agreement(1 - scores, grid, [shapely.box(0, 0, 2, 1)], tissue=tissue)
    assert turned.auc == 0.0
    assert agreement(scores, grid, []).auc is None


def test_half_a_cell_counts_as_covered():
    grid = PixelGrid(origin=(0.0, 0.0), step=(1.0, 1.0), shape=(1, 2))
    scores = np.array([[1.0, 0.0]])
    assert agreement(scores, grid, [shapely.box(0, 0, 0.5, 1)]).num_positive == 1
    assert agreement(scores, grid, [shapely.box(0, 0, 0.49, 1)]).num_positive == 0
