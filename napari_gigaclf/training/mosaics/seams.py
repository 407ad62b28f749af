"""What seams could tell: the steps of colour between neighbouring tiles, once every tile is of one colour."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_DECILES: Final = tuple(range(0, 101, 10))
_WINDOWS: Final = (3, 5, 7)

Floats = NDArray[np.float64]


def seam_features(picture: Floats) -> Floats:
    """Return features of the seams of a mosaic of plain tiles.

    Parameters
    ----------
    picture
        (n, n, 3) optical density of each cell; NaN on glass.

    Returns
    -------
    Floats
        Deciles of the steps over all seams, then, for windows of 3, 5 and 7 cells full of tissue: least and largest
        mean step, and least and largest mean density of each channel.
    """
    steps = [np.linalg.norm(np.diff(picture, axis=axis), axis=-1) for axis in (0, 1)]
    everywhere = np.concatenate([step[np.isfinite(step)] for step in steps])
    found = [np.percentile(everywhere, _DECILES)]
    of_cells = _step_of_cells(steps, picture.shape[0])
    for side in _WINDOWS:
        for channel in (of_cells, *np.moveaxis(picture, -1, 0)):
            found.append(_extremes(channel, side))
    return np.concatenate(found)


def _step_of_cells(steps: list[Floats], num: int) -> Floats:
    """Return each cell's mean step to the cells below and right of it, NaN where either is missing."""
    down, right = np.full((num, num), np.nan), np.full((num, num), np.nan)
    down[:-1], right[:, :-1] = steps
    return np.asarray((down + right) / 2, np.float64)


def _extremes(values: Floats, side: int) -> Floats:
    """Return the least and largest mean over windows without a NaN; zeros where there is no such window."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side)).mean((-2, -1))
    full = windows[np.isfinite(windows)]
    return np.array([full.min(), full.max()]) if full.size else np.zeros(2)
