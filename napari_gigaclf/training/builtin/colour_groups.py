"""Tiles of like colours, to be left out together: their names tell no slide, but stain and scanner tell slides apart.

A selection drawn at random shares every slide with the training tiles, and flatters. Groups of colours are no slides,
yet a network that is chosen by groups it has not seen is chosen by tissue that looks unlike its own.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

NUM_GROUPS = 40
_TISSUE_DENSITY = 0.3
"""Summed optical density above which a pixel counts as tissue."""
_FEW_PIXELS = 200
_WEIGHTS = np.array([0.0125] * 3 + [15.0] * 3 + [15.0] * 3 + [0.7] * 2)
"""Make the brightest colour, the two directions of stain and the two densities comparable."""


def colour_groups(images: NDArray[np.uint8], num_groups: int = NUM_GROUPS) -> NDArray[np.int64]:
    """Return each tile's group, (N,), 0 to ``num_groups`` - 1.

    Parameters
    ----------
    images
        (N, H, W, 3), RGB.
    num_groups
        How many groups of like colours are made (k-means).
    """
    looks = np.array([_look(image) for image in images]) * _WEIGHTS
    groups = KMeans(num_groups, n_init=3, random_state=0).fit(looks).labels_
    return np.asarray(groups, np.int64)


def leave_groups_out(groups: NDArray[np.int64], num_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (kept, left out): the indices of the tiles outside and inside ``num_out`` groups that are drawn."""
    left_out = np.isin(groups, np.random.default_rng(seed).permutation(groups.max() + 1)[:num_out])
    return np.flatnonzero(~left_out), np.flatnonzero(left_out)


def _look(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how a tile is stained, (11,): its white, the colours of what is dark and of what is pale, its density."""
    pixels = image.reshape(-1, 3).astype(np.float32)
    density = -np.log10((pixels + 1) / 256)
    tissue = density[density.sum(1) > _TISSUE_DENSITY]
    density = tissue if len(tissue) > _FEW_PIXELS else density
    direction = density / (np.linalg.norm(density, axis=1, keepdims=True) + 1e-6)
    total = density.sum(1)
    dark = direction[total >= np.percentile(total, 85)].mean(0)
    pale = direction[total <= np.percentile(total, 40)].mean(0)
    white = np.percentile(pixels, 98, axis=0)
    return np.concatenate([white, dark, pale, np.percentile(total, [50, 95])]).astype(np.float32)
