"""Made-up tiles: random textures whose first pixel of the centre tells which tile it is."""

import numpy as np
import pytest

from napari_gigaclf.training.mosaics import MosaicSettings, TilePool
from napari_gigaclf.training.tiles import Tiles

NUM_PAIRS = 120
NUM_BACKGROUND = 300


def textures(count: int, seed: int) -> np.ndarray:
    """Return coloured noise, (count, 96, 96, 3)."""
    generator = np.random.default_rng(seed)
    tint = generator.integers(60, 200, (count, 1, 1, 3))
    return np.clip(tint + generator.integers(-40, 40, (count, 96, 96, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return textures(2 * NUM_PAIRS + NUM_BACKGROUND, 7)


@pytest.fixture(scope="session")
def pool(images) -> TilePool:
    order = np.random.default_rng(3).permutation(len(images))
    return TilePool(
        images=images,
        tumour=order[:NUM_PAIRS],
        sham=order[NUM_PAIRS : 2 * NUM_PAIRS],
        background=order[2 * NUM_PAIRS :],
    )


@pytest.fixture(scope="session")
def archive_tiles() -> Tiles:
    """80 normal and 80 tumour tiles with overlapping colours, ten of them stored twice."""
    made = textures(160, 11)
    made[150:] = made[140:150]
    return Tiles(images=made, labels=np.repeat([0, 1], 80))


@pytest.fixture
def small():
    """Settings of a slide small enough for the made-up tiles."""

    def make(**changes: object) -> MosaicSettings:
        return MosaicSettings(**{"side_px": 1536, "lesions": ("macro", "micro", "isolated"), **changes})

    return make
