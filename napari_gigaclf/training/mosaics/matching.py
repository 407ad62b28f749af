"""Finds tumour tiles and normal tiles of the same colours, so that colour does not tell a lesion from a sham.

Matching on the propensity score (Rosenbaum and Rubin 1983), here two of them, and on colour itself: a tile's place is

    z = (logit linear / sd,  logit trees / sd,  12 principal components of the colour features / sd of the first)

with log odds "tumour" that come from models which did not see the tile (`colour_model`). Pairs are taken in order of
their distance in z, nearest first, each tile once, up to a caliper. Scores alone do not do: matched on one score, trees
refitted on the matched tiles still reach an AUC of 0.72.

Known weakness: the archives carry no slide or patient. What is matched is the colour of tiles within one archive; a
trace is left (`controls` measures it) and what is not colour, such as sharpness, is not matched at all.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.colour_model import COLOUR_MODELS, held_out_logits
from napari_gigaclf.training.mosaics.colours import Features, colour_features
from napari_gigaclf.training.mosaics.pools import Indices, Pools, TilePool
from napari_gigaclf.training.mosaics.settings import Split
from napari_gigaclf.training.tiles import Tiles

CALIPER: Final = 0.5
"""Largest distance of a pair, in standard deviations of a score."""
_REPEATS: Final = 2
_COMPONENTS: Final = 12
_NEAREST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matching:
    """The outcome for one archive."""

    tumour: Indices
    """(P,) nearest pair first."""
    sham: Indices
    """(P,) partners."""
    background: Indices
    """(B,) normal tiles without a partner."""
    distances: NDArray[np.float64]
    """(P,) between partners."""


def match_colours(tiles: Tiles, *, caliper: float = CALIPER, seed: int = 0) -> Matching:
    """Match the tumour tiles (class 1) of an archive with normal tiles (class 0); tiles stored twice count once.

    Raises
    ------
    CohortError
        Other classes, too few tiles, or no pair within the caliper.
    """
    kept = distinct(tiles.images)
    labels = tiles.labels[kept]
    counts = {label: int(np.sum(labels == label)) for label in np.unique(labels).tolist()}
    if set(counts) != {0, 1} or min(counts.values()) < 2 * _COMPONENTS:
        raise CohortError(f"tiles to match are normal (0) and tumour (1), {2 * _COMPONENTS} of each; found {counts}")
    features = colour_features(tiles.images[kept])
    places = _places(features, labels, seed)
    pairs, distances = nearest_pairs(places[labels == 1], places[labels == 0], caliper)
    if not len(pairs):
        raise CohortError(f"no tumour tile has a normal tile of its colours within {caliper}: widen the caliper")
    tumour, normal = kept[labels == 1], kept[labels == 0]
    sham = normal[pairs[:, 1]]
    return Matching(
        tumour=tumour[pairs[:, 0]], sham=sham, background=np.setdiff1d(normal, sham), distances=distances
    )


def distinct(images: NDArray[np.uint8]) -> Indices:
    """Return the indices of tiles without those whose pixels an earlier one has."""
    first: dict[bytes, int] = {}
    for index, image in enumerate(images):
        first.setdefault(hashlib.sha256(np.ascontiguousarray(image)).digest(), index)
    return np.array(sorted(first.values()), np.int64)


def nearest_pairs(
    first: NDArray[np.float64], second: NDArray[np.float64], caliper: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs (P, 2) of rows of ``first`` and ``second``, nearest first, each row once, and their distances.

    Only the 60 nearest of each row of ``first`` are candidates.
    """
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(_NEAREST, len(second))).fit(second)
    distances, partners = near.kneighbors(first)
    free = np.ones(len(first), bool), np.ones(len(second), bool)
    pairs, gaps = [], []
    for flat in np.argsort(distances, axis=None, kind="stable").tolist():
        row, rank = divmod(flat, distances.shape[1])
        partner = int(partners[row, rank])
        if distances[row, rank] > caliper:
            break
        if free[0][row] and free[1][partner]:
            free[0][row] = free[1][partner] = False
            pairs.append((row, partner))
            gaps.append(float(distances[row, rank]))
    return np.array(pairs, np.int64).reshape(-1, 2), np.array(gaps)


def make_pools(train: Tiles, test: Tiles | None, *, tune_share: float, seed: int, caliper: float = CALIPER) -> Pools:
    """Match both archives and split the first; no tile is in two pools.

    Parameters
    ----------
    train
        Archive for the splits train and tune.
    test
        Archive for the split test; None makes no test slides.
    tune_share
        Share of pairs and of background tiles of ``train`` set aside for tune, 0 to 0.5.
    seed
        Draws the folds of the colour models and the tiles set aside.
    caliper
        See `match_colours`.

    Raises
    ------
    CohortError
        See `match_colours`.
    """
    if not 0 <= tune_share <= 0.5:
        raise CohortError(f"a share of {tune_share} cannot be set aside for tuning: 0 to 0.5")
    generator = np.random.default_rng([seed, 1])
    whole = match_colours(train, caliper=caliper, seed=seed)
    pairs, others = generator.permutation(len(whole.tumour)), generator.permutation(whole.background)
    num_pairs, num_others = round(tune_share * len(pairs)), round(tune_share * len(others))
    pools: dict[Split, TilePool] = {
        "train": _pool(train, whole, pairs[num_pairs:], others[num_others:]),
        "tune": _pool(train, whole, pairs[:num_pairs], others[:num_others]),
    }
    if test is not None:
        matched = match_colours(test, caliper=caliper, seed=seed)
        pools["test"] = _pool(test, matched, np.arange(len(matched.tumour)), matched.background)
    return pools


def _pool(tiles: Tiles, matching: Matching, pairs: Indices, background: Indices) -> TilePool:
    pairs = np.sort(pairs)
    return TilePool(
        images=tiles.images,
        tumour=matching.tumour[pairs],
        sham=matching.sham[pairs],
        background=np.sort(background),
    )


def _places(features: Features, labels: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return (N, 2 + 12) coordinates in which partners shall be near each other."""
    from sklearn.decomposition import PCA

    scores = [held_out_logits(which, features, labels, repeats=_REPEATS, seed=seed) for which in COLOUR_MODELS]
    components = PCA(_COMPONENTS, random_state=seed).fit_transform(features.astype(np.float64))
    return np.column_stack([*(score / score.std() for score in scores), components / components[:, 0].std()])
