"""Networks wider than the one that is kept, which teach it: what several of them think together is more than a label.

Each is a cell-net with other widths, oriented like it (see ``orientation``), so that all of them see what it sees.
"""

import dataclasses
import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_gigaclf.models.networks.cell_net import LAYERS, Layer
from napari_gigaclf.models.normalise import Normalise
from napari_gigaclf.training.loop import TrainSettings, fit
from napari_gigaclf.training.orientation import oriented_trunk
from napari_gigaclf.training.tiles import Tiles
from napari_gigaclf.writing import replacing

logger = logging.getLogger(__name__)

WIDTHS: tuple[tuple[int, ...], ...] = ((32, 32, 32, 96, 160, 320, 384, 192),)
"""Channels of each teacher's convolutions: wider where places are far apart, which costs little."""


def build_teacher(number: int, spread: tuple[float, ...]) -> nn.Sequential:
    """Return a teacher with fresh weights: tiles (B, 3, 96, 96) in [0, 1] -> logits (B, 2)."""
    layers = with_widths(WIDTHS[number])
    return nn.Sequential(
        Normalise(spread), oriented_trunk(layers=layers), nn.Flatten(1), nn.Linear(WIDTHS[number][-1], 2)
    )


def with_widths(widths: tuple[int, ...]) -> tuple[Layer, ...]:
    """Return the layers of a cell-net with other channels."""
    remaining = iter(widths)
    return tuple((kind, next(remaining) if kind == "conv" else 0, kernel, step) for kind, _, kernel, step in LAYERS)


def train_teachers(
    train: Tiles, selection: Tiles, settings: TrainSettings, spread: tuple[float, ...], folder: Path
) -> list[nn.Module]:
    """Train all teachers, or read those that stand in ``folder`` from an earlier run; in eval mode.

    Parameters
    ----------
    train, selection
        As for the model itself: a teacher must not have seen what the student is chosen by.
    settings
        What the loop does; each teacher gets a seed of its own.
    spread
        Of the images' normalisation, (3,).
    folder
        Where their weights are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _teacher(number, train, selection, settings, spread, folder / f"teacher-{number}.safetensors")
        for number in range(len(WIDTHS))
    ]


def _teacher(
    number: int, train: Tiles, selection: Tiles, settings: TrainSettings, spread: tuple[float, ...], file: Path
) -> nn.Module:
    seed = settings.seed + 1 + number
    torch.manual_seed(seed)
    teacher = build_teacher(number, spread)
    if file.is_file():
        logger.info("teacher %d: read from %s", number, file)
        teacher.load_state_dict(load_file(file))
        return teacher.eval()
    logger.info("teacher %d", number)
    best = fit(teacher, train, selection, dataclasses.replace(settings, seed=seed))
    with replacing(file) as beside:
        save_file({name: value.contiguous() for name, value in best.state_dict().items()}, beside)
    return best
