"""Measure a cell classifier on labelled tiles: AUC with its interval, what it finds at few false alarms, calibration.

``python -m napari_gigaclf.training.builtin.evaluate_tiles --model lymph-node-metastasis --tiles DATA/pcam-valid.tar``
writes one line of JSON to standard output.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.models import load_model
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.networks.cell_net import CELL_PX
from napari_gigaclf.training.builtin.loop import positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.record import add_record_option, record
from napari_gigaclf.training.evaluation.calibration import calibration_error
from napari_gigaclf.training.evaluation.intervals import bootstrap_interval
from napari_gigaclf.training.evaluation.ranking import auc, sensitivity_at
from napari_gigaclf.training.tiles import Tiles, read_tar, same_place


def evaluate(model: Classifier, tiles: Tiles) -> dict[str, float]:
    """Return the model's figures on tiles: AUC and sensitivity at few false alarms, with 95 % intervals, and others.

    Sensitivity at few false alarms is the share of tumour tiles above the threshold at which one place per square
    millimetre of normal tissue is called tumour. For ``sensitivity_one_false_field_per_mm2`` a place is what a tile
    shows, 96 x 96 px (at 0.97 um/px, one of 115 normal tiles); for ``sensitivity_one_false_cell_per_mm2``, which asks
    more, it is what the label speaks of, 32 x 32 px (one of 1 038).
    Sensitivity and specificity are at probability 0.5; ``log_loss`` and ``calibration_error`` tell how far the
    probabilities can be believed where both classes are as frequent as among these tiles.

    Tiles that overlap stand or fall together: intervals draw places, ``auc_place_counts_once`` counts each of them as
    one, and ``largest_place_tiles`` and ``auc_without_largest_place`` tell what a single one makes of the figure.
    """
    scores = positive_scores(tile_logits(tile_network(model), tiles.images))
    places = same_place(tiles.images)
    low, high = bootstrap_interval(scores, tiles.labels, places=places)
    positive = tiles.labels == 1
    called = scores > 0
    return {
        "auc": auc(scores, tiles.labels),
        "auc_low": low,
        "auc_high": high,
        **_of_places(scores, tiles.labels, places),
        **_at_few_false(model, tiles, scores, places),
        "accuracy": float(np.mean(called == positive)),
        "sensitivity": float(np.mean(called[positive])),
        "specificity": float(np.mean(~called[~positive])),
        "log_loss": _log_loss(scores, positive),
        "calibration_error": calibration_error(1 / (1 + np.exp(-scores)), tiles.labels),
        "num_tiles": float(len(tiles)),
    }


def _of_places(
    scores: NDArray[np.float64], labels: NDArray[np.int64], places: NDArray[np.int64]
) -> dict[str, float]:  # fmt: skip
    """Return what overlapping tiles make of the AUC."""
    size = np.bincount(places)
    others = places != size.argmax()
    return {
        "num_places": float(np.count_nonzero(size)),
        "auc_place_counts_once": float(roc_auc_score(labels, scores, sample_weight=1 / size[places])),
        "largest_place_tiles": float(size.max()),
        "auc_without_largest_place": auc(scores[others], labels[others]),
    }


def _at_few_false(
    model: Classifier, tiles: Tiles, scores: NDArray[np.float64], places: NDArray[np.int64]
) -> dict[str, float]:  # fmt: skip
    """Return the sensitivity, with its interval, at one false field and at one false cell per square millimetre."""
    figures: dict[str, float] = {}
    for what, side_px in (("field", tiles.images.shape[1]), ("cell", CELL_PX)):
        few = partial(sensitivity_at, false_rate=_share_of_mm2(model, side_px))
        low, high = bootstrap_interval(scores, tiles.labels, figure=few, places=places)
        name = f"sensitivity_one_false_{what}_per_mm2"
        figures |= {name: few(scores, tiles.labels), f"{name}_low": low, f"{name}_high": high}
    return figures


def _share_of_mm2(model: Classifier, side_px: int) -> float:
    """Return the share that a square of the model's pixels is of a square millimetre."""
    assert model.um_per_px is not None
    return (side_px * model.um_per_px / UM_PER_MM) ** 2


def _log_loss(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    return float(np.mean(np.logaddexp(0.0, np.where(positive, -scores, scores))))


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="name of a built-in model, or a model folder")
    parser.add_argument("--tiles", type=Path, required=True, help="tar archive of tiles, a folder per class index")
    parser.add_argument("--threads", type=int, default=1)
    add_record_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    figures = evaluate(model, read_tar(options.tiles))
    prefix = options.tiles.stem.removeprefix("pcam-")
    figures = {f"{prefix}_{name}": round(value, 4) for name, value in figures.items()}
    if options.record:
        module = "napari_gigaclf.training.builtin.evaluate_tiles"
        command = f"python -m {module} --model {model.name} --tiles {options.tiles.name}"
        record(options.record, figures, command)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
