"""Measure a cell classifier's answer about slides on mosaics of tiles that it has not learnt from.

``python -m napari_gigaclf.training.builtin.evaluate_slides --model lymph-node-metastasis --tiles-train pcam-train.tar
--tiles-test pcam-valid.tar --seed 1`` writes one line of JSON: AUC by size of lesion, with 95 % intervals over twins,
and how far the calibrated probability can be believed. Slides are painted, blended and stained as in training. The
training archive serves to match colours alone.
"""

import argparse
import json
import logging
import sys

import numpy as np
import torch

from napari_gigaclf.errors import CohortError, GigaclfError, ModelError
from napari_gigaclf.models import load_model
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.training.builtin.record import add_record_option, record
from napari_gigaclf.training.builtin.scored_slides import ScoredSlides, score_slides
from napari_gigaclf.training.evaluation import Predictions, bootstrap
from napari_gigaclf.training.evaluation.calibration import calibration_error
from napari_gigaclf.training.evaluation.figures import ranking_figures
from napari_gigaclf.training.mosaics import TilePool
from napari_gigaclf.training.mosaics.__main__ import add_pool_options, pools_from
from napari_gigaclf.training.mosaics.settings import LESION_TILES

DRAWS = 2000


def evaluate(model: Classifier, pool: TilePool, *, num_each: int, seed: int) -> dict[str, float]:
    """Return AUC by size of lesion with its interval, log loss and calibration error of the slides' probability.

    Raises
    ------
    ModelError
        The model has no calibrated answer for slides.
    """
    answer = model.config.slide_answer
    if answer is None:
        raise ModelError(f"{model.name} has no calibrated answer for slides (slide_answer in its config)")
    slides = score_slides(model, pool, split="test", num_each=num_each, num_highest=answer.num_highest, seed=seed)
    log_odds = slides.log_odds(answer)
    probabilities = 1 / (1 + np.exp(-log_odds))
    figures: dict[str, float] = {"num_slides": float(len(slides.labels))}
    for lesion in LESION_TILES:
        found = _auc(slides, probabilities, slides.of(lesion))
        figures |= {f"auc_{lesion}{end}": value for end, value in zip(("", "_low", "_high"), found, strict=True)}
    signs = np.where(slides.labels == 1, -1.0, 1.0)
    return {
        **figures,
        "log_loss": float(np.mean(np.logaddexp(0.0, signs * log_odds))),
        "calibration_error": calibration_error(probabilities, slides.labels, num_bins=10),
        "mean_probability": float(probabilities.mean()),
    }


def _auc(slides: ScoredSlides, probabilities: np.ndarray, which: np.ndarray) -> tuple[float, float, float]:
    """Return the AUC of some slides and the ends of its interval; twins are drawn together."""
    values, numbers = probabilities[which], np.flatnonzero(which)
    predictions = Predictions(
        task="classification",
        classes=("normal", "tumour"),
        slides=tuple(str(number) for number in numbers),
        groups=tuple(slides.groups[number] for number in numbers),
        truth=slides.labels[which],
        values=np.column_stack([1 - values, values]),
    )
    found = bootstrap(predictions, draws=DRAWS, seed=0, figures=ranking_figures)["auc:tumour"]
    return found.value, found.low, found.high


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the figures as JSON; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_gigaclf.training.builtin.evaluate_slides", description=__doc__
    )
    parser.add_argument("--model", required=True, help="name of a built-in model, or a model folder")
    parser.add_argument("--num-each", type=int, default=120, help="slides of each of three sizes")
    add_pool_options(parser)
    add_record_option(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    try:
        if options.tiles_test is None:
            raise CohortError("slides to evaluate are made of test tiles: give --tiles-test")
        model = load_model(options.model)
        figures = evaluate(model, pools_from(options)["test"], num_each=options.num_each, seed=options.seed)
    except GigaclfError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the answer of a command
        return 1
    figures = {f"slides_{name}": round(value, 4) for name, value in figures.items()}
    if options.record:
        command = (
            f"python -m napari_gigaclf.training.builtin.evaluate_slides --model {model.name} --tiles-train "
            f"{options.tiles_train.name} --tiles-test {options.tiles_test.name} --seed {options.seed}"
        )
        record(options.record, figures, command)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
