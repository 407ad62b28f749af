"""A part of a probability map that has just been computed. No torch in here."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MapUpdate:
    """A part of the probability map that has just been computed."""

    y0: int
    """First row of the part."""
    x0: int
    """First column of the part."""
    probabilities: NDArray[np.float32]
    """Class probabilities (class, rows, columns); NaN in cells that are not computed."""


MapCallback = Callable[[MapUpdate], object]
"""Called with each part, on the thread that does the work."""
