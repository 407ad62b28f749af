"""Finds tumour tiles and normal tiles of the same colours, so that colour does not tell a lesion from a sham.

Matching on propensity scores (Rosenbaum and Rubin 1983), and on colour itself: a tile's place is

    z = (log odds of each model / sd, ..., 12 principal components of the colour features / sd of the first)

with log odds "tumour" from a linear model and from trees that did not see the tile. Tiles for tune and test have three
more: log odds of **rivals**, models fitted on the training pairs, which is what a network could learn from them.
Pairs are taken in order of their distance in z, nearest first, each tile once, until a share of the tumour tiles has a
partner; then pairs are left out until partners differ in nothing on average (`balance`).

Each step is needed (AUC of colour models on matched tiles of PatchCamelyon, where .5 is wanted): matched on one score,
trees refitted on the pairs reach .72; matched on z, .58, and a linear model goes from training pairs to test pairs with
.60; with rivals and balance it does with .52.

Known weakness: the archives carry no slide or patient. What is matched is the colour of tiles; a trace is left
(`controls` measures it), and what is not colour, such as sharpness, is not matched at all. Test pairs are chosen with
their labels known, and with models of training tiles: a construction, not an estimate of how frequent such tiles are.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.balance import balanced
from napari_gigaclf.training.mosaics.colour_model import COLOUR_MODELS, held_out_logits, model_logits
from napari_gigaclf.training.mosaics.colours import NUM_MOMENTS, Features
from napari_gigaclf.training.mosaics.pools import Indices

NEAREST_SHARE: Final = 0.25
"""Share of the tumour tiles that get a partner."""
BALANCED_SHARE: Final = 0.7
"""Share of these pairs that is kept for balance."""
_REPEATS: Final = 2
_COMPONENTS: Final = 12
_NEAREST: Final = 60
_MOST_BALANCED: Final = 120
_PAIRS_PER_BALANCED: Final = 8
_BALANCE_WEIGHT: Final = 3.0
"""Of what is balanced first: scores and moments of colour, against principal components."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matching:
    """Rows of the features that were matched."""

    tumour: Indices
    """(P,)"""
    sham: Indices
    """(P,) partners."""
    background: Indices
    """(B,) normal tiles without a partner."""


def match_colours(
    features: Features,
    labels: NDArray[np.int64],
    *,
    share: float = NEAREST_SHARE,
    rivals: Sequence[Any] = (),
    seed: int = 0,
) -> Matching:
    """Match tumour tiles (label 1) with normal tiles (label 0).

    Parameters
    ----------
    features
        (N, F) of tiles that are all different, see `colour_features`.
    labels
        (N,)
    share
        Of the tumour tiles, to be given a partner before balancing; fewer are better matched.
    rivals
        Fitted models whose scores partners shall share as well.
    seed
        Draws the folds of the colour models.

    Raises
    ------
    CohortError
        Other classes, or too few tiles.
    """
    counts = {label: int(np.sum(labels == label)) for label in np.unique(labels).tolist()}
    if set(counts) != {0, 1} or min(counts.values()) < 2 * _COMPONENTS:
        raise CohortError(f"tiles to match are normal (0) and tumour (1), {2 * _COMPONENTS} of each; found {counts}")
    if not 0 < share <= 1:
        raise CohortError(f"a share of {share} of the tumour tiles cannot be matched: above 0, at most 1")
    scores = _scores(features, labels, rivals, seed)
    tumour, normal = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    places = np.column_stack([scores, _components(features, seed)])
    pairs = nearest_pairs(places[tumour], places[normal], max(1, round(share * len(tumour))))
    first, second = tumour[pairs[:, 0]], normal[pairs[:, 1]]
    exact = _BALANCE_WEIGHT * np.column_stack([scores, _moments(features)])
    measures = np.column_stack([_whitened(features, len(pairs), seed), exact])
    kept = balanced(measures[first] - measures[second], max(1, round(BALANCED_SHARE * len(pairs))))
    # Normal tiles whose pair was left out look like tumour; in the background they do so in both twins.
    return Matching(tumour=first[kept], sham=second[kept], background=np.setdiff1d(normal, second[kept]))


def distinct(images: NDArray[np.uint8]) -> Indices:
    """Return the indices of tiles without those whose pixels an earlier one has."""
    first: dict[bytes, int] = {}
    for index, image in enumerate(images):
        first.setdefault(hashlib.sha256(image.tobytes()).digest(), index)
    return np.array(sorted(first.values()), np.int64)


def nearest_pairs(first: Floats, second: Floats, count: int) -> NDArray[np.int64]:
    """Return up to ``count`` pairs (P, 2) of rows of ``first`` and ``second``, nearest first, each row once.

    Only the 60 nearest of each row of ``first`` are candidates.
    """
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(_NEAREST, len(second))).fit(second)
    distances, partners = near.kneighbors(first)
    free = np.ones(len(first), bool), np.ones(len(second), bool)
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(distances, axis=None, kind="stable").tolist():
        row, rank = divmod(flat, distances.shape[1])
        partner = int(partners[row, rank])
        if len(pairs) < count and free[0][row] and free[1][partner]:
            free[0][row] = free[1][partner] = False
            pairs.append((row, partner))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _scores(features: Features, labels: NDArray[np.int64], rivals: Sequence[Any], seed: int) -> Floats:
    """Return (N, own models + rivals) log odds in units of their standard deviation."""
    own = [held_out_logits(which, features, labels, repeats=_REPEATS, seed=seed) for which in COLOUR_MODELS]
    scores = np.column_stack([*own, *(model_logits(rival, features) for rival in rivals)])
    return np.asarray(scores / np.maximum(scores.std(0), np.finfo(float).tiny), np.float64)


def _components(features: Features, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    found = PCA(_COMPONENTS, random_state=seed).fit_transform(features.astype(np.float64))
    return np.asarray(found / found[:, 0].std(), np.float64)


def _moments(features: Features) -> Floats:
    """Return mean and spread of each channel, and products of the means: balanced, means have the same covariance.

    Without the products, tumour tiles of the test archive differed by 3 % more from each other than their partners did,
    which the steps between neighbours in a lesion of fifty told.
    """
    first = features[:, :NUM_MOMENTS].astype(np.float64)
    first = (first - first.mean(0)) / np.maximum(first.std(0), np.finfo(float).tiny)
    rows, columns = np.triu_indices(NUM_MOMENTS // 2)
    return np.column_stack([first, first[:, rows] * first[:, columns]])


def _whitened(features: Features, num_pairs: int, seed: int) -> Floats:
    """Return as many principal components of unit variance as so many pairs can be balanced in."""
    from sklearn.decomposition import PCA

    varying = features[:, features.std(0) > 0].astype(np.float64)
    scaled = (varying - varying.mean(0)) / varying.std(0)
    count = max(1, min(_MOST_BALANCED, num_pairs // _PAIRS_PER_BALANCED, *scaled.shape))
    return np.asarray(PCA(count, whiten=True, random_state=seed).fit_transform(scaled), np.float64)
