"""Normal noise on the pixels of a slide: the same place gets the same noise, however the slide is cut into tiles.

Blocks of 64 x 64 pixels of the network's input have a random generator each (Philox, of which every draw is a function
of key and counter), keyed with the seed and the number of the copy and counted by the block's row and column. Its bits
are numbers in (0, 1), and these are made normal by the inverse of the normal distribution function.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box

if TYPE_CHECKING:
    from napari_gigaclf.inference.gradient import SmoothGrad
    from napari_gigaclf.inference.masking import MaskedImage

SIDE = 64
"""Side of a block, pixels."""
CHANNELS = 3
SMOOTHED_AT_MOST = 1000
"""Most copies that SmoothGrad takes the mean of."""
_WORD = (1 << 64) - 1


def normal_noise(seed: int, copy: int, box: Box) -> NDArray[np.float32]:
    """Return standard normal noise over a box of pixels, (3, y, x).

    Parameters
    ----------
    seed
        Any integer.
    copy
        Which copy of the slide it is for.
    box
        Pixels of the whole slide's input.
    """
    found = np.empty((CHANNELS, *box.shape), dtype=np.float32)
    for row in range(box.y0 // SIDE, -(-box.y1 // SIDE)):
        for column in range(box.x0 // SIDE, -(-box.x1 // SIDE)):
            block = Box(row * SIDE, (row + 1) * SIDE, column * SIDE, (column + 1) * SIDE)
            shared = block.intersection(box)
            inside, outside = shared.shifted(-block.y0, -block.x0), shared.shifted(-box.y0, -box.x0)
            found[:, *outside.slices] = _block(seed, copy, row, column)[:, *inside.slices]
    return found


def _block(seed: int, copy: int, row: int, column: int) -> NDArray[np.float32]:
    """Return the noise of one block, (3, 64, 64)."""
    from scipy.special import ndtri

    key = np.array([seed & _WORD, copy], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([0, 0, row, column], dtype=np.uint64))
    words = bits.random_raw(CHANNELS * SIDE * SIDE)
    shares = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    values: NDArray[np.float32] = ndtri(shares).astype(np.float32).reshape(CHANNELS, SIDE, SIDE)
    return values


class NoisyImage:
    """A masked image whose own pixels carry noise; what is masked out stays the constant it is.

    Parameters
    ----------
    source
        The image.
    smooth
        How much noise, and its seed. Values are not cut off at 0 and 1.
    copy
        Which copy this is.
    """

    def __init__(self, source: "MaskedImage", smooth: "SmoothGrad", copy: int) -> None:
        self._source = source
        self._smooth = smooth
        self._copy = copy
        self.shape = source.shape
        self.dtype = source.dtype
        self.flat_value = source.flat_value

    def is_flat(self, *slices: slice) -> bool:
        """Return True if a region is masked out entirely."""
        return self._source.is_flat(*slices)

    def read(self, *slices: slice) -> NDArray[Any]:
        """Return a region, (rows, columns) of the source, as (3, y, x) with its noise."""
        pixels = self._source.read(*slices)
        shown = self._source.shown(*slices)
        if shown.any():
            rows, columns = slices
            here = Box(rows.start, rows.stop, columns.start, columns.stop)
            here = here.shifted(self._source.box.y0, self._source.box.x0)
            noise = normal_noise(self._smooth.seed, self._copy, here)
            pixels = pixels + np.float32(self._smooth.noise) * noise * shown
        return pixels
