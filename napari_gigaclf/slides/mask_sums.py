"""Adds a mask up once, so that how much of any box of it is set takes four look-ups."""

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.int32] | NDArray[np.int64]
"""Numbers of yes above and to the left, (rows + 1, columns + 1)."""


def integral(values: NDArray[np.bool_]) -> Sums:
    """Return the number of yes in ``values[:i, :j]`` for every i, j: (rows + 1, columns + 1).

    In 32 bits where they hold the sum of all: the mask of a gigapixel slide has 40 million pixels.
    """
    dtype = np.int32 if values.size <= np.iinfo(np.int32).max else np.int64
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1), dtype=dtype)
    np.cumsum(values, axis=0, dtype=dtype, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return total
