"""The tiles that slides are made of, matched once and remembered."""

from pathlib import Path

import numpy as np

from napari_gigaclf.training.mosaics import Pools, TilePool, make_pools
from napari_gigaclf.training.mosaics.settings import SPLITS
from napari_gigaclf.training.tiles import read_tar
from napari_gigaclf.writing import replacing

TUNE_SHARE = 0.2
"""Of the training tiles, set aside to choose epochs by."""
_ROLES = ("tumour", "sham", "background")


def pools_of(tiles_train: Path, tiles_test: Path, folder: Path, seed: int) -> Pools:
    """Return the pools of tiles, matched in colour, or those matched before.

    Parameters
    ----------
    tiles_train, tiles_test
        Archives of tiles.
    folder
        Where decoded tiles and the pools are kept; it belongs to these archives and this seed.
    seed
        Of the tiles set aside and of matching.
    """
    archives = {"train": tiles_train, "tune": tiles_train, "test": tiles_test}
    tiles = {path: read_tar(path, cache=folder) for path in set(archives.values())}
    stored = folder / f"pools-{seed}.npz"
    if not stored.is_file():
        made = make_pools(tiles[tiles_train], tiles[tiles_test], tune_share=TUNE_SHARE, seed=seed)
        with replacing(stored) as beside, beside.open("wb") as file:
            np.savez(file, **{f"{split}_{role}": getattr(made[split], role) for split in SPLITS for role in _ROLES})
    with np.load(stored) as found:
        return {
            split: TilePool(images=tiles[archives[split]].images, **{role: found[f"{split}_{role}"] for role in _ROLES})
            for split in SPLITS
        }
