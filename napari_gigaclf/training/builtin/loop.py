"""One loop which teaches a classifier from labelled tiles: AdamW, a one-cycle learning rate, averaged weights.

The network seen here is the trunk without its outer zeros (one tile, one cell). The weights that are kept are an
exponential moving average of those trained (Polyak and Juditsky 1992), those of the epoch with the
best AUC on the selection tiles.
"""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.networks.cell_net import without_padding
from napari_gigaclf.training.augment import Augmentation, augment
from napari_gigaclf.training.averaging import moving_average
from napari_gigaclf.training.builtin.distractors import distractors
from napari_gigaclf.training.builtin.optimisation import Optimisation
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.tiles import Tiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """What the loop does."""

    epochs: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    """Peak of the one-cycle schedule."""
    matrix_rate: float | None = None
    """Peak for layers with tied weights, by Muon; None: AdamW for all (see ``optimisation``)."""
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    average: float = 0.999
    """Decay of the moving average of the weights, per step."""
    distractors: int = 0
    """Made-up tiles without tissue, of class 0, added to each batch."""
    seed: int = 0
    bfloat16: bool = True
    """Convolutions in bfloat16 during training (weights, gradients and what is saved stay float32)."""
    augmentation: Augmentation = field(default_factory=Augmentation)


def tile_network(model: Classifier) -> nn.Sequential:
    """Return the model on tiles of one context, weights shared: float (B, 3, 96, 96) in [0, 1] -> logits."""
    trunk = model.trunk
    assert isinstance(trunk, nn.Sequential)
    network = nn.Sequential(model.normalise, without_padding(trunk), nn.Flatten(1), model.head)
    return network.train(model.training)


@torch.no_grad()
def tile_logits(network: nn.Module, images: NDArray[np.uint8], batch_size: int = 128) -> NDArray[np.float64]:
    """Return logits (N, classes) of uint8 tiles (N, H, W, 3), in eval mode and float32; the mode is restored."""
    training = network.training
    network.eval()
    parts = []
    for start in range(0, len(images), batch_size):
        block = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size]))
        parts.append(network(block.permute(0, 3, 1, 2).float().div_(255.0)).double().numpy())
    network.train(training)
    return np.concatenate(parts)


def positive_scores(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the margin of class 1 over class 0, monotone in its probability: (N,)."""
    return logits[:, 1] - logits[:, 0]


def fit(
    network: nn.Module,
    train: Tiles,
    selection: Tiles,
    settings: TrainSettings,
    on_better: Callable[[nn.Module, float], object] | None = None,
    odds: NDArray[np.float64] | None = None,
) -> nn.Module:
    """Train ``network`` in place and return the best averaged copy of it, in eval mode.

    Parameters
    ----------
    network
        Float tiles (B, 3, H, W) in [0, 1] -> logits (B, 2).
    train, selection
        Tiles to learn from; tiles to choose the epoch by (never those of the final figure).
    settings
        What to do.
    on_better
        Called with the averaged copy and its selection AUC whenever an epoch is the best so far.
    odds
        How often each tile of ``train`` is drawn, (N,); None: once in every epoch.
    """
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    averaged = AveragedModel(network, avg_fn=moving_average(settings.average), use_buffers=True)
    steps = max(1, len(train) // settings.batch_size)
    optimisation = Optimisation(
        network, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
        matrix_rate=settings.matrix_rate, num_steps=steps * settings.epochs,
    )  # fmt: skip
    best, best_network = -1.0, copy.deepcopy(averaged.module)
    start = time.monotonic()
    for epoch in range(settings.epochs):
        network.train()
        order = _order(len(train), odds, generator)
        loss_sum = 0.0
        for step in range(steps):
            chosen = np.sort(order[step * settings.batch_size : (step + 1) * settings.batch_size])
            loss_sum += _step(network, train.subset(chosen), optimisation, settings, generator)
            averaged.update_parameters(network)
        score = auc(positive_scores(tile_logits(averaged.module, selection.images)), selection.labels)
        logger.info(
            "epoch %d/%d: loss %.4f, selection AUC %.4f, %.0f s",
            epoch + 1, settings.epochs, loss_sum / steps, score, time.monotonic() - start,
        )  # fmt: skip
        if score > best:
            best, best_network = score, copy.deepcopy(averaged.module).eval()
            if on_better is not None:
                on_better(best_network, best)
    return best_network


def _order(count: int, odds: NDArray[np.float64] | None, generator: torch.Generator) -> NDArray[np.int64]:
    """Return the numbers of an epoch's tiles in the order in which they are seen."""
    if odds is None:
        return torch.randperm(count, generator=generator).numpy()
    return torch.multinomial(torch.from_numpy(odds), count, replacement=True, generator=generator).numpy()


def _batch(tiles: Tiles, settings: TrainSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return changed tiles and their labels, with distractors behind them."""
    images = augment(tiles.images, settings.augmentation, generator)
    target: Tensor = torch.from_numpy(tiles.labels)
    if settings.distractors:
        images = torch.cat([images, distractors(images, settings.distractors, generator)])
        target = torch.cat([target, target.new_zeros(settings.distractors)])
    return images.to(memory_format=torch.channels_last), target


def _step(
    network: nn.Module,
    tiles: Tiles,
    optimisation: Optimisation,
    settings: TrainSettings,
    generator: torch.Generator,
) -> float:
    images, target = _batch(tiles, settings, generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        logits = network(images).float()
    loss = nn.functional.cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
    optimisation.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimisation.step()
    return float(loss.detach())
