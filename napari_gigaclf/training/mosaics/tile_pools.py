"""From two archives of tiles to the pools of the three splits: no tile stored twice, none in two pools."""

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.colour_model import fitted_rivals
from napari_gigaclf.training.mosaics.colours import Features, colour_features
from napari_gigaclf.training.mosaics.matching import NEAREST_SHARE, Matching, distinct, match_colours
from napari_gigaclf.training.mosaics.pools import Indices, Pools, TilePool
from napari_gigaclf.training.mosaics.settings import Split
from napari_gigaclf.training.tiles import Tiles, split


def make_pools(
    train: Tiles, test: Tiles | None, *, tune_share: float, seed: int, share: float = NEAREST_SHARE
) -> Pools:
    """Divide the first archive into train and tune, and match each split's tiles.

    Parameters
    ----------
    train
        Archive for the splits train and tune, which may share slides and patients: archives do not say.
    test
        Archive for the split test; None makes no test slides.
    tune_share
        Share of ``train`` set aside for tune, 0 to 0.5.
    seed
        Draws the tiles set aside and the folds of the colour models.
    share
        See `match_colours`.

    Raises
    ------
    CohortError
        See `match_colours`.
    """
    if not 0 <= tune_share <= 0.5:
        raise CohortError(f"a share of {tune_share} cannot be set aside for tuning: 0 to 0.5")
    kept = distinct(train.images)
    labels, features = train.labels[kept], colour_features(train.images[kept])
    main, aside = split(labels, round(tune_share * len(kept)), seed)
    matched = match_colours(features[main], labels[main], share=share, seed=seed)
    rivals = fitted_rivals(*_pairs(features[main], matched), seed=seed)
    pools: dict[Split, TilePool] = {"train": _pool(train, kept[main], matched)}
    if len(aside):
        found = match_colours(features[aside], labels[aside], share=share, rivals=rivals, seed=seed)
        pools["tune"] = _pool(train, kept[aside], found)
    if test is not None:
        others = distinct(test.images)
        test_features = colour_features(test.images[others])
        found = match_colours(test_features, test.labels[others], share=share, rivals=rivals, seed=seed)
        pools["test"] = _pool(test, others, found)
    return pools


def _pairs(features: Features, matching: Matching) -> tuple[Features, NDArray[np.int64]]:
    rows = np.concatenate([matching.tumour, matching.sham])
    return features[rows], np.repeat(np.array([1, 0], np.int64), len(matching.tumour))


def _pool(tiles: Tiles, index_of: Indices, matching: Matching) -> TilePool:
    """Return a pool in terms of the archive's tiles; ``index_of`` are those that were matched."""
    return TilePool(
        images=tiles.images,
        tumour=index_of[matching.tumour],
        sham=index_of[matching.sham],
        background=index_of[matching.background],
    )
