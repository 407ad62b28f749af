"""What a training network sees is the same however it is cut into tiles."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.cells import CellAxis
from napari_gigaclf.training.slides.changes import Changes, ChangeSettings, draw_changes
from napari_gigaclf.training.slides.view import open_view
from napari_gigaclf.training.slides.window import Window, draw_box

STRONG = ChangeSettings(
    stain=0.3, brightness=0.2, contrast=0.3, saturation=0.3, hue=0.1, bend_px=3.0, bend_period_px=24.0, cutouts=3,
    cutout_px=17,
)  # fmt: skip
AXIS = CellAxis(stride=16, before=24, receptive_field=64)


@pytest.fixture(scope="module")
def view(slides_folder):
    return open_view(slides_folder / "1.tif", um_per_px=4.0, slide_um_per_px=4.0, tissue=True)


BEYOND = Box(-10, 150, 5, 135)


def window_of(view, changes, box=BEYOND):
    return Window(view, box, changes)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 50))
def test_a_region_read_alone_is_that_region_of_the_whole(view, data, seed):
    window = window_of(view, draw_changes(STRONG, (160, 130), np.random.default_rng(seed)))
    _, height, width = window.shape
    whole = window.read(slice(0, height), slice(0, width))
    assert whole.shape == window.shape
    y0, y1 = sorted((data.draw(st.integers(0, height - 1)), data.draw(st.integers(1, height))))
    x0, x1 = sorted((data.draw(st.integers(0, width - 1)), data.draw(st.integers(1, width))))
    region = slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))
    np.testing.assert_allclose(window.read(*region), whole[(slice(None), *region)], rtol=0, atol=1e-6)
    if window.is_flat(*region):
        found = window.read(*region)
        np.testing.assert_array_equal(found, np.broadcast_to(window.flat_value[:, None, None], found.shape))


def test_glass_is_known_to_be_flat(view):
    window = window_of(view, draw_changes(STRONG, (160, 130), np.random.default_rng(0)), Box(-200, 100, -200, 100))
    assert window.is_flat(slice(0, 40), slice(0, 40)) or window.changes.flips != (False, False)
    flat = [window.is_flat(slice(y, y + 20), slice(x, x + 20)) for y, x in product(range(0, 300, 20), repeat=2)]
    assert 0.3 < np.mean(flat) < 0.95


@pytest.mark.parametrize(("flips", "transposed"), list(product(product((False, True), repeat=2), (False, True))))
def test_turns_are_exact_and_cells_turn_with_the_pixels(view, flips, transposed):
    box = Box(0, 160, 0, 128)
    plain = window_of(view, Changes(), box)
    turned = window_of(view, Changes(flips=flips, transposed=transposed), box)
    expected = plain.read(slice(0, 160), slice(0, 128))
    expected = expected.transpose(0, 2, 1) if transposed else expected
    axes = [axis for axis, flip in enumerate(flips, start=1) if flip]
    expected = np.flip(expected, axes)
    _, height, width = turned.shape
    np.testing.assert_array_equal(turned.read(slice(0, height), slice(0, width)), expected)
    # Cells without a reach beyond their own pixels tile the window, so that they turn as pixels do.
    tight = CellAxis(stride=16, before=0, receptive_field=16)
    cells = plain.cells((tight, tight), (10, 8))
    cells = np.flip(cells.T if transposed else cells, [axis - 1 for axis in axes])
    np.testing.assert_array_equal(turned.cells((tight, tight), (height // 16, width // 16)), cells)
    assert 0 < cells.mean() < 1


def test_cells_of_a_plain_window_are_those_that_classify_pools(view):
    window = window_of(view, Changes(), Box(0, 160, 0, 160))
    same = window.cells((AXIS, AXIS), (10, 10)) == view.cells((AXIS, AXIS), (10, 10))
    assert same.mean() > 0.95  # a window's share of tissue is sampled, classify's is an area


def test_colours_change_and_stay_in_range(view):
    plain = window_of(view, Changes())
    changed = window_of(view, draw_changes(STRONG, (160, 130), np.random.default_rng(1)))
    pixels = changed.read(slice(0, 100), slice(0, 100))
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert np.abs(pixels - plain.read(slice(0, 100), slice(0, 100))).mean() > 0.01


def test_a_slide_is_drawn_the_same_for_the_same_seed():
    for seed in range(5):
        first, second = (draw_changes(STRONG, (100, 90), np.random.default_rng(seed)) for _ in range(2))
        assert first.flips == second.flips
        np.testing.assert_array_equal(first.bend.knots, second.bend.knots)
        np.testing.assert_array_equal(first.colours.mix, second.colours.mix)
        assert first.cutouts == second.cutouts


def test_a_bend_moves_as_far_as_it_says():
    bend = draw_changes(ChangeSettings(bend_px=4.0, bend_period_px=32.0), (2000, 2000), np.random.default_rng(0)).bend
    points = np.random.default_rng(1).uniform(0, 2000, (2, 20_000))
    moved = bend.source(points) - points
    assert moved.std() == pytest.approx(4.0, rel=0.1)
    assert np.abs(moved).max() <= bend.reach


@settings(max_examples=50, deadline=None)
@given(side=st.integers(1, 400), seed=st.integers(0, 99))
def test_a_window_lies_over_the_tissue(view, side, seed):
    box, tissue = draw_box(view, side, np.random.default_rng(seed)), view.tissue_box
    assert box.shape == (side, side)
    for low, high, first, last in ((box.y0, box.y1, tissue.y0, tissue.y1), (box.x0, box.x1, tissue.x0, tissue.x1)):
        assert (first <= low and high <= last) or (low <= first and last <= high)
    assert draw_box(view, 0, None) == tissue
