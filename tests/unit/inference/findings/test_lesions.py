"""Foci, diameters and lesions are those that looking at every pair of cells gives."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.foci import find_foci, runs_of, tally
from napari_gigaclf.inference.findings.lesions import find_lesions, has_size_classes, size_class, tissue_sections
from napari_gigaclf.models import list_models
from napari_gigaclf.slides.tissue import TissueMask

STEP, UM = (32.0, 48.0), (0.5, 0.25)
SIDE = (16.0, 12.0)  # um


def grid_of(shape, step=STEP, origin=(0.0, 0.0)):
    return PixelGrid(origin=origin, step=step, shape=shape)


def lesions_of(scores, threshold=0.5, sections=None, um=UM, **options):
    foci = find_foci(scores, threshold)
    sections = np.ones(scores.shape, dtype=np.int32) if sections is None else sections
    return find_lesions(scores, foci, grid_of(scores.shape), um, sections, **options)


def gap(a, b):
    """Distance between the edges of two cells, um."""
    return math.hypot(*(max(abs(p - q) - 1, 0) * s for p, q, s in zip(a, b, SIDE, strict=True)))


def span(cells):
    """Longest distance between corners of cells, um."""
    corners = [((r + i) * SIDE[0], (c + j) * SIDE[1]) for r, c in cells for i in (0, 1) for j in (0, 1)]
    return max(math.dist(p, q) for p, q in itertools.product(corners, corners))


def obvious(mask, sections, join):
    """Flood the mask cell by cell; put foci together until nothing changes."""
    left, foci = {(int(r), int(c)) for r, c in np.argwhere(mask)}, []
    while left:
        focus, front = set(), [min(left)]
        while front:
            cell = front.pop()
            if cell in left:
                left.remove(cell)
                focus.add(cell)
                front += [(cell[0] + dy, cell[1] + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        found = [sections[cell] for cell in sorted(focus)]
        foci.append((max(sorted(set(found)), key=found.count), focus))
    groups = [(section, [focus]) for section, focus in foci]
    changed = True
    while changed:
        changed = False
        for i, j in itertools.combinations(range(len(groups)), 2):
            near = any(
                gap(a, b) <= join for p in groups[i][1] for q in groups[j][1] for a in p for b in q
            )  # fmt: skip
            if groups[i][0] == groups[j][0] and near:
                groups[i] = (groups[i][0], groups[i][1] + groups[j][1])
                del groups[j]
                changed = True
                break
    return groups


@settings(max_examples=150, deadline=None)
@given(
    mask=arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))),
    join=st.sampled_from([0.0, 12.0, 16.0, 20.0, 25.0, math.inf]),
    data=st.data(),
)
def test_lesions_are_those_of_looking_at_every_pair_of_cells(mask, join, data):
    sections = data.draw(arrays(np.int32, mask.shape, elements=st.integers(1, 2)))
    scores = np.where(mask, 0.75, 0.25).astype(np.float32)
    found = lesions_of(scores, sections=sections, join=join)
    expected = sorted(
        (
            (section, len(foci), sum(map(len, foci)), span([cell for focus in foci for cell in focus]))
            for section, foci in obvious(mask, sections, join)
        )
    )
    assert sorted((lesion.section, lesion.num_foci, lesion.num_cells) for lesion in found) == [e[:3] for e in expected]
    assert sorted(lesion.diameter_mm * 1e3 for lesion in found) == pytest.approx(sorted(e[3] for e in expected))
    assert sum(lesion.area_mm2 for lesion in found) == pytest.approx(mask.sum() * SIDE[0] * SIDE[1] / 1e6)
    diameters = [lesion.diameter_mm for lesion in found]
    assert diameters == sorted(diameters, reverse=True)


def test_count_and_area_above_a_threshold():
    scores = np.array([[0.9, 0.5, np.nan], [0.1, 0.1, 0.7]], dtype=np.float32)
    for threshold, foci, cells in ((0.5, 2, 3), (0.6, 2, 2), (0.95, 0, 0), (0.1, 1, 5)):
        found = tally(find_foci(scores, threshold), grid_of((2, 3)), UM, threshold)
        assert (found.num_foci, found.num_cells) == (foci, cells)
        assert found.area_mm2 == pytest.approx(cells * SIDE[0] * SIDE[1] / 1e6)
        assert found.area_px == cells * STEP[0] * STEP[1]
    assert tally(find_foci(scores, 0.5), grid_of((2, 3)), None, 0.5).area_mm2 is None


def test_the_highest_place_of_a_lesion_is_where_one_goes():
    scores = np.array([[0.6, 0.9, 0.0, 0.9], [0.6, 0.7, 0.0, 0.0]], dtype=np.float32)
    (lesion,) = lesions_of(scores, join=12.0)
    assert (lesion.num_foci, lesion.highest) == (2, pytest.approx(0.9))
    assert lesion.place == (16.0, 72.0)  # the first of the two


def test_without_a_scale_lengths_are_in_pixels_and_there_is_no_class():
    scores = np.ones((1, 3), dtype=np.float32)
    (lesion,) = lesions_of(scores, um=None, sized=True)
    assert (lesion.area_mm2, lesion.diameter_mm, lesion.size_class) == (None, None, None)
    assert lesion.diameter_px == pytest.approx(math.hypot(32, 3 * 48))
    assert lesions_of(np.zeros((2, 2), dtype=np.float32)) == []


def test_size_classes_have_their_limits_in_the_lower_class():
    assert [size_class(mm) for mm in (0.05, 0.2, 0.2001, 2.0, 2.0001)] == [
        "isolated cells", "isolated cells", "micro", "micro", "macro",
    ]  # fmt: skip
    (lesion,) = lesions_of(np.ones((1, 20), dtype=np.float32), sized=True)  # 0.24 mm
    assert lesion.size_class == "micro"
    assert lesions_of(np.ones((1, 20), dtype=np.float32))[0].size_class is None
    models = {model.name: model for model in list_models()}
    assert has_size_classes(models["lymph-node-metastasis"], "tumour")
    assert not has_size_classes(models["lymph-node-metastasis"], "normal")
    assert not has_size_classes(models["phantom-tumour"], "tumour")


def test_sections_are_the_pieces_of_tissue_and_reach_to_the_cells_nearest_to_them():
    mask = np.zeros((8, 24), dtype=bool)
    mask[2:6, 1:9] = True
    mask[2:6, 15:23] = True
    tissue = TissueMask.from_array(mask, PixelGrid(origin=(0, 0), step=(8.0, 8.0), shape=mask.shape))
    grid = grid_of((4, 12), step=(16.0, 16.0))
    sections = tissue_sections(tissue, grid)
    assert (sections[:, :6] == 1).all()
    assert (sections[:, 6:] == 2).all()
    assert (tissue_sections(None, grid) == 1).all()
    empty = TissueMask.from_array(np.zeros_like(mask), tissue.grid)
    assert (tissue_sections(empty, grid) == 1).all()
    scores = np.full((4, 12), 0.9, dtype=np.float32)
    scores[:, 6] = 0.0  # foci of both, 16 um apart
    found = find_lesions(scores, find_foci(scores, 0.5), grid, (1.0, 1.0), sections, join=math.inf)
    assert [(lesion.section, lesion.num_cells) for lesion in found] == [(1, 24), (2, 20)]


def test_runs_are_the_cells_row_by_row():
    scores = np.array([[1, 1, 0, 1], [0, 1, 0, 1]], dtype=np.float32)
    runs = runs_of(find_foci(scores, 0.5))
    assert list(zip(runs.row, runs.first, runs.last, runs.focus, strict=True)) == [
        (0, 0, 2, 0), (0, 3, 4, 1), (1, 1, 2, 0), (1, 3, 4, 1),
    ]  # fmt: skip


def test_a_ragged_map_of_a_million_cells_does_not_blow_up():
    """Seconds for a hundred thousand specks; a real map has some dozens of foci and takes some milliseconds."""
    scores = np.random.default_rng(0).random((1000, 1000)).astype(np.float32)
    foci = find_foci(scores, 0.9)
    assert foci.count > 50_000
    start = time.perf_counter()
    found = find_lesions(scores, foci, grid_of(scores.shape), UM, np.ones(scores.shape, np.int32), join=0.0)
    assert sum(lesion.num_foci for lesion in found) == foci.count
    assert time.perf_counter() - start < 60
