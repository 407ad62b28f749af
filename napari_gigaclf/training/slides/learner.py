"""Learning from slides: one after the other, their gradients added up, then clipped and applied.

Gradients of a slide are added only when its backward pass is through, so that a slide which breaks on the way leaves
nothing behind.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.models import Classifier
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.runs.learner import OnDone, StepResult
from napari_gigaclf.training.runs.state import Counters
from napari_gigaclf.training.runs.tuning import Tuning
from napari_gigaclf.training.runs.workers import Workers
from napari_gigaclf.training.slides.losses import Loss
from napari_gigaclf.training.slides.network import SlideNetwork
from napari_gigaclf.training.slides.recipe import Recipe
from napari_gigaclf.training.slides.slides import BAD_SLIDE, Slides
from napari_gigaclf.training.slides.tuning import joined, tune


@dataclass(slots=True, kw_only=True)
class SlideLearner:
    """A network that learns from whole slides; a ``Learner``."""

    cohort: Cohort
    network: SlideNetwork
    slides: Slides
    loss: Loss
    optimiser: torch.optim.Optimizer
    workers: Workers
    recipe: Recipe
    unit: str = "slide"

    @property
    def model(self) -> Classifier:
        """The model in training."""
        return self.network.model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    @property
    def kept(self) -> nn.Module:
        """All whose weights belong to the state."""
        return self.network.model

    def batches(self, epoch: int) -> list[list[CohortRow]]:
        """Return the mini-batches of an epoch: all training slides in an order of the epoch's own."""
        rows = self.cohort.of_split("train").rows
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(rows))
        size = self.recipe.batch_size
        return [[rows[i] for i in order[start : start + size]] for start in range(0, len(rows), size)]

    def learning_rate(self, counters: Counters) -> float:
        """Return the learning rate of the next step."""
        recipe = self.recipe
        warm = min(1.0, (counters.step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
        return recipe.learning_rate * recipe.decay**counters.epoch * warm

    def tuned(self, cancel: CancelToken | None) -> Tuning | None:
        """Return the logits of the tuning slides; None where there are none."""
        cohort = self.cohort.of_split("tune")
        if not len(cohort):
            return None
        part = tune(self.network, self.slides, self.workers.share(cohort.rows), self.loss, cancel)
        return joined(cohort, self.workers.gathered(part))

    def close(self) -> None:
        """Close the slides."""
        self.slides.close()

    def gradient(
        self, batch: Sequence[CohortRow], epoch: int, on_done: OnDone, cancel: CancelToken | None
    ) -> StepResult:  # fmt: skip
        """Leave the gradient of a mini-batch at the parameters. Whatever is raised, nothing of the batch is left.

        Raises
        ------
        TrainingError
            If a loss or the gradient is not finite, or no slide of the batch can be read.
        SlideError
            If a slide cannot be read and the recipe says so.
        Cancelled
            If the caller asked to stop.
        """
        before = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self.network.train()
        try:
            return self._gradients(batch, epoch, on_done, cancel)
        except BaseException:
            self.optimiser.zero_grad(set_to_none=True)
            for name, buffer in self.model.named_buffers():
                buffer.copy_(before[name])
            raise

    def step(self) -> None:
        """Change the weights by the gradient."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def _gradients(
        self, batch: Sequence[CohortRow], epoch: int, on_done: OnDone, cancel: CancelToken | None
    ) -> StepResult:  # fmt: skip
        """Leave the mean gradient of a mini-batch, over all processes, at the parameters."""
        result = StepResult()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        sums = [torch.zeros_like(p) for p in parameters]
        for row in self.workers.share(batch):
            if self._add_slide(row, epoch, parameters, sums, result, cancel):
                on_done(self.workers.count)
        count = torch.tensor(float(len(result.losses)), device=self.network.device)
        self.workers.add_up([count, *sums])
        if not count:
            names = ", ".join(row.name for row in batch)
            raise TrainingError(f"epoch {epoch + 1}: no slide of the mini-batch can be read: {names}")
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total.div_(count)
        self.workers.average(buffer for buffer in self.model.buffers())
        result.gradient_norm = self._clipped(parameters, batch, epoch)
        return result

    def _add_slide(
        self, row: CohortRow, epoch: int, parameters: Sequence[Tensor], sums: Sequence[Tensor], result: StepResult,
        cancel: CancelToken | None,
    ) -> bool:  # fmt: skip
        """Add the gradient of a slide; return whether it could be read."""
        # Dropout, too, is a function of seed, epoch and slide: a run that was stopped goes on with the same draws.
        words = np.random.SeedSequence([self.recipe.seed, epoch, row.number, 1]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0] >> np.uint64(1)))
        try:
            window = self.slides.drawn(row, epoch)
            cells = window.cells(self.network.axes, self.network.map_shape(window.shape))
            loss = self.loss(self.network.logits(window, cells, cancel), row)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(
                    f"epoch {epoch + 1}: the loss of slide {row.name} is {value}; the last good state is kept. Try a "
                    "lower learning_rate, clip_norm, or precision=float32"
                )
            gradients = torch.autograd.grad(loss, list(parameters), allow_unused=True)
        except BAD_SLIDE as error:
            if self.recipe.bad_slides == "stop":
                raise
            result.left_out.append(f"{row.name}: {error}")
            return False
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total.add_(gradient)
        result.losses.append(value)
        return True

    def _clipped(self, parameters: Sequence[Tensor], batch: Sequence[CohortRow], epoch: int) -> float:
        """Clip the gradient and return its length before."""
        limit = math.inf if self.recipe.clip_norm is None else self.recipe.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(list(parameters), limit))
        if not math.isfinite(norm):
            names = ", ".join(row.name for row in batch)
            raise TrainingError(f"epoch {epoch + 1}: the gradient of the mini-batch of {names} is not finite")
        return norm
