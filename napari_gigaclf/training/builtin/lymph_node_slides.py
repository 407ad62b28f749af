"""The second stage of "lymph-node-metastasis": a probability for slides, and learning from them if wanted.

``python -m napari_gigaclf.training.builtin.lymph_node_slides --model TILE_MODEL --stand-in DIR --data DATA --output
MODEL`` goes on with what ``lymph_node`` wrote. Its probability is to hold on slides that it has never seen, and the
tiles kept aside are of the same slides as those it learnt from. So two stand-ins are trained in the same way: one
without some groups of colours, which is less than new patients are, since a slide has several colours; and one without
one of the two laboratories, which is more. The answer is fitted on mosaics of what both have not seen. ``--steps`` lets
the whole network learn from slide labels first (``on_slides``; ``docs/experiments/comparisons.md`` says what came of
it).
``pcam-valid.tar`` is not looked at (see ``evaluate_slides``).
"""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import NamedTuple

from napari_gigaclf.models import Classifier, load_model, save_model
from napari_gigaclf.models.config import NetworkName
from napari_gigaclf.models.slide_answer import SlideAnswer
from napari_gigaclf.training.builtin.cell_model import prepare, train_cell_model
from napari_gigaclf.training.builtin.colour_groups import NUM_GROUPS, colour_groups, leave_groups_out
from napari_gigaclf.training.builtin.lymph_node import CARD as TILE_CARD
from napari_gigaclf.training.builtin.lymph_node import CONFIG, HIGHEST_PLACE, NUM_SELECTION, VARIED
from napari_gigaclf.training.builtin.lymph_node import SETTINGS as TILE_SETTINGS
from napari_gigaclf.training.builtin.on_slides import SlideStage, train_on_slides
from napari_gigaclf.training.builtin.scored_slides import ScoredSlides, fitted_answer, joined, score_slides
from napari_gigaclf.training.mosaics import MosaicSettings, make_pools
from napari_gigaclf.training.tiles import Tiles, read_tar, split

logger = logging.getLogger(__name__)

SEED, SLIDES_SEED = 1, 3
"""Of matching tiles, and of the slides to calibrate on."""
STAGE = SlideStage(
    mosaics=MosaicSettings(side_px=1024, lesions=("macro", "micro", "micro", "isolated")), augmentation=VARIED, seed=1
)
"""Small slides: what teaches is a slide's label."""
STAND_IN = dataclasses.replace(TILE_SETTINGS, epochs=8)


class LeftOut(NamedTuple):
    """What a stand-in does not learn from."""

    num_groups: int
    """Groups of colours."""
    num_out: int
    """Of them left out."""
    seed: int


LEFT_OUT = {"colours": LeftOut(NUM_GROUPS, 7, seed=5), "laboratory": LeftOut(2, 1, seed=0)}
"""By the name of a stand-in. Two groups are the two laboratories: they agree for 96 of 100 tiles with the colour of
eosin, of which there are clearly two kinds."""
NUM_CALIBRATION = 100
"""Slides of each side that the answer is fitted on."""
VERSION = "1.2"
CARD = dataclasses.replace(
    TILE_CARD,
    slide_score="mean of the ten most suspicious cells, fitted on mosaics of 1 to 4 mm2; see the card",
    weaknesses=(
        *(weakness for weakness in TILE_CARD.weaknesses if weakness != HIGHEST_PLACE),
        "The slide's probability is fitted on mosaics of 1 to 4 square millimetres, half of them with tumour, of which "
        "a third each are lesions of 50 to 64, of 10, and of 1 to 3 tiles. On mosaics of other patients it is still "
        "too sure, and too high (figures that begin with slides); where tumour is rarer than in half of the slides it "
        "is too high. A slide with more or less tissue gets a warning: for it the number is carried on beyond what was "
        "measured. Lesions of 1 to 3 tiles hardly change it.",
    ),
)


def main(arguments: list[str] | None = None) -> None:
    """Train what is to be trained, calibrate, and write the model folder."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", required=True, help="what the first stage wrote: a folder, or a built-in model")
    options.add_argument("--data", type=Path, required=True, help="folder with pcam-train.tar")
    options.add_argument("--output", type=Path, required=True, help="model folder to write")
    options.add_argument(
        "--stand-in", type=Path, required=True, help="folder of the stand-ins, reused if they are there"
    )
    options.add_argument("--steps", type=int, default=0, help="of learning from slide labels first, four slides each")
    options.add_argument("--cache", type=Path, help="folder for the decoded tiles")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args(arguments)
    prepare(chosen.threads)
    tiles = read_tar(chosen.data / "pcam-train.tar", cache=chosen.cache)
    model = load_model(chosen.model)
    if chosen.steps:
        model = learnt_from_slides(model, tiles, chosen.steps)
    answer = calibrated(tiles, chosen.stand_in, model.config.network)
    logger.info("%s", answer)
    card = dataclasses.replace(
        CARD, measured=model.card.measured, measured_with=model.card.measured_with,
        colour_statistics=model.card.colour_statistics,
    )  # fmt: skip
    model.config = dataclasses.replace(model.config, version=VERSION, card=card, slide_answer=answer)
    save_model(model, chosen.output)


def learnt_from_slides(model: Classifier, tiles: Tiles, steps: int) -> Classifier:
    """Return a model that has gone on learning from mosaics of the tiles that it learnt from."""
    kept, held_out = split(tiles.labels, NUM_SELECTION, 0)
    train = tiles.subset(kept)
    pools = make_pools(train, tiles.subset(held_out), tune_share=0, seed=SEED)
    return train_on_slides(model, pools["train"], train, dataclasses.replace(STAGE, steps=steps))


def calibrated(tiles: Tiles, folder: Path, network: NetworkName) -> SlideAnswer:
    """Return the slides' answer, fitted with the stand-ins on mosaics of colours that they have never seen."""
    slides = joined([_unseen_slides(tiles, folder / name, network, out) for name, out in LEFT_OUT.items()])
    return fitted_answer(slides, STAGE.num_highest)


def _unseen_slides(tiles: Tiles, folder: Path, network: NetworkName, out: LeftOut) -> ScoredSlides:
    """Return what a stand-in, trained unless it is there, says of mosaics of the colours that it was kept from."""
    kept, left_out = leave_groups_out(colour_groups(tiles.images, out.num_groups), out.num_out, out.seed)
    main_tiles = tiles.subset(kept)
    if not folder.is_dir():
        learn, choose_by = split(main_tiles.labels, NUM_SELECTION, 0)
        config = dataclasses.replace(CONFIG, network=network)
        train_cell_model(config, main_tiles.subset(learn), main_tiles.subset(choose_by), STAND_IN, folder)
    pool = make_pools(main_tiles, tiles.subset(left_out), tune_share=0, seed=SEED)["test"]
    logger.info("%s: %d pairs and %d background tiles", folder.name, len(pool.tumour), len(pool.background))
    stand_in = load_model(str(folder))
    slides = score_slides(
        stand_in, pool, split="test", num_each=NUM_CALIBRATION, num_highest=STAGE.num_highest, seed=SLIDES_SEED
    )
    logger.info("%s: %s", folder.name, fitted_answer(slides, STAGE.num_highest))
    return slides


if __name__ == "__main__":
    main()
