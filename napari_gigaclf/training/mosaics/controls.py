"""Tries to tell positive from negative mosaics without looking at tissue: by colour, by seams, by having a cluster.

Each fits a classifier on training slides, scores test slides, and reports an AUC whose interval must hold 0.5.
Slides are described by numbers that follow from the plan and from each tile's colours; blending and stain, which only
blur them, are left out (``rendered_control`` paints slides in full).

- *colour*: mean and standard deviation, over a slide's tiles, of the tiles' colour features; logistic regression.
- *colour of tiles*: colour models fitted with the labels of **tiles**, which no learner from slides has; a slide's
  score is its mean over tiles. The strongest attack by colour.
- *seams*: every tile becomes its mean colour, which leaves steps at the seams: their sizes (deciles over the slide) and
  the mean colour and mean step in windows of 3, 5 and 7 cells (least, largest); trees and logistic regression.
- *sham*: a detector of clusters, fitted to tell negatives with a sham from the same slides without one (the cluster's
  cells refilled from the background). It may succeed in that: a sham has the colours of tumour, the background has not.
  But a tumour cluster must look to it like a sham: its score must not tell positives from negatives.

Intervals take half of the test tiles without replacement, build all slides anew from them, and repeat: for means the
variance of half samples without replacement is that of the bootstrap (McCarthy 1969), and no tile comes twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.mosaics.colour_model import COLOUR_MODELS, ColourModel, make_model
from napari_gigaclf.training.mosaics.colours import colour_features
from napari_gigaclf.training.mosaics.plan import BACKGROUND, SlidePlan, plan_slide
from napari_gigaclf.training.mosaics.pools import Pools, TilePool
from napari_gigaclf.training.mosaics.seams import seam_features
from napari_gigaclf.training.mosaics.settings import MosaicSettings, Split

Floats = NDArray[np.float64]
Describe = Callable[[SlidePlan, "TileColours"], Floats]
Score = Callable[[Sequence[SlidePlan], "TileColours"], Floats]
_LEVEL: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What came of one attempt."""

    name: str
    auc: float
    low: float
    high: float
    num_slides: int
    """Test slides."""

    @property
    def passed(self) -> bool:
        """True where the interval holds 0.5."""
        return self.low <= 0.5 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileColours:
    """Colours of all tiles of an archive; turning a tile does not change them."""

    features: NDArray[np.float32]
    """(N, F), see `colour_features`."""
    means: Floats
    """(N, 3) mean optical density."""


def colours_of(pool: TilePool) -> TileColours:
    """Return the colours of a pool's tiles; rows of tiles that it does not use stay 0."""
    used = np.concatenate([pool.tumour, pool.sham, pool.background])
    found = colour_features(pool.images[used])
    features = np.zeros((len(pool.images), found.shape[1]), np.float32)
    features[used] = found
    return TileColours(features=features, means=features[:, :3].astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arena:
    """Where controls run: the settings, the tiles and their colours, and how many slides."""

    settings: MosaicSettings
    pools: Pools
    colours: dict[Split, TileColours]
    seed: int
    num_train: int
    num_test: int
    draws: int

    def plans(self, split: Split, count: int, pool: TilePool | None = None, seed: int | None = None) -> list[SlidePlan]:
        """Return slides of a split, perhaps from other tiles or another seed."""
        chosen = self.pools[split] if pool is None else pool
        number_seed = self.seed if seed is None else seed
        return [plan_slide(self.settings, chosen, seed=number_seed, split=split, number=k) for k in range(count)]


def run_controls(arena: Arena) -> list[Control]:
    """Run all controls on slides of a metastasis or an arrangement set.

    In an arrangement twins hold the same tiles: all but the seams give 0.5 there, but for rounding of sums.
    """
    train = arena.plans("train", arena.num_train)
    labels = _labels(train)
    scores: dict[str, Score] = {}
    for which in COLOUR_MODELS:
        scores[f"colour of slides, {which}"] = _fitted(which, colour_statistics, train, labels, arena)
        scores[f"colour of tiles, {which}"] = _tile_model(which, arena)
        scores[f"seams, {which}"] = _fitted(which, seam_statistics, train, labels, arena)
    scores["sham: cluster detector on positives and negatives"] = _cluster_detector(arena)
    return measured(scores, arena)


def measured(scores: dict[str, Score], arena: Arena) -> list[Control]:
    """Return the AUC of each score on test slides, with the interval over tiles and slides."""
    plans = arena.plans("test", arena.num_test)
    colours = arena.colours["test"]
    values = {name: auc(score(plans, colours), _labels(plans)) for name, score in scores.items()}
    drawn: dict[str, list[float]] = {name: [] for name in scores}
    generator = np.random.default_rng([arena.seed, 2])
    for draw in range(arena.draws):
        again = arena.plans("test", arena.num_test, arena.pools["test"].halved(generator), arena.seed + 1 + draw)
        for name, score in scores.items():
            drawn[name].append(auc(score(again, colours), _labels(again)))
    return [_control(name, values[name], drawn[name], len(plans)) for name in scores]


def without_cluster(plan: SlidePlan, pool: TilePool, seed: int) -> NDArray[np.int64]:
    """Return a slide's tiles with those of its cluster replaced by unused background tiles."""
    marked = plan.roles != BACKGROUND
    unused = np.setdiff1d(pool.background, plan.tiles)
    tiles = plan.tiles.copy()
    tiles[marked] = np.random.default_rng([seed, plan.number]).permutation(unused)[: int(marked.sum())]
    return tiles


def colour_statistics(plan: SlidePlan, colours: TileColours) -> Floats:
    """Return mean and standard deviation over a slide's tiles of their colour features, (2 F,)."""
    return _over_tiles(plan.tiles, colours)


def seam_statistics(plan: SlidePlan, colours: TileColours) -> Floats:
    """Return what steps between tiles of one colour each say, see `seam_features`."""
    picture = np.full((plan.grid.num, plan.grid.num, 3), np.nan)
    picture[plan.cells[:, 0], plan.cells[:, 1]] = colours.means[plan.tiles]
    return seam_features(picture)


def _over_tiles(tiles: NDArray[np.int64], colours: TileColours) -> Floats:
    chosen = colours.features[tiles]
    return np.concatenate([chosen.mean(0), chosen.std(0)]).astype(np.float64)


def _fitted(
    which: ColourModel,
    describe: Describe,
    train: Sequence[SlidePlan],
    labels: NDArray[np.int64],
    arena: Arena,
) -> Score:
    """Return a score of slides, fitted on the descriptions of training slides."""
    model = make_model(which, arena.seed)
    model.fit(np.stack([describe(plan, arena.colours["train"]) for plan in train]), labels)

    def score(plans: Sequence[SlidePlan], colours: TileColours) -> Floats:
        return _logits(model, np.stack([describe(plan, colours) for plan in plans]))

    return score


def _tile_model(which: ColourModel, arena: Arena) -> Score:
    """Return the mean over a slide's tiles of a model fitted on the labels of training tiles."""
    pool = arena.pools["train"]
    tiles = np.concatenate([pool.tumour, pool.sham])
    model = make_model(which, arena.seed)
    model.fit(arena.colours["train"].features[tiles], np.repeat([1, 0], len(pool.tumour)))
    known: dict[int, Floats] = {}

    def score(plans: Sequence[SlidePlan], colours: TileColours) -> Floats:
        if id(colours) not in known:
            known[id(colours)] = _logits(model, colours.features)
        return np.array([known[id(colours)][plan.tiles].mean() for plan in plans])

    return score


def detector_auc(arena: Arena) -> float:
    """Return how well the cluster detector does what it was fitted for, on test slides: large where a sham shows."""
    model = make_model("linear", arena.seed).fit(*_with_and_without(arena, "train", arena.num_train))
    features, labels = _with_and_without(arena, "test", arena.num_test)
    return auc(_logits(model, features), labels)


def _with_and_without(arena: Arena, split: Split, count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return tile statistics of negatives as they are (1) and without their cluster (0)."""
    colours, pool = arena.colours[split], arena.pools[split]
    negatives = [plan for plan in arena.plans(split, count) if plan.label == 0]
    with_sham = [_over_tiles(plan.tiles, colours) for plan in negatives]
    without = [_over_tiles(without_cluster(plan, pool, arena.seed), colours) for plan in negatives]
    return np.stack([*with_sham, *without]), np.repeat([1, 0], len(negatives))


def _cluster_detector(arena: Arena) -> Score:
    """Return a score of slides, fitted to tell negatives with a sham from the same slides without a cluster."""
    model = make_model("linear", arena.seed).fit(*_with_and_without(arena, "train", arena.num_train))
    return lambda plans, seen: _logits(model, np.stack([_over_tiles(plan.tiles, seen) for plan in plans]))


def _logits(model: Any, features: NDArray[Any]) -> Floats:  # noqa: ANN401 - a scikit-learn estimator
    return np.asarray(model.decision_function(features), np.float64)


def _labels(plans: Sequence[SlidePlan]) -> NDArray[np.int64]:
    return np.array([plan.label for plan in plans], np.int64)


def _control(name: str, value: float, drawn: Sequence[float], num_slides: int) -> Control:
    low, high = np.percentile(drawn, _LEVEL) if len(drawn) else (np.nan, np.nan)
    return Control(name=name, auc=value, low=float(low), high=float(high), num_slides=num_slides)
