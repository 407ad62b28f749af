"""A mark belongs to the lesions near it, by the distance to their cells; many marks in one lesion count once."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.comparison import compare
from napari_gigaclf.inference.findings.foci import find_foci
from napari_gigaclf.inference.findings.lesions import find_lesions

UM = (0.5, 0.25)


def lesions_of(scores, grid):
    foci = find_foci(scores, 0.5)
    return foci, find_lesions(scores, foci, grid, UM, np.ones(scores.shape, np.int32), join=0.0)


def test_what_both_and_what_only_one_found():
    scores = np.zeros((10, 30), dtype=np.float32)
    scores[2:4, 2:4] = scores[2, 20] = scores[8, 20] = 0.9
    grid = PixelGrid(origin=(0.0, 0.0), step=(32.0, 64.0), shape=scores.shape)  # cells of 16 um
    foci, lesions = lesions_of(scores, grid)
    big, *small = lesions
    marks = [(80.0, 160.0), (90.0, 170.0), (80.0, 21 * 64.0), (300.0, 29 * 64.0)]
    found = compare(marks, lesions, foci, grid, UM, near=20.0)
    assert found.both == (big, small[0])
    assert found.only_model == (small[1],)
    assert found.only_reader == (marks[3],)
    assert compare([], lesions, foci, grid, UM).only_model == tuple(lesions)
    assert compare(marks, [], find_foci(scores, 1.0), grid, UM).only_reader == tuple(marks)
    everything = compare(marks[:1], lesions, foci, grid, UM, near=1e6)
    assert everything.both == tuple(lesions)


@settings(max_examples=150, deadline=None)
@given(
    mask=arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))),
    place=st.tuples(st.floats(-100, 400), st.floats(-100, 400)),
    near=st.sampled_from([0.0, 3.0, 11.0, 30.0]),
)
def test_near_is_the_distance_to_the_nearest_cell(mask, place, near):
    scores = mask.astype(np.float32)
    grid = PixelGrid(origin=(5.0, 7.0), step=(32.0, 48.0), shape=mask.shape)
    foci, lesions = lesions_of(scores, grid)
    found = compare([place], lesions, foci, grid, UM, near=near)
    for lesion in lesions:
        gaps = []
        for row, column in np.argwhere(np.isin(foci.labels, lesion.foci)):
            top, left = 5.0 + row * 32.0, 7.0 + column * 48.0
            dy = max(top - place[0], place[0] - top - 32.0, 0.0) * UM[0]
            dx = max(left - place[1], place[1] - left - 48.0, 0.0) * UM[1]
            gaps.append(math.hypot(dy, dx))
        if abs(min(gaps) - near) > 1e-6:
            assert (lesion in found.both) == (min(gaps) < near)
    assert set(found.both) | set(found.only_model) == set(lesions)
    assert bool(found.both) != bool(found.only_reader)
