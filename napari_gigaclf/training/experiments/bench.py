"""The slides of an experiment, the same for every arm: planned from a seed, painted where they are read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.models import Classifier
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.experiments.configs import Experiment
from napari_gigaclf.training.experiments.maps import MapStore, SlideMap
from napari_gigaclf.training.mosaics import MosaicSettings, Pools, TilePool, plan_slide
from napari_gigaclf.training.mosaics.settings import Split

SLIDES_SEED: Final = 1
"""Of the slides, the same for every arm and every seed of training: arms are compared slide by slide."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the arms of an experiment meet."""

    experiment: Experiment
    pools: Pools
    cells: Classifier
    """The tile classifier whose trunk is frozen."""
    folder: Path
    """For maps."""

    @cached_property
    def store(self) -> MapStore:
        """The maps of the frozen trunk."""
        return MapStore(self.folder / "maps", self.cells)

    @cached_property
    def train(self) -> list[SlideMap]:
        """Slides to learn from."""
        return self._maps("train", self.experiment.num_train)

    @cached_property
    def tune(self) -> list[SlideMap]:
        """Slides to choose an epoch by."""
        return self._maps("tune", self.experiment.num_tune)

    @cached_property
    def test(self) -> list[SlideMap]:
        """Slides of tiles that nothing was trained on."""
        return self._maps("test", self.experiment.num_test)

    @cached_property
    def rebuilt(self) -> list[list[SlideMap]]:
        """Test slides made anew, each time of another half of the test tiles."""
        generator = np.random.default_rng([SLIDES_SEED, 2])
        found = []
        for draw in range(self.experiment.rebuilds):
            pool, seed = self.pools["test"].halved(generator), SLIDES_SEED + 1 + draw
            found.append(self._maps("test", self.experiment.num_rebuilt, pool, seed))
        return found

    @cached_property
    def tile_scores(self) -> NDArray[np.float64]:
        """Margins (N,) of the tile classifier on all test tiles as they are in the archive; 0 where none is used."""
        pool = self.pools["test"]
        used = np.concatenate([pool.tumour, pool.sham, pool.background])
        scores = np.zeros(len(pool.images))
        scores[used] = positive_scores(tile_logits(tile_network(self.cells), pool.images[used]))
        return scores

    def _maps(self, split: Split, count: int, pool: TilePool | None = None, seed: int = SLIDES_SEED) -> list[SlideMap]:
        settings: MosaicSettings = self.experiment.settings_of(split)
        chosen = self.pools[split] if pool is None else pool
        plans = [plan_slide(settings, chosen, seed=seed, split=split, number=number) for number in range(count)]
        return self.store.of(plans, chosen)
