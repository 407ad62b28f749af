"""From labelled tiles to a model folder: the part that is the same for every built-in classifier of cells."""

import argparse
import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_gigaclf.models.build import build_classifier
from napari_gigaclf.models.checkpoint import save_model
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.config import ModelConfig
from napari_gigaclf.models.networks.cell_net import CELL_NETS
from napari_gigaclf.training.builtin.loop import TrainSettings, fit, positive_scores, tile_logits, tile_network
from napari_gigaclf.training.builtin.orientation import oriented_trunk, read_in, write_out
from napari_gigaclf.training.colour import colour_statistics
from napari_gigaclf.training.evaluation.calibration import best_temperature
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.runs.best import divide_logits
from napari_gigaclf.training.tiles import Tiles

logger = logging.getLogger(__name__)


def train_cell_model(
    config: ModelConfig,
    train: Tiles,
    selection: Tiles,
    settings: TrainSettings,
    output: Path,
    odds: NDArray[np.float64] | None = None,
) -> Classifier:
    """Train a cell-net and write its folder, first after each better epoch, at the end with calibration and colours.

    Parameters
    ----------
    config
        Name, classes and card; its ``measured`` figures and colour statistics are filled in here.
    train, selection
        Tiles to learn from; tiles to choose the epoch and the temperature by.
    settings
        What the loop does.
    output
        Model folder.
    odds
        How often each tile to learn from is drawn, (N,); None: once in every epoch.
    """
    torch.manual_seed(settings.seed)
    statistics = colour_statistics(train.images[:: max(1, len(train) // 2000)])
    config = dataclasses.replace(config, card=dataclasses.replace(config.card, colour_statistics=statistics))
    model = build_classifier(config)
    oriented = as_oriented(model, fresh=True)

    def save(network: nn.Module, _: float) -> None:
        save_model(as_classifier(network, config), output)

    best = fit(oriented, train, selection, settings, save, odds)
    model = as_classifier(best, config)
    _calibrate(model, selection)
    save_model(model, output)
    logger.info("written to %s: %s", output, dict(model.card.measured))
    return model


def as_oriented(model: Classifier, *, fresh: bool) -> nn.Sequential:
    """Return a trainable network with tied weights on tiles: fresh ones, or those of a model written by this module."""
    trunk = oriented_trunk(layers=CELL_NETS[model.config.network])
    if not fresh:
        assert isinstance(model.trunk, nn.Sequential)
        read_in(trunk, model.trunk)
    return nn.Sequential(model.normalise, trunk, nn.Flatten(1), model.head).requires_grad_()


def as_classifier(network: nn.Module, config: ModelConfig) -> Classifier:
    """Write a trained oriented network (normalise, trunk, flatten, head) out as a classifier with ordinary layers."""
    assert isinstance(network, nn.Sequential)
    _, oriented, _, head = network
    model = build_classifier(config)
    assert isinstance(oriented, nn.Sequential)
    assert isinstance(model.trunk, nn.Sequential)
    write_out(oriented, model.trunk)
    model.head.load_state_dict(head.state_dict())
    return model.eval()


def _calibrate(model: Classifier, selection: Tiles) -> None:
    """Divide the head's weights by the temperature that fits the selection tiles, and note both figures."""
    scores = positive_scores(tile_logits(tile_network(model), selection.images))
    temperature = best_temperature(scores, selection.labels)
    divide_logits(model.head, temperature)
    measured = {"selection_auc": round(auc(scores, selection.labels), 4), "temperature": round(temperature, 4)}
    model.config = dataclasses.replace(model.config, card=dataclasses.replace(model.card, measured=measured))


def parser(description: str | None, epochs: int) -> argparse.ArgumentParser:
    """Return the options that the training scripts share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--output", type=Path, required=True, help="model folder to write")
    options.add_argument("--epochs", type=int, default=epochs)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=1)
    return options


def prepare(threads: int) -> None:
    """Set up logging and threads for a training script."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    np.seterr(all="raise", under="ignore")
