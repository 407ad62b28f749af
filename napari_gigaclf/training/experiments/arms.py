"""What is compared: ways to score a slide, from its colours, from single tiles or cells, and from cells in context.

All but ``colour`` and ``tiles`` see the map that the frozen trunk makes of the painted slide, in cells of 32 x 32 px.
``attention`` and ``context`` have the same trunk, slides, epochs and, but for the layers behind the trunk, arithmetic.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.models import Classifier, load_model
from napari_gigaclf.models.checkpoint import save_model
from napari_gigaclf.models.config import NetworkName
from napari_gigaclf.training.experiments.bench import Bench
from napari_gigaclf.training.experiments.fitting import FitEpoch, fit_on_maps, labels_of
from napari_gigaclf.training.experiments.maps import SlideMap
from napari_gigaclf.training.experiments.on_maps import OnMaps, margins
from napari_gigaclf.training.experiments.starting import start_as_cells
from napari_gigaclf.training.mosaics.colour_model import make_model
from napari_gigaclf.training.mosaics.controls import TileColours, colour_statistics, colours_of
from napari_gigaclf.training.slides.network import slide_network
from napari_gigaclf.training.slides.recipe import Recipe

logger = logging.getLogger(__name__)

Scores = NDArray[np.float64]
Scorer = Callable[[Sequence[SlideMap]], Scores]
"""Test slides -> one number each; more is more like class 1."""
NUM_HIGHEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An arm, ready to score test slides."""

    score: Scorer
    epochs: tuple[FitEpoch, ...] = ()
    model: Classifier | None = None
    """Complete: what was trained, behind the trunk it stands on."""


Arm = Callable[[Bench, int, Path], Trained]
"""Bench, seed and a folder for the trained model -> something that scores."""


def colour(bench: Bench, seed: int, folder: Path) -> Trained:
    """Fit logistic regression on mean and spread, over a slide's tiles, of their colours."""
    colours = {split: colours_of(bench.pools[split]) for split in ("train", "test")}
    model = make_model("linear", seed)
    model.fit(_described(bench.train, colours["train"]), labels_of(bench.train))
    return Trained(score=lambda maps: _decision(model, _described(maps, colours["test"])))


def tiles_highest(bench: Bench, seed: int, folder: Path) -> Trained:
    """Take the highest margin of a slide's tiles, each as it is in the archive."""
    return _of_tiles(bench, 1)


def tiles_ten_highest(bench: Bench, seed: int, folder: Path) -> Trained:
    """Take the mean of the ten highest margins of a slide's tiles, each as it is in the archive."""
    return _of_tiles(bench, NUM_HIGHEST)


def cells_highest(bench: Bench, seed: int, folder: Path) -> Trained:
    """Take the highest margin of a slide's cells: the tile classifier as ``classify`` runs it."""
    return _of_cells(bench, 1)


def cells_ten_highest(bench: Bench, seed: int, folder: Path) -> Trained:
    """Take the mean of the ten highest margins of a slide's cells."""
    return _of_cells(bench, NUM_HIGHEST)


def attention(bench: Bench, seed: int, folder: Path) -> Trained:
    """Train gated attention over the cells, and the last layer, which begins as the tile classifier's."""
    recipe = Recipe(network=bench.cells.config.network, pooling="attention", dropout=0.0, seed=seed)
    return _fitted(bench, lambda: _built(bench, recipe), seed, folder)


def context(bench: Bench, seed: int, folder: Path) -> Trained:
    """Train four layers that compare cells, beginning as the tile classifier, max-pooled."""

    def build() -> Classifier:
        model = _built(bench, _context_recipe(bench, seed))
        start_as_cells(model, bench.cells, bench.train)
        return model

    return _fitted(bench, build, seed, folder)


def context_fresh(bench: Bench, seed: int, folder: Path) -> Trained:
    """Train the same layers from random weights."""
    return _fitted(bench, lambda: _built(bench, _context_recipe(bench, seed)), seed, folder)


ARMS: Final = MappingProxyType(
    {
        "colour": colour,
        "tiles, highest": tiles_highest,
        "tiles, mean of ten highest": tiles_ten_highest,
        "cells, highest": cells_highest,
        "cells, mean of ten highest": cells_ten_highest,
        "attention": attention,
        "context": context,
        "context, fresh": context_fresh,
    }
)
"""Arms by name, simple ones first."""
SEEDED: Final = frozenset({"attention", "context, fresh", "context"})
"""Arms that chance has a part in."""


def _context_recipe(bench: Bench, seed: int) -> Recipe:
    network = cast(NetworkName, f"{bench.cells.config.network}-context")
    return Recipe(network=network, dropout=0.0, seed=seed)


def _built(bench: Bench, recipe: Recipe) -> Classifier:
    """Return a network with the frozen trunk and, behind it, fresh layers."""
    model = slide_network(recipe, "classification", bench.cells.classes, "experiment")
    own = model.state_dict()
    taken = {
        key: value for key, value in bench.cells.state_dict().items() if key in own and own[key].shape == value.shape
    }
    model.load_state_dict({**own, **taken})
    return model


def _fitted(bench: Bench, build: Callable[[], Classifier], seed: int, folder: Path) -> Trained:
    """Train what lies behind the trunk, or read what was trained before."""
    epochs: tuple[FitEpoch, ...] = ()
    if folder.is_dir():
        model = load_model(folder)
    else:
        model = build()
        epochs = tuple(fit_on_maps(OnMaps(model), bench.train, bench.tune, bench.experiment.fit, seed))
        save_model(model.eval(), folder)
    on_maps = OnMaps(model)
    return Trained(score=lambda maps: margins(on_maps, maps), epochs=epochs, model=model)


def _of_tiles(bench: Bench, count: int) -> Trained:
    scores = bench.tile_scores
    return Trained(score=lambda maps: np.array([_highest(scores[one.plan.tiles], count) for one in maps]))


def _of_cells(bench: Bench, count: int) -> Trained:
    on_maps = OnMaps(bench.cells)

    @torch.no_grad()
    def score(maps: Sequence[SlideMap]) -> Scores:
        found = []
        for one in maps:
            _, logits = on_maps.map_logits(one.features_Fhw[None])
            found.append(_highest((logits[0, 1] - logits[0, 0])[one.cells_hw].double().numpy(), count))
        return np.array(found)

    return Trained(score=score, model=bench.cells)


def _highest(values: Scores, count: int) -> float:
    return float(np.sort(values)[-count:].mean())


def _described(maps: Sequence[SlideMap], colours: TileColours) -> Scores:
    return np.stack([colour_statistics(one.plan, colours) for one in maps])


def _decision(model: Any, described: Scores) -> Scores:  # noqa: ANN401 - a scikit-learn estimator
    return np.asarray(model.decision_function(described), np.float64)
