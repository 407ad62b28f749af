"""The second stage of a cell classifier: all of it goes on learning from slide labels, streamed from end to end.

A slide's answer follows from the mean m of its highest log-odds (see ``models.slide_answer``); with label y,

    loss = BCE(y, gain m + shift) + w CE(labels of a batch of tiles),

the first term through the whole network on whole mosaics, by the engine: its backward pass runs the tiles alone in
which one of the highest cells lies. The second keeps what single tiles have taught. Weights stay tied to the eight
orientations: ordinary layers are streamed, and their gradients handed back to the weights that they are copies of.
Batch norm keeps its statistics. Every slide is seen once.
"""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import Classifier
from napari_gigaclf.models.pooling import suspicion
from napari_gigaclf.streaming import StreamedModule, stream
from napari_gigaclf.training.augment import Augmentation, augment
from napari_gigaclf.training.builtin.cell_model import as_classifier, as_oriented
from napari_gigaclf.training.builtin.orientation import hand_back, write_out
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import MosaicSettings, SlidePlan, TilePool, plan_slide
from napari_gigaclf.training.tiles import Tiles

logger = logging.getLogger(__name__)


ANSWER_RATE = 1e-2
"""Peak learning rate of the slide's gain and shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStage:
    """What the second stage does."""

    steps: int = 300
    slides_per_step: int = 4
    tiles_per_step: int = 64
    tile_weight: float = 1.0
    """Weight of the tiles' loss (w)."""
    label_smoothing: float = 0.05
    """Of the tiles' labels."""
    learning_rate: float = 3e-4
    """Peak of the one-cycle schedule."""
    mosaics: MosaicSettings
    """Of the slides; lesions of all sizes in turn."""
    augmentation: Augmentation
    """Of the tiles; the slides' stains vary by themselves."""
    num_highest: int = 10
    """Cells that a slide's answer follows from."""
    seed: int = 0


def train_on_slides(start: Classifier, pool: TilePool, tiles: Tiles, settings: SlideStage) -> Classifier:
    """Return a model that has gone on learning from slides.

    Parameters
    ----------
    start
        A model written by ``cell_model``; it is left as it is.
    pool
        What the slides are made of.
    tiles
        Labelled tiles to learn from beside them.
    settings
        What to do.
    """
    oriented = as_oriented(copy.deepcopy(start), fresh=False).eval()
    tied, head = oriented[1], oriented[3]
    assert isinstance(tied, nn.Sequential)
    model = as_classifier(oriented, start.config).requires_grad_()
    model.head = head  # what is streamed and what sees tiles have one head
    assert isinstance(model.trunk, nn.Sequential)
    streamed = stream(model.features)
    gain, shift = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-2.0))
    optimiser = torch.optim.Adam([{"params": [*tied.parameters(), *head.parameters()]}, {"params": [gain, shift]}])
    peaks = [settings.learning_rate, ANSWER_RATE]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=settings.steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(settings.seed)
    losses: list[tuple[float, float]] = []
    for step in range(settings.steps):
        optimiser.zero_grad(set_to_none=True)
        model.trunk.zero_grad(set_to_none=True)
        write_out(tied, model.trunk)
        of_slides = [
            _slide_gradient(model, streamed, plan, pool, settings, gain, shift) for plan in _plans(settings, pool, step)
        ]
        hand_back(tied, model.trunk)
        of_tiles = _tile_gradient(oriented, tiles, settings, generator)
        optimiser.step()
        schedule.step()
        losses.append((float(np.mean(of_slides)), of_tiles))
        if (step + 1) % 25 == 0:
            recent = np.mean(losses[-25:], axis=0)
            logger.info("step %d/%d: loss of slides %.3f, of tiles %.3f", step + 1, settings.steps, *recent)
    return as_classifier(oriented, start.config)


def _plans(settings: SlideStage, pool: TilePool, step: int) -> Iterator[SlidePlan]:
    """Yield the slides of a step."""
    first = step * settings.slides_per_step
    for number in range(first, first + settings.slides_per_step):
        yield plan_slide(settings.mosaics, pool, seed=settings.seed, split="train", number=number)


@contextmanager
def slide_log_odds(model: Classifier, streamed: StreamedModule, plan: SlidePlan, pool: TilePool) -> Iterator[Tensor]:
    """Give the log-odds (N,) of a mosaic's cells of tissue; a backward pass has to end within."""
    with painted(plan, pool) as view:
        rows, columns = streamed.plan(view.whole.shape, backward=torch.is_grad_enabled()).output_shape[-2:]
        cells = view.cells(cell_axes(streamed), (int(rows), int(columns)))
        yield suspicion(model.cell_logits(streamed.stream(view.whole, cells=cells)[0].T))


def _slide_gradient(
    model: Classifier,
    streamed: StreamedModule,
    plan: SlidePlan,
    pool: TilePool,
    settings: SlideStage,
    gain: Tensor,
    shift: Tensor,
) -> float:
    """Add the gradient of a slide and return its loss."""
    with slide_log_odds(model, streamed, plan, pool) as odds:
        z = gain * odds.topk(settings.num_highest).values.mean() + shift
        loss = nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(float(plan.label)))
        (loss / settings.slides_per_step).backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _tile_gradient(network: nn.Module, tiles: Tiles, settings: SlideStage, generator: torch.Generator) -> float:
    """Add the gradient of a batch of changed tiles and return its loss."""
    chosen = torch.randperm(len(tiles), generator=generator)[: settings.tiles_per_step].numpy()
    batch = tiles.subset(np.sort(chosen))
    images = augment(batch.images, settings.augmentation, generator).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images).float()
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(batch.labels), label_smoothing=settings.label_smoothing)
    (settings.tile_weight * loss).backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())
