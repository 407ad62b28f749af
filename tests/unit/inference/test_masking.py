import numpy as np
import pytest

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.masking import InputMask, MaskedImage, share_shown


def grid(step, shape, origin=(0.0, 0.0)):
    return PixelGrid(origin=origin, step=step, shape=shape)


def test_share_is_the_exact_area():
    rng = np.random.default_rng(0)
    shown = rng.random((9, 11)) < 0.4
    fine = np.kron(shown, np.ones((10, 10)))  # one tenth of a mask pixel
    cells = grid((23.0, 37.0), (4, 3), origin=(0.0, 0.0))
    expected = np.zeros(cells.shape)
    for i in range(4):
        for j in range(3):
            part = fine[i * 23 : (i + 1) * 23, j * 37 : (j + 1) * 37]
            expected[i, j] = part.sum() / (23 * 37)
    assert share_shown(shown, grid((10.0, 10.0), shown.shape), cells) == pytest.approx(expected)


def test_shares_of_some_cells_are_those_of_all_cells():
    rng = np.random.default_rng(3)
    shown = rng.random((19, 23)) < 0.5
    mask, cells = (
        grid((10.0, 10.0), shown.shape, origin=(-3.0, 4.0)),
        grid((7.5, 13.0), (40, 30), origin=(-20.0, -30.0)),
    )
    everything = share_shown(shown, mask, cells)
    for box in (Box(0, 1, 0, 1), Box(3, 9, 4, 11), Box(20, 40, 15, 30), Box(39, 40, 29, 30)):
        assert share_shown(shown, mask, cells.part(box)) == pytest.approx(everything[box.slices], abs=1e-12)


def test_a_pixel_is_shown_if_its_centre_is():
    mask = InputMask.over(np.array([[True, False]]), grid((4.0, 4.0), (1, 2)), grid((1.6, 1.6), (3, 5)))
    assert mask.crop(Box(0, 3, 0, 5))[0].tolist() == [True, True, False, False, False]  # centres 0.8 2.4 4.0 5.6 7.2


def test_pixels_beyond_the_mask_take_its_edge():
    mask = InputMask.over(np.array([[False, True]]), grid((4.0, 4.0), (1, 2)), grid((4.0, 4.0), (2, 3)))
    assert mask.crop(Box(0, 2, 0, 3)).tolist() == [[False, True, True]] * 2


class White:
    shape = (8, 8)

    def read(self, *box):
        raise AssertionError("glass was read")


def test_everything_masked_reads_nothing():
    masks = (
        InputMask.over(np.array([[True, False]]), grid((8.0, 4.0), (1, 2)), grid((1.0, 1.0), (8, 8))),
        InputMask.over(np.array([[False, True]]), grid((8.0, 4.0), (1, 2)), grid((1.0, 1.0), (8, 8))),
    )
    source = MaskedImage(White(), Box(0, 8, 0, 8), masks)
    assert source.shape == (3, 8, 8)
    assert source.is_flat(slice(0, 8), slice(0, 4))
    assert not source.is_flat(slice(0, 8), slice(0, 8))  # known only from both masks together: not claimed
    assert (source.read(slice(0, 8), slice(5, 7)) == 1).all()
    assert MaskedImage(White(), Box(0, 8, 0, 8)).flat_value is None
