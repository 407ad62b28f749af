"""Prints what colour and seams tell of mosaics: ``python -m napari_gigaclf.training.mosaics.measure --help``.

One line of JSON per number: pairs, colour classifiers refitted on matched tiles, controls for each size of lesion, and
how long a slide takes. The numbers of ``docs/experiments/mosaics.md`` come from here.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError, GigaclfError
from napari_gigaclf.training.evaluation.intervals import bootstrap_interval
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.mosaics.__main__ import add_pool_options, pools_from
from napari_gigaclf.training.mosaics.colour_model import COLOUR_MODELS, held_out_logits, make_model
from napari_gigaclf.training.mosaics.controls import Arena, TileColours, colours_of, detector_auc, run_controls
from napari_gigaclf.training.mosaics.plan import plan_slide
from napari_gigaclf.training.mosaics.pools import Pools, TilePool
from napari_gigaclf.training.mosaics.render import MosaicSlide
from napari_gigaclf.training.mosaics.rendered import rendered_control
from napari_gigaclf.training.mosaics.settings import LESION_TILES, Lesion, MosaicSettings, Split


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    made = argparse.ArgumentParser(prog="python -m napari_gigaclf.training.mosaics.measure", description=__doc__)
    add_pool_options(made)
    made.add_argument("--kind", choices=["metastasis", "arrangement"], default="metastasis")
    made.add_argument("--lesions", nargs="+", choices=list(LESION_TILES), default=["macro", "micro"])
    made.add_argument("--num-train", type=int, default=400, help="slides that controls are fitted on")
    made.add_argument("--num-test", type=int, default=200, help="slides that controls are scored on")
    made.add_argument("--draws", type=int, default=50, help="times the test slides are built anew for intervals")
    made.add_argument("--painted", type=int, default=0, help="slides of each split to paint for the control on pixels")
    options = made.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for line in measurements(options):
            print(json.dumps(line), flush=True)  # noqa: T201 - the answer of a command
    except GigaclfError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer of a command
        return 1
    return 0


def measurements(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one record per number."""
    if options.tiles_test is None:
        raise CohortError("controls are scored on slides of other tiles: give --tiles-test")
    pools = pools_from(options)
    colours = {split: colours_of(pool) for split, pool in pools.items()}
    yield {"pairs": {split: len(pool.tumour) for split, pool in pools.items()}}
    yield from _refitted(pools, colours, options.seed)
    for lesion in options.lesions:
        settings = MosaicSettings(kind=options.kind, lesions=(lesion,))
        yield _timed(settings, pools["train"], options.seed)
        numbers = {"num_train": options.num_train, "num_test": options.num_test, "draws": options.draws}
        arena = Arena(settings=settings, pools=pools, colours=colours, seed=options.seed, **numbers)
        for control in run_controls(arena):
            yield {"lesion": lesion, **asdict(control), "passed": control.passed}
        yield {"lesion": lesion, "name": "cluster detector on its own task", "auc": detector_auc(arena)}
        if options.painted:
            yield _painted(lesion, arena, options.painted)


def _refitted(pools: Pools, colours: dict[Split, TileColours], seed: int) -> Iterator[dict[str, Any]]:
    """Yield AUCs of colour models on matched tiles: held out within each pool, and from train to the others."""
    sets = {split: _matched(pool, colours[split]) for split, pool in pools.items()}
    for which in COLOUR_MODELS:
        fitted = make_model(which, seed).fit(*sets["train"])
        for split, (features, labels) in sets.items():
            # A seed of its own: the folds shall not be those of the matching.
            inside = held_out_logits(which, features, labels, repeats=1, seed=seed + 1000)
            yield _auc_of_tiles(f"{which}, held out within {split}", inside, labels)
            if split != "train":
                scores = np.asarray(fitted.decision_function(features))
                yield _auc_of_tiles(f"{which}, fitted on train, on {split}", scores, labels)


def _matched(pool: TilePool, colours: TileColours) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    tiles = np.concatenate([pool.tumour, pool.sham])
    return colours.features[tiles], np.repeat(np.array([1, 0], np.int64), len(pool.tumour))


def _auc_of_tiles(name: str, scores: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Any]:
    low, high = bootstrap_interval(scores, labels, draws=300)
    return {"tiles": name, "auc": auc(scores, labels), "low": low, "high": high}


def _timed(settings: MosaicSettings, pool: TilePool, seed: int) -> dict[str, Any]:
    start = time.process_time()
    side = settings.side_px
    with MosaicSlide(plan_slide(settings, pool, seed=seed, split="train", number=0), pool) as slide:
        slide.read(0, 0, side, 0, side)
    return {"cpu_seconds_of_a_slide": round(time.process_time() - start, 2), "side_px": side}


def _painted(lesion: Lesion, arena: Arena, count: int) -> dict[str, Any]:
    control = rendered_control(arena, count)
    return {"lesion": lesion, **asdict(control), "passed": control.passed}


if __name__ == "__main__":
    sys.exit(main())
