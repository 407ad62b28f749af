"""The slide at the network's scale, made region by region, the same pixels whichever regions are asked for.

Output pixel i of an axis lies, in pixels of the level that is read, at

    c_i = (i + 1/2) f - 1/2            f = pixels of the level per output pixel
    out_i = sum_k w_ik in_k / sum_k w_ik,      w_ik = K((k - c_i) / max(f, 1)),   k inside the level

with Keys' cubic kernel K (a = -1/2; Keys 1981, doi:10.1109/TASSP.1981.1163711). Stretching K by f when shrinking is the
anti-aliasing that Pillow's ``BICUBIC`` does too. Weights depend on i alone and sums run tap by tap, so a region read
alone equals, to the last bit, that region of a larger read. Known weakness: the cubic overshoots at sharp edges; values
are clipped to [0, 1].
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Image = NDArray[np.float32]
"""Pixels (C, y, x) in [0, 1]."""
KERNEL_RADIUS = 2.0
"""Half the width of Keys' kernel."""
BYTE = np.float32(255.0)
"""Largest value of an 8-bit pixel."""


class PixelReader(Protocol):
    """Reads a region of a slide's level; a ``Slide`` fits."""

    def read(self, level: int, y0: int, y1: int, x0: int, x1: int, /) -> NDArray[np.generic]:
        """Return the pixels (y, x, C) of a region."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """Where the outputs of one axis take their values from."""

    start: int
    """First position of the level that is read."""
    stop: int
    """One beyond the last position that is read."""
    matrix: csr_array
    """Weights, (outputs, positions read), each row sums to 1."""


@lru_cache(maxsize=256)
def taps(first: int, last: int, factor: float, length: int) -> Taps:
    """Return the taps of outputs ``first <= i < last`` of an axis of ``length`` pixels.

    Examples
    --------
    >>> row = taps(0, 4, 2.0, 8)
    >>> row.matrix.shape, (row.start, row.stop)
    ((4, 8), (0, 8))
    """
    stretch = max(factor, 1.0)
    radius = KERNEL_RADIUS * stretch
    centre = ((np.arange(first, last, dtype=np.float64) + 0.5) * factor - 0.5)[:, None]
    num_taps = int(np.ceil(2 * radius)) + 2
    index = np.floor(centre - radius).astype(np.intp) + np.arange(num_taps, dtype=np.intp)
    weight = keys_cubic((index - centre) / stretch)
    weight[(index < 0) | (index >= length)] = 0.0
    weight /= weight.sum(axis=1, keepdims=True)
    used = weight != 0
    start, stop = int(index[used].min()), int(index[used].max()) + 1
    ends = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    matrix = csr_array((weight[used].astype(np.float32), index[used] - start, ends), shape=(last - first, stop - start))
    return Taps(start=start, stop=stop, matrix=matrix)


def keys_cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Keys' cubic convolution kernel (a = -1/2) at ``t``."""
    s = np.abs(t)
    near = (1.5 * s - 2.5) * s * s + 1.0
    far = ((-0.5 * s + 2.5) * s - 4.0) * s + 2.0
    kernel: NDArray[np.float64] = np.where(s <= 1, near, np.where(s < KERNEL_RADIUS, far, 0.0))
    return kernel


class LevelImage:
    """A level of a brightfield slide as float32 (3, y, x) in [0, 1], at the network's scale.

    Parameters
    ----------
    reader
        The slide; read on the calling thread.
    level
        Level that is read.
    level_shape
        Height and width of that level, pixels.
    factor
        Pixels of the level per output pixel, (y, x); (1.0, 1.0) reads the level as it is.
    shape
        Height and width of the output, pixels.
    """

    def __init__(
        self,
        reader: PixelReader,
        level: int,
        level_shape: tuple[int, int],
        factor: tuple[float, float],
        shape: tuple[int, int],
    ) -> None:
        self._reader = reader
        self._level = level
        self._level_shape = level_shape
        self._factor = factor
        self.shape = shape

    def read(self, y0: int, y1: int, x0: int, x1: int) -> Image:
        """Return a region of the output, (3, y1 - y0, x1 - x0); it must lie inside ``shape``."""
        if self._factor == (1.0, 1.0):
            return self._pixels(y0, y1, x0, x1)
        rows = taps(y0, y1, self._factor[0], self._level_shape[0])
        columns = taps(x0, x1, self._factor[1], self._level_shape[1])
        pixels = self._reader.read(self._level, rows.start, rows.stop, columns.start, columns.stop)
        return weigh(pixels.astype(np.float32), rows, columns)

    def _pixels(self, y0: int, y1: int, x0: int, x1: int) -> Image:
        """Read the level itself."""
        pixels = self._reader.read(self._level, y0, y1, x0, x1)
        image: Image = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
        image /= BYTE
        return image


def weigh(pixels_yxc: NDArray[np.float32], rows: Taps, columns: Taps) -> Image:
    """Return the weighted sums over rows and columns, (C, y, x) in [0, 1], of 8-bit values (y, x, C).

    The sparse product adds tap after tap; a dense one would round differently for regions of different shapes.
    """
    height, width, channels = pixels_yxc.shape
    num_rows, num_columns = rows.matrix.shape[0], columns.matrix.shape[0]
    tall = (rows.matrix @ pixels_yxc.reshape(height, -1)).reshape(num_rows, width, channels)
    tall_xcy = np.ascontiguousarray(tall.transpose(1, 2, 0)).reshape(width, -1)
    out_xcy = (columns.matrix @ tall_xcy).reshape(num_columns, channels, num_rows)
    out: Image = np.ascontiguousarray(out_xcy.transpose(1, 2, 0))
    out /= BYTE
    return np.clip(out, 0.0, 1.0, out=out)
