"""What colour the training tissue had, so that a slide of another colour can be told apart."""

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.models.card import ColourStatistics

TISSUE_DENSITY = 0.06
"""Mean optical density over channels above which a pixel counts as tissue (glass is near 0)."""
_DENSITY = -np.log10((np.arange(256) + 1.0) / 256.0)


def colour_statistics(images: NDArray[np.uint8]) -> ColourStatistics:
    """Return the statistics of the tissue pixels of tiles (N, H, W, 3)."""
    total = np.zeros(3)
    squares = np.zeros(3)
    count = 0
    means = []
    for image in images:
        density = _DENSITY[image].reshape(-1, 3)
        tissue = density[density.mean(1) > TISSUE_DENSITY]
        if not len(tissue):
            continue
        total += tissue.sum(0)
        squares += np.square(tissue).sum(0)
        count += len(tissue)
        means.append(tissue.mean(0))
    mean = total / count
    return ColourStatistics(
        mean=_triple(mean),
        std=_triple(np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))),
        between=_triple(np.std(means, axis=0)),
        tissue_density=TISSUE_DENSITY,
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue
