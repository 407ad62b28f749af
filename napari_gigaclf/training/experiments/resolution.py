"""Whether resolution pays: the same slides at three resolutions, trunks trained from slide labels by streaming.

Each network first learns from labels of tiles, shrunk as slides are, all with the same number of steps; then the whole
of it goes on from slide labels alone, through the engine (batch norm keeps its statistics). ``before`` is the network
that has seen no slide yet.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.streaming import StreamedModule, stream
from napari_gigaclf.training.augment import Augmentation
from napari_gigaclf.training.builtin.loop import TrainSettings, fit
from napari_gigaclf.training.experiments.configs import ResolutionExperiment
from napari_gigaclf.training.experiments.ladder import RUNGS, Ladder, Rung, Task
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import SlidePlan, TilePool
from napari_gigaclf.training.slides.view import SlideView
from napari_gigaclf.training.tiles import Tiles
from napari_gigaclf.writing import replacing

logger = logging.getLogger(__name__)

PRETRAINING_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSet:
    """Slides and the tiles that they are made of."""

    plans: Sequence[SlidePlan]
    pool: TilePool

    def targets(self, task: Task) -> NDArray[np.float64]:
        """Return labels, or shares of tumour, (N,)."""
        return np.array([plan.label if task == "tumour" else plan.score for plan in self.plans], np.float64)


def shrunk(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return tiles (N, H, W, 3) at a coarser resolution, by the kernel that slides are shrunk with."""
    if factor == 1:
        return images
    side = images.shape[1] // factor
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in images])


def pretrained(name: str, experiment: ResolutionExperiment, tiles: Tiles, tuning: Tiles, path: Path) -> Ladder:
    """Return a network that has learnt from labels of tiles, or read the one that did.

    Parameters
    ----------
    name
        Of the rung.
    tiles, tuning
        At full resolution: to learn from, and to choose the epoch by.
    path
        File of the weights.
    """
    rung = RUNGS[name]
    torch.manual_seed(PRETRAINING_SEED)
    network = Ladder(rung)
    if not path.is_file():
        settings = TrainSettings(
            epochs=experiment.tile_epochs, seed=PRETRAINING_SEED, bfloat16=False, augmentation=_augmentation(rung)
        )
        small, small_tuning = (
            Tiles(images=shrunk(part.images, rung.factor), labels=part.labels) for part in (tiles, tuning)
        )
        save_weights(fit(network, small, small_tuning, settings), path)
    load_weights(network, path)
    return network


def train_on_slides(
    network: Ladder, rung: Rung, slides: SlideSet, experiment: ResolutionExperiment, task: Task, seed: int
) -> list[float]:
    """Train the whole of a network in place from one label or score per slide, streamed; return the loss by epoch."""
    generator = torch.Generator().manual_seed(seed)
    targets = slides.targets(task)
    network.eval()  # batch norm keeps its statistics, its weights learn
    set_scale(network, rung, slides, task, experiment.batch_size)
    optimiser = torch.optim.Adam(network.parameters(), lr=experiment.learning_rate)
    steps = experiment.epochs * math.ceil(len(targets) / experiment.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    streamed = stream(network.features)
    losses = []
    for epoch in range(experiment.epochs):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(targets), generator=generator), experiment.batch_size):
            optimiser.zero_grad(set_to_none=True)
            for number in chosen.tolist():
                with painted(slides.plans[number], slides.pool, rung.factor) as view:
                    loss = loss_of(answer(network, streamed, view, task), float(targets[number]), task)
                    (loss / len(chosen)).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            optimiser.step()
            schedule.step()
        losses.append(total / len(targets))
        logger.info("epoch %d of %d: loss %.4f", epoch + 1, experiment.epochs, losses[-1])
    return losses


@torch.no_grad()
def set_scale(network: Ladder, rung: Rung, slides: SlideSet, task: Task, count: int) -> None:
    """Let answers begin where targets are: with their mean, and for shares their spread, over some training slides."""
    some = SlideSet(plans=slides.plans[: 2 * count], pool=slides.pool)
    found, targets = answers(network, rung, some, task), some.targets(task)
    if task == "share" and found.std() > 0:
        network.gain.fill_(float(np.cov(found, targets, ddof=0)[0, 1] / found.var()))
        found = float(network.gain) * found
    network.shift.fill_(float((targets.mean() if task == "share" else 0.0) - found.mean()))


@torch.no_grad()
def answers(network: Ladder, rung: Rung, slides: SlideSet, task: Task) -> NDArray[np.float64]:
    """Return a network's answer for every slide, (N,)."""
    network.eval()
    streamed = stream(network.features)
    found = []
    for plan in slides.plans:
        with painted(plan, slides.pool, rung.factor) as view:
            found.append(float(answer(network, streamed, view, task)))
    return np.array(found)


def answer(network: Ladder, streamed: StreamedModule, view: SlideView, task: Task) -> Tensor:
    """Return a network's answer for a slide, differentiable."""
    rows, columns = streamed.plan(view.whole.shape, backward=torch.is_grad_enabled()).output_shape[-2:]
    cells = view.cells(cell_axes(streamed), (int(rows), int(columns)))
    return network.slide(streamed.stream(view.whole, cells=cells)[0].T, task)


def loss_of(found: Tensor, target: float, task: Task) -> Tensor:
    """Return cross-entropy, or for shares Huber's loss in units of a tenth."""
    wanted = torch.full_like(found, target)
    if task == "share":
        return nn.functional.huber_loss(10 * found, 10 * wanted)
    return nn.functional.binary_cross_entropy_with_logits(found, wanted)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write weights, whole or not at all."""
    with replacing(path) as beside:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, beside)


def load_weights(network: nn.Module, path: Path) -> None:
    """Read weights that ``save_weights`` wrote."""
    network.load_state_dict(load_file(path))


def _augmentation(rung: Rung) -> Augmentation:
    """Return the usual changes, with translations of the same length on the slide."""
    usual = Augmentation()
    return Augmentation(shift_px=max(1, usual.shift_px // rung.factor))
