"""Runs the networks of the ladder: before slides and after, every resolution, every seed, on the same slides."""

import datetime
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_gigaclf.models.records import plain
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits
from napari_gigaclf.training.experiments.bench import SLIDES_SEED
from napari_gigaclf.training.experiments.configs import ResolutionExperiment
from napari_gigaclf.training.experiments.ladder import RUNGS, Ladder, Task
from napari_gigaclf.training.experiments.looking import key_of_gazes, write_gazes
from napari_gigaclf.training.experiments.looking_by_resolution import gazes_of, gazes_path, looked_at
from napari_gigaclf.training.experiments.resolution import (
    SlideSet,
    answers,
    load_weights,
    pretrained,
    save_weights,
    set_scale,
    shrunk,
    train_on_slides,
)
from napari_gigaclf.training.experiments.results import (
    Result,
    Scored,
    read_result,
    result_path,
    scored,
    tiles_of,
    write_result,
)
from napari_gigaclf.training.experiments.running import digest
from napari_gigaclf.training.mosaics import MosaicSettings, Pools, plan_slide
from napari_gigaclf.training.mosaics.settings import LESION_TILES, Lesion, Split
from napari_gigaclf.training.tiles import Tiles, split

logger = logging.getLogger(__name__)

BEFORE = 0
"""In place of a seed: the network that has seen labels of tiles only."""


@dataclass(frozen=True, kw_only=True)
class Climb:
    """An experiment on resolution, with its slides."""

    name: str
    experiment: ResolutionExperiment
    pools: Pools
    tiles: Tiles
    """The training archive."""
    output: Path
    rungs: tuple[str, ...] = tuple(RUNGS)
    """Which networks run."""

    @property
    def task(self) -> Task:
        """What is asked of a slide."""
        return "share" if self.experiment.kind == "regression" else "tumour"

    def run(self, seeds: Sequence[int]) -> None:
        """Run all rungs before slides and with all seeds; what is there is kept."""
        for name in self.rungs:
            self._score_tiles(name)
            for seed in (BEFORE, *seeds):
                self._run_one(name, seed)
            for seed in seeds if self.task == "tumour" else ():
                self._look(name, seed)

    @cached_property
    def test_sets(self) -> dict[str, SlideSet]:
        """Test slides by the name that their results have."""
        count = self.experiment.num_test
        if self.task == "share":
            return {self.name: self._slides("test", count, tuple(LESION_TILES))}
        return {f"{self.name}, {lesion}": self._slides("test", count, (lesion,)) for lesion in LESION_TILES}

    def _run_one(self, name: str, seed: int) -> None:
        """Score the test slides of one rung and seed that have no result yet."""
        arm = name if seed != BEFORE else f"{name}, before"
        key = self._key(name, seed)
        paths = {of: result_path(self.output, of, arm, seed) for of in self.test_sets}
        if all(path.is_file() and read_result(path).key == key for path in paths.values()):
            logger.info("%s, seed %d: from before", arm, seed)
            return
        start = time.process_time()
        network, losses = self._network(name, seed, key)
        seconds = round(time.process_time() - start, 1)
        for of, slides in self.test_sets.items():
            found = answers(network, RUNGS[name], slides, self.task)
            result = Result(
                experiment=of,
                arm=arm,
                seed=seed,
                key=key,
                test=scored(slides.plans, found, shares=self.task == "share"),
                rebuilt=(),
                train_losses=tuple(losses),
                seconds=seconds,
                date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            )
            write_result(paths[of], result)
            logger.info("%s, %s, seed %d: %.3f", of, arm, seed, result.test.figure)

    def _look(self, name: str, seed: int) -> None:
        """Measure where a trained network looks on test slides."""
        key = digest(self._key(name, seed), self.experiment.num_looked_at)
        paths = {each: gazes_path(self.output, each, name, seed) for each in looked_at(self.name)}
        missing = {each: path for each, path in paths.items() if key_of_gazes(path) != key}
        if not missing:
            return
        network, _ = self._network(name, seed, self._key(name, seed))
        for each, path in missing.items():
            of, label = looked_at(self.name)[each]
            count = self.experiment.num_looked_at
            write_gazes(path, gazes_of(network, RUNGS[name], self.test_sets[of], label, count), key)

    def _key(self, name: str, seed: int) -> str:
        """Return a digest of all that a network and its answers depend on."""
        whole = plain(self.experiment)
        assert isinstance(whole, dict)
        return digest(name, seed, {k: v for k, v in whole.items() if k != "num_looked_at"})

    def _score_tiles(self, name: str) -> None:
        """Score the test tiles that are matched in colour, each alone, with the network that has seen no slide yet."""
        key, of = digest(name, self._tile_key(name), "matched tiles"), tiles_of(self.name)
        path, pool = result_path(self.output, of, name, BEFORE), self.pools["test"]
        if path.is_file() and read_result(path).key == key:
            return
        start = time.process_time()
        rows = np.concatenate([pool.tumour, pool.sham])
        tiles = shrunk(pool.images[rows], RUNGS[name].factor)
        result = Result(
            experiment=of,
            arm=name,
            seed=BEFORE,
            key=key,
            test=Scored(
                groups=tuple(f"pair {number}" for part in (pool.tumour, pool.sham) for number in range(len(part))),
                labels=(1.0,) * len(pool.tumour) + (0.0,) * len(pool.sham),
                scores=tuple(positive_scores(tile_logits(self._pretrained(name), tiles)).tolist()),
            ),
            rebuilt=(),
            seconds=round(time.process_time() - start, 1),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        )
        write_result(path, result)
        logger.info("%s, %s: %.3f", of, name, result.test.auc)

    def _tile_key(self, name: str) -> str:
        """Return a digest of what learning from tiles depends on."""
        experiment = self.experiment
        return digest(name, experiment.tile_epochs, experiment.num_tiles, experiment.num_tuning_tiles)[:8]

    def _pretrained(self, name: str) -> Ladder:
        """Return the network of a rung that has learnt from tiles."""
        path = self.output / "models" / f"{name}, {self._tile_key(name)}.safetensors"
        return pretrained(name, self.experiment, *self._chosen_tiles(), path)

    def _network(self, name: str, seed: int, key: str) -> tuple[Ladder, list[float]]:
        """Return a trained network and its losses by epoch; of one that was trained before, none."""
        experiment, models = self.experiment, self.output / "models"
        network = self._pretrained(name)
        weights = models / f"{self.name}, {name}, {seed}, {key[:8]}.safetensors"
        if seed == BEFORE:
            set_scale(network, RUNGS[name], self._train_slides(), self.task, experiment.batch_size)
            return network, []
        if weights.is_file():
            load_weights(network, weights)
            return network, []
        losses = train_on_slides(network, RUNGS[name], self._train_slides(), experiment, self.task, seed)
        save_weights(network, weights)
        return network, losses

    def _chosen_tiles(self) -> tuple[Tiles, Tiles]:
        """Return the tiles to learn from before slides, and those to choose the epoch by."""
        kept, held_out = split(self.tiles.labels, self.experiment.num_tuning_tiles, SLIDES_SEED)
        chosen = np.random.default_rng(SLIDES_SEED).permutation(kept)[: self.experiment.num_tiles]
        return self.tiles.subset(np.sort(chosen)), self.tiles.subset(held_out)

    def _train_slides(self) -> SlideSet:
        return self._slides("train", self.experiment.num_train, tuple(LESION_TILES))

    def _slides(self, part: Split, count: int, lesions: tuple[Lesion, ...]) -> SlideSet:
        side_px = self.experiment.train_side_px if part == "train" else self.experiment.side_px
        settings = MosaicSettings(kind=self.experiment.kind, side_px=side_px, lesions=lesions)
        pool = self.pools[part]
        plans = [plan_slide(settings, pool, seed=SLIDES_SEED, split=part, number=number) for number in range(count)]
        return SlideSet(plans=plans, pool=pool)
