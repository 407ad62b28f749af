"""The other end of the controls: how well mosaics are told apart by a model that was trained on labels of tiles.

``python -m napari_gigaclf.training.builtin.evaluate_mosaics --model lymph-node-metastasis --tiles-train ...
--tiles-test ...`` prints one line of JSON per size of lesion: AUC over test slides of the mean of the tiles' logits,
and of the mean of the ten highest. A learner from slide labels that comes near has found the tumour; controls say what
it cannot have used. The model sees tiles as they are in the archive: not blended, not stained.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError, GigaclfError
from napari_gigaclf.models import load_model
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
from napari_gigaclf.training.mosaics.__main__ import add_pool_options, pools_from
from napari_gigaclf.training.mosaics.settings import LESION_TILES, Lesion

NUM_HIGHEST = 10
Pool = Callable[[NDArray[np.float64]], float]


def slide_aucs(scores: NDArray[np.float64], pool: TilePool, lesion: Lesion, num_slides: int, seed: int) -> list[float]:
    """Return the AUCs over test slides of the mean score of a slide's tiles, and of its ten highest.

    Parameters
    ----------
    scores
        (N,) of all tiles in the pool's images.
    pool
        Test tiles.
    lesion
        Size class.
    num_slides
        An even number.
    seed
        Of the slides.
    """
    settings = MosaicSettings(lesions=(lesion,))
    plans = [plan_slide(settings, pool, seed=seed, split="test", number=k) for k in range(num_slides)]
    labels = [plan.label for plan in plans]
    poolings: tuple[Pool, ...] = (lambda s: float(s.mean()), lambda s: float(np.sort(s)[-NUM_HIGHEST:].mean()))
    return [auc([pooled(scores[plan.tiles]) for plan in plans], labels) for pooled in poolings]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_gigaclf.training.builtin.evaluate_mosaics", description=__doc__
    )
    parser.add_argument("--model", required=True, help="name of a built-in model, or a model folder")
    parser.add_argument("--num-test", type=int, default=200, help="slides")
    add_pool_options(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    try:
        _evaluate(options)
    except GigaclfError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer of a command
        return 1
    return 0


def _evaluate(options: argparse.Namespace) -> None:
    if options.tiles_test is None:
        raise CohortError("slides to evaluate are made of test tiles: give --tiles-test")
    network = tile_network(load_model(options.model))
    pool = pools_from(options)["test"]
    used = np.concatenate([pool.tumour, pool.sham, pool.background])
    scores = np.zeros(len(pool.images))
    scores[used] = positive_scores(tile_logits(network, pool.images[used]))
    labels = np.repeat([1, 0], len(pool.tumour))
    matched = auc(scores[np.concatenate([pool.tumour, pool.sham])], labels)
    print(json.dumps({"tiles": "matched test tiles", "auc": matched}))  # noqa: T201 - the answer of a command
    for lesion in LESION_TILES:
        mean, highest = slide_aucs(scores, pool, lesion, options.num_test, options.seed)
        print(json.dumps({"lesion": lesion, "auc_of_mean": mean, "auc_of_highest": highest}))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
