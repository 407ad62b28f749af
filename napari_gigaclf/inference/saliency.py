"""Why the network answers as it does: how strongly each pixel moves the logit of a class.

    raw(y, x) = max_c | d logit / d pixel(c, y, x) |           pixels in [0, 1]

(Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034; over whole slides Pinckaers, van Ginneken and Litjens 2020,
arXiv:1911.04432.) The gradient is exact, by the streamed backward pass, and is that of the *slide's* pixels: glass does
not enter the network, so it has none. For the eye the raw map is averaged over small blocks, blurred, capped and its
upper half shown; the raw map is kept. Known weakness: the gradient is local, it says what would change the answer, not
what the answer is made of.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.masking import MaskedImage

SIGMA_UM = 25.0
"""Standard deviation of the blur in micrometres (in pixels of the input where the scale is unknown)."""
CAP_PERCENTILE = 99.0
"""Percentile of the non-zero values at which the blurred map is capped."""
SHOWN_FROM = 0.5
"""Share of the cap from which the map is shown."""
BLOCKS_PER_SIGMA = 4
"""Blocks that the raw map is averaged over, per standard deviation of the blur."""
MAX_SHOWN_PIXELS = 1 << 26
"""Most pixels of the shown map; blocks grow beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saliency:
    """A saliency map, as it is shown and as it is."""

    values: Any
    """Shown map (y, x), float32, 0 to 1; 0 where nothing is shown."""
    grid: PixelGrid
    """Place of ``values`` over level 0."""
    raw: Any
    """Largest magnitude of the gradient over channels (y, x), float32, at the network's scale."""
    raw_grid: PixelGrid
    """Place of ``raw`` over level 0."""
    class_name: str
    """Class whose logit was differentiated."""
    logit: str
    """What the logit is, for a person."""
    normalisation: str
    """What was done to ``raw`` to give ``values``."""


class MagnitudeSink:
    """Takes the input gradient region by region and keeps its magnitude.

    Parameters
    ----------
    raw
        Zeros (y, x) over the source; filled.
    source
        What was streamed; its masked pixels get no gradient.
    """

    def __init__(self, raw: NDArray[np.float32], source: MaskedImage) -> None:
        self.raw = raw
        self._source = source

    def write(self, slices: tuple[slice, ...], array: NDArray[Any]) -> None:
        """Keep the magnitude of the gradient (C, y, x) of a region of the source."""
        if array.any():
            self.raw[slices] = np.abs(array).max(axis=0) * self._source.shown(*slices)


def shown_map(
    raw: NDArray[np.float32], raw_grid: PixelGrid, um_per_px: tuple[float, float] | None, sigma_um: float = SIGMA_UM
) -> tuple[NDArray[np.float32], PixelGrid, str]:
    """Return the map for the eye, its place over level 0, and what was done, in words.

    Parameters
    ----------
    raw
        Magnitudes (y, x).
    raw_grid
        Their place over level 0.
    um_per_px
        Micrometres per pixel of ``raw``, (y, x); None where unknown: the blur is then in pixels.
    sigma_um
        Standard deviation of the blur, micrometres.
    """
    from scipy.ndimage import gaussian_filter

    unit = um_per_px or (1.0, 1.0)
    sigma = (sigma_um / unit[0], sigma_um / unit[1])
    block = max(1, math.floor(min(sigma) / BLOCKS_PER_SIGMA), math.ceil(math.sqrt(raw.size / MAX_SHOWN_PIXELS)))
    values = block_means(raw, block)
    values = gaussian_filter(values, (sigma[0] / block, sigma[1] / block), mode="constant")
    positive = values[values > 0]
    cap = float(np.percentile(positive, CAP_PERCENTILE)) if positive.size else 0.0
    if cap > 0:
        values = np.minimum(values / np.float32(cap), np.float32(1.0))
        values[values < SHOWN_FROM] = 0.0
    grid = PixelGrid(
        origin=raw_grid.origin, step=(raw_grid.step[0] * block, raw_grid.step[1] * block), shape=values.shape
    )
    words = (
        f"largest magnitude over channels of d logit / d pixel (pixels in [0, 1]), mean over {block} x {block} pixels, "
        f"Gaussian blur with sigma {sigma_um:g} {'um' if um_per_px else 'px'}, divided by the "
        f"{CAP_PERCENTILE:g}th percentile of its non-zero values ({cap:.4g}) and capped there, "
        f"values below {SHOWN_FROM:g} not shown"
    )
    return values, grid, words


def block_means(raw: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Return the means over blocks of a map (y, x), strip by strip; the last ones count what is missing as 0."""
    rows, columns = -(-raw.shape[0] // block), -(-raw.shape[1] // block)
    if block == 1:
        return np.array(raw, dtype=np.float32)
    means = np.zeros((rows, columns), dtype=np.float32)
    starts = np.arange(0, raw.shape[1], block)
    for row in range(rows):
        strip = np.asarray(raw[row * block : (row + 1) * block]).sum(axis=0)
        means[row] = np.add.reduceat(strip, starts)
    means /= block * block
    return means
