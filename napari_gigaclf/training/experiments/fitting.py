"""Trains layers behind a frozen trunk on its maps, from one label per slide.

Every epoch sees each slide turned or mirrored anew. That is exact where the trunk cannot tell which way up a slide
lies (``training.builtin.orientation``) and sides are multiples of its stride: the map of the turned slide is the turned
map.
"""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_gigaclf.training.builtin.orientation import ORIENTATIONS, turned
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.experiments.configs import FitSettings
from napari_gigaclf.training.experiments.maps import SlideMap
from napari_gigaclf.training.experiments.on_maps import OnMaps, margins

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitEpoch:
    """What an epoch came to."""

    train_loss: float
    tune_loss: float
    tune_auc: float


def fit_on_maps(
    network: OnMaps, train: Sequence[SlideMap], tune: Sequence[SlideMap], settings: FitSettings, seed: int
) -> list[FitEpoch]:
    """Train in place; the weights of the epoch with the lowest loss on the tuning slides are kept.

    The first entry of what is returned is the network as it came, which may turn out to be the best.

    Parameters
    ----------
    network
        Its tail, pooling and head are trained.
    train, tune
        Slides to learn from, and to choose the epoch by.
    settings
        How.
    seed
        Of the order and the turns.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * math.ceil(len(train) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    epochs = [_judged(network, tune, float("nan"))]
    best = copy.deepcopy(network.state_dict())
    for number in range(settings.epochs):
        network.train()
        losses = []
        for chosen in torch.split(torch.randperm(len(train), generator=generator), settings.batch_size):
            loss = _loss(network, [train[i] for i in chosen.tolist()], generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()) * len(chosen))
        epochs.append(_judged(network, tune, sum(losses) / len(train)))
        logger.info("epoch %d of %d: %s", number + 1, settings.epochs, epochs[-1])
        if epochs[-1].tune_loss <= min(epoch.tune_loss for epoch in epochs):
            best = copy.deepcopy(network.state_dict())
    network.load_state_dict(best)
    network.eval()
    return epochs


def labels_of(maps: Sequence[SlideMap]) -> NDArray[np.int64]:
    """Return the label of each slide, (N,)."""
    return np.array([one.plan.label for one in maps], np.int64)


def _loss(network: OnMaps, batch: Sequence[SlideMap], generator: torch.Generator) -> Tensor:
    turns = torch.randint(ORIENTATIONS, (len(batch),), generator=generator).tolist()
    features = torch.stack([turned(one.features_Fhw, turn) for one, turn in zip(batch, turns, strict=True)])
    cells = torch.stack([turned(one.cells_hw, turn) for one, turn in zip(batch, turns, strict=True)])
    return nn.functional.cross_entropy(network(features, cells), torch.from_numpy(labels_of(batch)))


def _judged(network: OnMaps, tune: Sequence[SlideMap], train_loss: float) -> FitEpoch:
    scores, labels = margins(network, tune), labels_of(tune)
    losses = np.logaddexp(0.0, np.where(labels == 1, -scores, scores))
    return FitEpoch(train_loss=train_loss, tune_loss=float(losses.mean()), tune_auc=auc(scores, labels))
