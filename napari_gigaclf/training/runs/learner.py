"""What a run asks of whoever learns: slides by streaming, or batches of tiles."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from napari_gigaclf.models import Classifier
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import CohortRow
from napari_gigaclf.training.runs.state import Counters
from napari_gigaclf.training.runs.tuning import Tuning
from napari_gigaclf.training.runs.workers import Workers

OnDone = Callable[[int], object]
"""Told how many more slides or tiles, over all processes, are learnt from."""


@dataclass(slots=True, kw_only=True)
class StepResult:
    """What a mini-batch came to."""

    losses: list[float] = field(default_factory=list)
    """Of this process's slides or tiles."""
    left_out: list[str] = field(default_factory=list)
    """What could not be read, each with the reason."""
    gradient_norm: float = math.nan
    """Length of the gradient before it was clipped."""


class Learner(Protocol):
    """A network, its optimiser, and what it learns from."""

    unit: str
    """What is learnt from, in the singular: "slide", "tile"."""
    workers: Workers
    optimiser: torch.optim.Optimizer

    @property
    def model(self) -> Classifier:
        """What is kept as the best model."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def kept(self) -> nn.Module:
        """All whose weights belong to the state."""

    def batches(self, epoch: int) -> list[list[CohortRow]]:
        """Return the mini-batches of an epoch, a function of the seed and the epoch alone."""

    def learning_rate(self, counters: Counters) -> float:
        """Return the learning rate of the next step."""

    def gradient(
        self, batch: Sequence[CohortRow], epoch: int, on_done: OnDone, cancel: CancelToken | None
    ) -> StepResult:  # fmt: skip
        """Leave the gradient of a mini-batch at the parameters. Whatever is raised, nothing of the batch is left.

        Parameters
        ----------
        batch
            Slides or tiles.
        epoch
            From 0; everything drawn is a function of it, the seed and the batch.
        on_done
            Told of what is done.
        cancel
            Asked to stop.

        Raises
        ------
        TrainingError
            If a loss or the gradient is not finite.
        Cancelled
            If the caller asked to stop.
        """

    def step(self) -> None:
        """Change the weights by the gradient."""

    def tuned(self, cancel: CancelToken | None) -> Tuning | None:
        """Look at what is kept aside; None where there is nothing."""

    def close(self) -> None:
        """Let go of files."""
