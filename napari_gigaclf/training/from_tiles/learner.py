"""Learning from batches of tiles: AdamW, a learning rate that rises and falls once, weights averaged over steps.

Everything drawn (order, changes of the tiles, dropout) is a function of the seed, the epoch and the batch alone, so
that a run that was stopped goes on with the same draws. Of several processes each has every n-th tile of a batch, and
batch norms see all of it (``whole_norm``), so that they learn what one would.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_gigaclf.errors import Cancelled, CohortError, TrainingError
from napari_gigaclf.models import Classifier
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.augment import augment
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.from_tiles.network import TileNetwork
from napari_gigaclf.training.from_tiles.recipe import TileRecipe
from napari_gigaclf.training.runs.learner import OnDone, StepResult
from napari_gigaclf.training.runs.state import Counters
from napari_gigaclf.training.runs.tuning import Tuning
from napari_gigaclf.training.runs.workers import Workers
from napari_gigaclf.training.tiles import TileSet

RISING = 0.2
"""Share of the steps over which the learning rate rises."""
FIRST, LAST = 1 / 25, 1 / 25_000
"""Learning rate of the first and the last step, as shares of its peak."""
AT_ONCE = 128
"""Tiles that are looked at together in tuning."""


@dataclass(slots=True, kw_only=True)
class TileLearner:
    """A network that learns from tiles; a ``Learner``."""

    tiles: TileSet
    network: TileNetwork
    averaged: AveragedModel
    optimiser: torch.optim.Optimizer
    weights: Tensor | None
    """Of the classes, (classes,); None: all the same."""
    recipe: TileRecipe
    workers: Workers
    unit: str = "tile"
    _learnt_from: tuple[CohortRow, ...] = field(init=False)
    """The tiles of split "train"."""

    def __post_init__(self) -> None:
        self._learnt_from = self.tiles.cohort.of_split("train").rows

    @property
    def best_network(self) -> TileNetwork:
        """The averaged network."""
        network = self.averaged.module
        assert isinstance(network, TileNetwork)
        return network

    @property
    def model(self) -> Classifier:
        """The averaged model, which is kept."""
        return self.best_network.model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def kept(self) -> nn.Module:
        """All whose weights belong to the state: those in training, and their average."""
        return nn.ModuleDict({"trained": self.network, "averaged": self.averaged})

    @property
    def batch_size(self) -> int:
        """Tiles of a mini-batch."""
        return min(self.recipe.batch_size, len(self._learnt_from))

    def batches(self, epoch: int) -> list[list[CohortRow]]:
        """Return the mini-batches of an epoch, each full: the few tiles left over have their turn in another epoch."""
        rows = self._learnt_from
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(rows))
        size = self.batch_size
        return [[rows[i] for i in order[start : start + size]] for start in range(0, len(rows) - size + 1, size)]

    def learning_rate(self, counters: Counters) -> float:
        """Return the learning rate of the next step."""
        per_epoch = len(self._learnt_from) // self.batch_size
        return self.recipe.learning_rate * one_cycle(counters.step, per_epoch * self.recipe.epochs)

    def gradient(
        self, batch: Sequence[CohortRow], epoch: int, on_done: OnDone, cancel: CancelToken | None
    ) -> StepResult:  # fmt: skip
        """Leave the gradient of a mini-batch at the parameters. Whatever is raised, nothing of the batch is left.

        Raises
        ------
        TrainingError
            If a loss or the gradient is not finite.
        CohortError
            If a tile cannot be read any more.
        Cancelled
            If the caller asked to stop.
        """
        images = self._read(batch, cancel)
        before = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        try:
            losses, norm = self._gradients(batch, images, epoch)
            on_done(len(batch))
        except BaseException:
            self.optimiser.zero_grad(set_to_none=True)
            for name, buffer in self.network.named_buffers():
                buffer.copy_(before[name])
            raise
        return StepResult(losses=losses, gradient_norm=norm)

    def step(self) -> None:
        """Change the weights by the gradient, and their average."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update_parameters(self.network)

    def _read(self, batch: Sequence[CohortRow], cancel: CancelToken | None) -> NDArray[np.uint8]:
        """Read this process's tiles of a batch; where one process is stopped, or cannot read one, all of them raise."""
        error: Exception | None = Cancelled("stopped") if cancel is not None and cancel.is_set() else None
        images = np.empty(0, np.uint8)
        if error is None:
            try:
                images = self.tiles.images(self.workers.share(batch))
            except CohortError as found:
                error = found
        self.workers.raise_together(error)
        return images

    def _gradients(
        self, batch: Sequence[CohortRow], pixels: NDArray[np.uint8], epoch: int
    ) -> tuple[list[float], float]:  # fmt: skip
        """Leave the gradient of a batch, over all processes, at the parameters.

        Returns
        -------
        tuple
            The losses of this process's tiles, and the gradient's length.
        """
        words = np.random.SeedSequence([self.recipe.seed, epoch, batch[0].number, 1]).generate_state(1, np.uint64)
        seed = int(words[0] >> np.uint64(1))
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        part = self.workers.part(len(batch))
        images = augment(pixels, self.recipe.augmentation, generator, part).to(self.device)
        labels = torch.tensor([row.labels[0] for row in self.workers.share(batch)], device=self.device)
        self.network.train()
        bfloat16 = self.recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16) if bfloat16 else nullcontext():
            logits = self.network(images, part).float()
        losses = nn.functional.cross_entropy(
            logits, labels, self.weights, reduction="none", label_smoothing=self.recipe.label_smoothing
        )
        values: list[float] = losses.detach().tolist()
        self._check_finite(self.workers.joined(values), batch, epoch)
        (losses.sum() / len(batch)).backward()  # type: ignore[no-untyped-call]
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.workers.add_up(p.grad for p in parameters if p.grad is not None)
        limit = math.inf if self.recipe.clip_norm is None else self.recipe.clip_norm
        norm = float(nn.utils.clip_grad_norm_(parameters, limit))
        if not math.isfinite(norm):
            names = ", ".join(row.name for row in batch)
            raise TrainingError(f"epoch {epoch + 1}: the gradient of the mini-batch of {names} is not finite")
        return values, norm

    def _check_finite(self, losses: Sequence[float], batch: Sequence[CohortRow], epoch: int) -> None:
        """Stop at a loss that is no number. Batch norm mixes tiles, so that one bad tile may spoil its whole batch."""
        bad = [row.name for row, loss in zip(batch, losses, strict=True) if not math.isfinite(loss)]
        if not bad:
            return
        number = next(i for i, rows in enumerate(self.batches(epoch), 1) if rows[0] is batch[0])
        raise TrainingError(
            f"epoch {epoch + 1}, batch {number}: the loss of {len(bad)} of {len(batch)} tiles is not finite; the last "
            f"good state is kept. Try a lower learning_rate, clip_norm, or precision=float32. They are {', '.join(bad)}"
        )

    @torch.no_grad()
    def tuned(self, cancel: CancelToken | None) -> Tuning | None:
        """Return what the averaged network says of the tuning tiles, unchanged; None where there are none."""
        cohort = self.tiles.cohort.of_split("tune")
        if not len(cohort):
            return None
        network = self.best_network
        network.eval()
        own: list[tuple[list[float], float]] = []
        # All processes go round equally often, the last time perhaps some of them with nothing.
        at_once = AT_ONCE * self.workers.count
        for start in range(0, len(cohort), at_once):
            part = cohort.rows[start : start + at_once]
            pixels = self._read(part, cancel)
            if not len(pixels):
                continue
            images = torch.from_numpy(pixels).to(self.device)
            found = network(images.permute(0, 3, 1, 2).float() / 255.0).double()
            labels = torch.tensor([row.labels[0] for row in self.workers.share(part)], device=self.device)
            losses = nn.functional.cross_entropy(found, labels, reduction="none")
            own += zip(found.tolist(), losses.tolist(), strict=True)
        logits, of_each = zip(*self.workers.joined(own), strict=True)
        return Tuning(cohort=cohort, logits=np.array(logits), losses=np.array(of_each))

    def close(self) -> None:
        """Close the archive of tiles."""
        self.tiles.close()


def one_cycle(step: int, total: int) -> float:
    """Return the learning rate of a step of ``total`` as a share of its peak (Smith and Topin 2018; half cosines)."""
    top = max(1.0, RISING * total - 1)
    if step <= top:
        return _eased(FIRST, 1.0, step / top)
    return _eased(1.0, LAST, min(1.0, (step - top) / max(1.0, total - 1 - top)))


def _eased(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
