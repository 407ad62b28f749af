"""Runs the arms of an experiment, one result file each; what is there already, and belongs to this run, is kept."""

import dataclasses
import datetime
import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.records import plain
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.arms import ARMS, SEEDED, Trained
from napari_gigaclf.training.experiments.bench import Bench
from napari_gigaclf.training.experiments.configs import Experiment
from napari_gigaclf.training.experiments.looking import look, looking_path
from napari_gigaclf.training.experiments.maps import SlideMap
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.experiments.results import Result, Scored, read_result, result_path, scored, write_result
from napari_gigaclf.training.mosaics import TilePool

logger = logging.getLogger(__name__)

LOOKED_AT = ("cells, highest", "context")
"""Arms whose gaze is measured, with the first seed."""


def run_experiment(
    name: str, bench: Bench, seeds: Sequence[int], output: Path, arms: Sequence[str] = tuple(ARMS)
) -> None:
    """Run arms with all seeds, and measure where they look.

    Parameters
    ----------
    name
        Of the experiment.
    bench
        Its slides.
    seeds
        Of training; arms without chance run with the first only.
    output
        Folder for results and models.
    arms
        Which.
    """
    for arm in arms:
        for seed in seeds if arm in SEEDED else seeds[:1]:
            trained = run_arm(name, arm, seed, bench, output)
            if arm in LOOKED_AT and seed == seeds[0] and not looking_path(output, name, arm).is_file():
                assert trained.model is not None
                look(bench, trained.model, looking_path(output, name, arm))


def run_arm(name: str, arm: str, seed: int, bench: Bench, output: Path) -> Trained:
    """Run an arm with a seed, unless it was run before; return it ready to score."""
    path = result_path(output, name, arm, seed)
    start = time.process_time()
    trained_key = digest(arm, seed, bench.cells.sha256, _training_of(bench.experiment))
    trained = ARMS[arm](bench, seed, output / "models" / f"{name}, {arm}, {seed}, {trained_key[:8]}")
    key = digest(trained_key, plain(bench.experiment))
    before = read_result(path) if path.is_file() else None
    if before is not None and before.key == key:
        logger.info("%s, %s, seed %d: AUC %.3f, from before", name, arm, seed, before.test.auc)
        return trained
    result = Result(
        experiment=name,
        arm=arm,
        seed=seed,
        key=key,
        test=scored_maps(trained, bench.test),
        rebuilt=tuple(scored_maps(trained, maps) for maps in bench.rebuilt),
        # What came before the first epoch has no training loss.
        train_losses=tuple(epoch.train_loss for epoch in trained.epochs if math.isfinite(epoch.train_loss)),
        tune_aucs=tuple(epoch.tune_auc for epoch in trained.epochs),
        streamed_difference=_streamed_difference(trained, bench.test[:1], bench.pools["test"]),
        seconds=round(time.process_time() - start, 1),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    if before is not None and not trained.epochs:  # trained before, other slides to score
        result = dataclasses.replace(result, train_losses=before.train_losses, tune_aucs=before.tune_aucs)
    write_result(path, result)
    logger.info("%s, %s, seed %d: AUC %.3f", name, arm, seed, result.test.auc)
    return trained


def scored_maps(trained: Trained, maps: Sequence[SlideMap]) -> Scored:
    """Return slides with what an arm says of them."""
    return scored([one.plan for one in maps], trained.score(maps))


def digest(*parts: object) -> str:
    """Return a digest of what JSON can say."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _training_of(experiment: Experiment) -> object:
    """Return what a trained arm depends on: all but the number of slides that it is scored on."""
    whole = plain(experiment)
    assert isinstance(whole, dict)
    return {k: v for k, v in whole.items() if k not in ("num_test", "rebuilds", "num_rebuilt", "num_looked_at")}


def _streamed_difference(trained: Trained, maps: Sequence[SlideMap], pool: TilePool) -> float | None:
    """Return how far scores from kept maps lie from those of streaming the complete network; None for other arms."""
    if trained.model is None or trained.model.config.pooling == "highest":
        return None
    streamed = [streamed_margin(trained.model, one, pool) for one in maps]
    return float(abs(trained.score(maps) - streamed).max())


@torch.no_grad()
def streamed_margin(model: Classifier, one: SlideMap, pool: TilePool) -> float:
    """Return the margin of class 1 over class 0 of a slide, the whole network streamed."""
    features = model.features.eval()
    with painted(one.plan, pool) as view:
        cells = stream(features).stream(view.whole, cells=one.cells_hw.numpy())
    logits = model.cell_logits(model.pool(cells[0].T)).double()
    return float(logits[1] - logits[0])
