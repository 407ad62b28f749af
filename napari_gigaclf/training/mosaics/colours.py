"""What is known of a tile from its colours alone: no pixel's place enters any of these numbers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_DENSITY: Final = (-np.log10((np.arange(256) + 1.0) / 256.0)).astype(np.float32)
_JOINT_STEPS: Final = 8
_CHANNEL_STEPS: Final = 16

NUM_MOMENTS: Final = 6
"""The first features: means of red, green and blue density, then their standard deviations."""

Features = NDArray[np.float32]


def colour_features(images: NDArray[np.uint8]) -> Features:
    """Return colour features of pictures.

    Mean and standard deviation of optical density per channel, the square roots of the shares of 16 intensities per
    channel, and those of 8 x 8 x 8 joint colours (the Euclidean distance of square roots is Hellinger's).

    Parameters
    ----------
    images
        (N, H, W, 3) uint8.

    Returns
    -------
    Features
        (N, 566).
    """
    return np.stack([_of_pixels(image.reshape(-1, 3)) for image in images])


def _of_pixels(pixels: NDArray[np.uint8]) -> Features:
    density = _DENSITY[pixels]
    codes = (pixels >> 5).astype(np.int32)
    joint = np.bincount((codes[:, 0] * _JOINT_STEPS + codes[:, 1]) * _JOINT_STEPS + codes[:, 2], minlength=512)
    single = [np.bincount(pixels[:, k] >> 4, minlength=_CHANNEL_STEPS) for k in range(3)]
    shares = np.concatenate([*single, joint]) / len(pixels)
    return np.concatenate([density.mean(0), density.std(0), np.sqrt(shares)]).astype(np.float32)
