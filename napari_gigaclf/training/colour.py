"""What colour the training tissue had, so that a slide of another colour can be told apart."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.models.card import ColourStatistics

TISSUE_DENSITY = 0.06
"""Mean optical density over channels above which a pixel counts as tissue (glass is near 0)."""
LEAST_SPREAD = 0.02
"""Of a colour channel, in units of [0, 1]."""
_DENSITY = -np.log10((np.arange(256) + 1.0) / 256.0)


def tissue_spread(images: Iterable[NDArray[np.uint8]]) -> tuple[float, float, float]:
    """Return the standard deviation of tissue pixels per channel, in units of [0, 1], of tiles, each (H, W, 3).

    Where there is no tissue, all pixels count.
    """
    counts = np.zeros((2, 3, 256), np.int64)
    for image in images:
        tissue = _DENSITY[image].mean(-1) > TISSUE_DENSITY
        for channel in range(3):
            counts[0, channel] += np.bincount(image[tissue][:, channel], minlength=256)
            counts[1, channel] += np.bincount(image[..., channel].ravel(), minlength=256)
    found = counts[0] if counts[0].any() else counts[1]
    share, values = found / found.sum(1, keepdims=True), np.arange(256) / 255.0
    mean = share @ values
    red, green, blue = np.sqrt((share * np.square(values - mean[:, None])).sum(1)).clip(LEAST_SPREAD)
    return float(red), float(green), float(blue)


def colour_statistics(images: Iterable[NDArray[np.uint8]]) -> ColourStatistics | None:
    """Return the statistics of the tissue pixels of tiles, each (H, W, 3); None where there is no tissue."""
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
    if not count:
        return None
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
