"""What stained tissue does to light, for changing its colours; shared by tiles, whole slides and mosaics.

Densities -log I of dyes add up (Ruifrok and Johnston 2001), so a dye is made stronger or weaker by a matrix on them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STAIN_RGB = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Absorption of haematoxylin, eosin and the residual (DAB) in red, green, blue."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the grey of a colour (ITU-R BT.601)."""


def stain_change(factors: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
    """Return M^-1 diag(factors) M, (3, 3), for rows of log intensity: each stain multiplied by its factor.

    Parameters
    ----------
    factors
        Of haematoxylin, eosin and the residual.
    """
    matrix = np.asarray(STAIN_RGB)
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(np.linalg.inv(matrix) @ (np.asarray(factors)[:, None] * matrix), np.float32)


def change_rows(rows: NDArray[np.float32], change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``rows @ change``, (..., 3), summed in one order whatever the shape.

    A BLAS's order varies, and with it the last bit: a region read alone would differ from that region of the whole.
    """
    changed = rows[..., 0:1] * change[0] + rows[..., 1:2] * change[1] + rows[..., 2:3] * change[2]
    return np.asarray(changed, np.float32)
