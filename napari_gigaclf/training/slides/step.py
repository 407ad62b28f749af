"""One step of the optimiser: slides one after the other, their gradients added up, then clipped and applied.

Gradients of a slide are added only when its backward pass is through, so that a slide which breaks on the way leaves
nothing behind.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.slides.losses import Loss
from napari_gigaclf.training.slides.network import SlideNetwork
from napari_gigaclf.training.slides.recipe import Recipe
from napari_gigaclf.training.slides.slides import BAD_SLIDE, Slides
from napari_gigaclf.training.slides.workers import Workers


@dataclass(slots=True, kw_only=True)
class StepResult:
    """What a step did."""

    losses: list[float] = field(default_factory=list)
    """Of this process's slides."""
    left_out: list[str] = field(default_factory=list)
    """Slides that could not be read."""
    gradient_norm: float = math.nan
    """Length of the gradient before it was clipped."""


@dataclass(slots=True, kw_only=True)
class Stepper:
    """Makes steps."""

    network: SlideNetwork
    slides: Slides
    loss: Loss
    optimiser: torch.optim.Optimizer
    workers: Workers
    recipe: Recipe
    on_slide: Callable[[CohortRow], object] = lambda row: None
    """Told of every slide that is done."""

    def step(self, batch: Sequence[CohortRow], epoch: int, cancel: CancelToken | None) -> StepResult:
        """Learn from a mini-batch.

        Raises
        ------
        TrainingError
            If a loss or the gradient is not finite, or no slide of the batch can be read.
        SlideError
            If a slide cannot be read and the recipe says so.
        Cancelled
            If the caller asked to stop; weights and statistics are those before the step.
        """
        model, result = self.network.model, StepResult()
        parameters = [p for p in model.parameters() if p.requires_grad]
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        sums = [torch.zeros_like(p) for p in parameters]
        self.network.train()
        try:
            for row in self.workers.share(batch):
                self._add_slide(row, epoch, parameters, sums, result, cancel)
        except BaseException:
            for name, buffer in model.named_buffers():
                buffer.copy_(before[name])
            raise
        count = torch.tensor(float(len(result.losses)), device=self.network.device)
        self.workers.add_up([count, *sums])
        if not count:
            names = ", ".join(row.name for row in batch)
            raise TrainingError(f"epoch {epoch + 1}: no slide of the mini-batch can be read: {names}")
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total.div_(count)
        self.workers.average(buffer for buffer in model.buffers())
        result.gradient_norm = self._clipped(parameters, batch, epoch)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return result

    def _add_slide(
        self, row: CohortRow, epoch: int, parameters: Sequence[Tensor], sums: Sequence[Tensor], result: StepResult,
        cancel: CancelToken | None,
    ) -> None:  # fmt: skip
        """Add the gradient of a slide."""
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
            return
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total.add_(gradient)
        result.losses.append(value)
        self.on_slide(row)

    def _clipped(self, parameters: Sequence[Tensor], batch: Sequence[CohortRow], epoch: int) -> float:
        """Clip the gradient and return its length before."""
        limit = math.inf if self.recipe.clip_norm is None else self.recipe.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(list(parameters), limit))
        if not math.isfinite(norm):
            names = ", ".join(row.name for row in batch)
            raise TrainingError(f"epoch {epoch + 1}: the gradient of the mini-batch of {names} is not finite")
        return norm
