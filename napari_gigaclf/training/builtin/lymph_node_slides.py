"""The second stage of "lymph-node-metastasis": end to end on mosaics, then a calibrated probability for slides.

``python -m napari_gigaclf.training.builtin.lymph_node_slides --model TILE_MODEL --data DATA --output MODEL`` goes on
with what ``lymph_node`` wrote. The mosaics to learn from are made of the tiles that it learnt from, those to calibrate
on of the tiles that it chose the epoch by; ``pcam-valid.tar`` is not looked at (see ``evaluate_slides``).
"""

import argparse
import dataclasses
import logging
from pathlib import Path

from napari_gigaclf.models import Classifier, load_model, save_model
from napari_gigaclf.models.slide_answer import SlideAnswer
from napari_gigaclf.training.builtin.cell_model import prepare
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.lymph_node import CARD as TILE_CARD
from napari_gigaclf.training.builtin.lymph_node import HIGHEST_PLACE, NUM_SELECTION, VARIED
from napari_gigaclf.training.builtin.on_slides import SlideStage, train_on_slides
from napari_gigaclf.training.builtin.scored_slides import SIDES_PX, fitted_answer, score_slides
from napari_gigaclf.training.evaluation.calibration import best_temperature
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, make_pools
from napari_gigaclf.training.runs.best import divide_logits
from napari_gigaclf.training.tiles import Tiles, read_tar, split

logger = logging.getLogger(__name__)

POOLS_SEED = 1
STAGE = SlideStage(
    mosaics=MosaicSettings(side_px=1024, lesions=("macro", "micro", "micro", "isolated")), augmentation=VARIED, seed=1
)
"""Small slides: what teaches is a slide's label."""
NUM_CALIBRATION = 80
"""Slides of each side that the answer is fitted on."""
VERSION = "1.1"
CARD = dataclasses.replace(
    TILE_CARD,
    training_data=(
        f"{TILE_CARD.training_data} Then, from one label per slide through the whole network, "
        f"{STAGE.steps * STAGE.slides_per_step} mosaics of {STAGE.mosaics.side_px} px made of the 18 500 tiles: half "
        "with a cluster of tumour tiles, half with a cluster of normal tiles of the same colours."
    ),
    slide_score="mean of the ten most suspicious places, calibrated on mosaics of 1 to 4 mm2",
    weaknesses=(
        *(weakness for weakness in TILE_CARD.weaknesses if weakness != HIGHEST_PLACE),
        "The slide's probability is calibrated on mosaics of 1 to 4 square millimetres, half of them with tumour, of "
        "which a third each are lesions of 50 to 64, of 10, and of 1 to 3 tiles. A slide with more or less tissue gets "
        "a warning: for it the probability is carried on beyond what was measured. Where tumour is rarer than in half "
        "of the slides it is too high.",
        "Single cells and the smallest lesions do not change the slide's probability much.",
    ),
)


def main(arguments: list[str] | None = None) -> None:
    """Train, calibrate, and write the model folder."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", required=True, help="what the first stage wrote: a folder, or a built-in model")
    options.add_argument("--data", type=Path, required=True, help="folder with pcam-train.tar")
    options.add_argument("--output", type=Path, required=True, help="model folder to write")
    options.add_argument("--steps", type=int, default=STAGE.steps)
    options.add_argument("--cache", type=Path, help="folder for the decoded tiles")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args(arguments)
    prepare(chosen.threads)
    tiles = read_tar(chosen.data / "pcam-train.tar", cache=chosen.cache)
    kept, held_out = split(tiles.labels, NUM_SELECTION, 0)
    train, selection = tiles.subset(kept), tiles.subset(held_out)
    pools = make_pools(train, selection, tune_share=0, seed=POOLS_SEED)
    for name, pool in pools.items():
        logger.info("%s: %d pairs, %d background tiles", name, len(pool.tumour), len(pool.background))
    stage = dataclasses.replace(STAGE, steps=chosen.steps)
    model = train_on_slides(load_model(chosen.model), pools["train"], train, stage)
    save_model(_finished(model, selection, pools["test"]), chosen.output)


def _finished(model: Classifier, selection: Tiles, pool: TilePool) -> Classifier:
    """Return the model with its map and its slides' answer calibrated, and its card."""
    scores = positive_scores(tile_logits(tile_network(model), selection.images))
    temperature = best_temperature(scores, selection.labels)
    divide_logits(model.head, temperature)
    answer = calibrated(model, pool)
    measured = {
        "selection_auc": round(auc(scores, selection.labels), 4),
        "temperature": round(temperature, 4),
    }
    card = dataclasses.replace(CARD, measured=measured, colour_statistics=model.card.colour_statistics)
    model.config = dataclasses.replace(model.config, version=VERSION, card=card, slide_answer=answer)
    logger.info("%s, %s", measured, answer)
    return model


def calibrated(model: Classifier, pool: TilePool) -> SlideAnswer:
    """Return the slides' answer, fitted on mosaics of tiles that no network has learnt from."""
    slides = score_slides(
        model, pool, split="tune", num_each=NUM_CALIBRATION, num_highest=STAGE.num_highest, seed=POOLS_SEED,
        sides_px=SIDES_PX,
    )  # fmt: skip
    return fitted_answer(slides, STAGE.num_highest)


if __name__ == "__main__":
    main()
