"""Networks that teach another: what several of them think together is more than a label.

Each is a wide cell-net, oriented like the network that it teaches (see ``orientation``), so that all see the same.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_gigaclf.models.networks.cell_net import WIDE_LAYERS
from napari_gigaclf.models.normalise import Normalise
from napari_gigaclf.training.builtin.loop import TrainSettings, fit
from napari_gigaclf.training.builtin.orientation import oriented_trunk
from napari_gigaclf.training.tiles import Tiles
from napari_gigaclf.writing import replacing

logger = logging.getLogger(__name__)


def build_teacher(spread: tuple[float, ...]) -> nn.Sequential:
    """Return a teacher with fresh weights: tiles (B, 3, 96, 96) in [0, 1] -> logits (B, 2)."""
    width = WIDE_LAYERS[-1][1]
    return nn.Sequential(Normalise(spread), oriented_trunk(layers=WIDE_LAYERS), nn.Flatten(1), nn.Linear(width, 2))


def train_teachers(
    train: Tiles, selection: Tiles, lessons: Sequence[TrainSettings], spread: tuple[float, ...], folder: Path
) -> list[nn.Module]:
    """Train a teacher for each lesson, or read those that stand in ``folder`` from an earlier run; in eval mode.

    Parameters
    ----------
    train, selection
        Tiles to learn from; tiles to choose the epoch by.
    lessons
        What the loop does for each; the more they differ, the more the teachers have to say together.
    spread
        Of the images' normalisation, (3,).
    folder
        Where their weights are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _teacher(train, selection, lesson, spread, folder / f"teacher-{number}.safetensors")
        for number, lesson in enumerate(lessons)
    ]


def _teacher(train: Tiles, selection: Tiles, lesson: TrainSettings, spread: tuple[float, ...], file: Path) -> nn.Module:
    torch.manual_seed(lesson.seed + 1)
    teacher = build_teacher(spread)
    if file.is_file():
        logger.info("%s: read", file)
        teacher.load_state_dict(load_file(file))
        return teacher.eval()
    logger.info("%s: training", file)
    best = fit(teacher, train, selection, lesson)
    with replacing(file) as beside:
        save_file({name: value.contiguous() for name, value in best.state_dict().items()}, beside)
    return best
