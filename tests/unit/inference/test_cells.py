import numpy as np
import pytest

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.cells import CellAxis, Cells, cell_grid, seen

CELL_NET = CellAxis(stride=32, before=32, receptive_field=96)


def test_a_cell_stands_for_the_middle_of_what_it_sees():
    assert CELL_NET.start == 0
    pixels = PixelGrid(origin=(0.0, 0.0), step=(1.5, 2.0), shape=(640, 640))
    grid = cell_grid(pixels, (CELL_NET, CellAxis(stride=4, before=7, receptive_field=15)), (20, 160))
    assert grid.origin == (0.0, -1.5 * 2.0)
    assert grid.step == (48.0, 8.0)


@pytest.mark.parametrize(
    "axis",
    [CELL_NET, CellAxis(stride=4, before=7, receptive_field=15), CellAxis(stride=1, before=0, receptive_field=1)],
)
def test_seen_strides_cover_every_receptive_field(axis):
    rng = np.random.default_rng(0)
    cells = rng.random((11, 13)) < 0.1
    cells[4, 6] = True
    shape = (11 * axis.stride, 13 * axis.stride)
    pixels = np.zeros(shape, dtype=bool)
    for i, j in np.argwhere(cells):
        y, x = i * axis.stride - axis.before, j * axis.stride - axis.before
        pixels[max(y, 0) : y + axis.receptive_field, max(x, 0) : x + axis.receptive_field] = True
    blocks = pixels.reshape(11, axis.stride, 13, axis.stride).any(axis=(1, 3))
    assert np.array_equal(seen(cells, (axis, axis), shape), blocks)


def test_crops_begin_at_a_cell_and_hold_what_is_seen():
    assert CELL_NET.crop(0, 1, 1000) == (0, 0, 64)
    assert CELL_NET.crop(3, 5, 1000) == (2, 64, 192)
    assert CELL_NET.crop(30, 31, 1000) == (29, 928, 1000)


def test_some_cells_are_kept_with_their_box_and_come_back_whole():
    rng = np.random.default_rng(0)
    whole = np.zeros((30, 40), dtype=bool)
    whole[5:20, 8:33] = rng.random((15, 25)) < 0.5
    cells = Cells.of(whole)
    assert cells.inside.shape == cells.box.shape
    assert len(cells) == whole.sum()
    assert np.array_equal(cells.whole(whole.shape), whole)
    for box in (Box(0, 30, 0, 40), Box(10, 14, 2, 20), Box(0, 3, 0, 3), Box(18, 30, 30, 40)):
        assert np.array_equal(cells.within(box), whole[box.slices])
    other = rng.random(whole.shape) < 0.5
    assert np.array_equal(cells.only(other).whole(whole.shape), whole & other)
    nothing = Cells.of(np.zeros((3, 4), dtype=bool))
    assert len(nothing) == 0
    assert not nothing.whole((3, 4)).any()
