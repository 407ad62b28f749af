"""Two habits of training on tiles: weights averaged over steps, and decay for matrices only."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an average over the recent steps (Polyak and Juditsky 1992), for ``AveragedModel``.

    There are fewer of them at the start: the first weights are soon forgotten.
    """

    def average(mean: Tensor, value: Tensor, num_averaged: Tensor | int) -> Tensor:
        if not mean.is_floating_point():  # batch norm's count of batches
            return value
        steps = float(num_averaged)
        return torch.lerp(mean, value, 1.0 - min(decay, (1.0 + steps) / (10.0 + steps)))

    return average


def decaying_groups(
    network: nn.Module, weight_decay: float, without: Iterable[nn.Parameter] = ()
) -> list[dict[str, object]]:
    """Return the trained parameters for an optimiser: weights decay; biases and batch norm do not.

    Parameters
    ----------
    without
        Parameters that something else steps.
    """
    left_out = {id(p) for p in without}
    trained = [p for p in network.parameters() if p.requires_grad and id(p) not in left_out]
    decayed, free = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
