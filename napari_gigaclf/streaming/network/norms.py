"""Norms whose statistics are those of the image at hand: batch norm in training mode, instance norm, group norm.

All start from the mean and the centred variance of each sample and channel, in double precision. Channels of a group,
or samples of a batch, have equally many positions, so that with mean m_i and variance v_i of each part

    mean = average of m_i,    variance = average of v_i + (m_i - mean)^2

and again nothing is a difference of large sums. These are ordinary PyTorch: autograd finds their gradients.

Arrays are (batch, channels), or (1, channels) for a whole batch.
"""

import torch
from torch import Tensor


def group_mean(mean: Tensor, num_groups: int) -> Tensor:
    """Return the mean of each channel's group."""
    grouped = mean.reshape(mean.shape[0], num_groups, -1)
    return grouped.mean(2, keepdim=True).expand_as(grouped).reshape(mean.shape)


def group_variance(mean: Tensor, variance: Tensor, count: Tensor, num_groups: int) -> Tensor:
    """Return the variance of each channel's group.

    Raises
    ------
    ValueError
        Where PyTorch raises it: one value per group in the whole batch.
    """
    check_several(int(mean.shape[0] * mean.shape[1] // num_groups * int(count[0, 0])))
    grouped, spread = mean.reshape(mean.shape[0], num_groups, -1), variance.reshape(mean.shape[0], num_groups, -1)
    whole = (spread + (grouped - grouped.mean(2, keepdim=True)).square()).mean(2, keepdim=True)
    return whole.expand_as(grouped).reshape(mean.shape)


def batch_mean(mean: Tensor) -> Tensor:
    """Return the mean over the batch, (1, channels)."""
    return mean.mean(0, keepdim=True)


def batch_variance(mean: Tensor, variance: Tensor, count: Tensor) -> Tensor:
    """Return the variance over the batch, (1, channels).

    Raises
    ------
    ValueError
        If there is one value per channel, as PyTorch raises it.
    """
    check_several(int(mean.shape[0] * int(count[0, 0])))
    return (variance + (mean - mean.mean(0, keepdim=True)).square()).mean(0, keepdim=True)


def instance_variance(variance: Tensor, count: Tensor) -> Tensor:
    """Return the variance of each sample and channel.

    Raises
    ------
    ValueError
        If there is one value per sample and channel, as PyTorch raises it.
    """
    check_several(int(count[0, 0]))
    return variance


def check_several(count: int) -> None:
    """Refuse statistics of a single value."""
    if count == 1:
        raise ValueError("Expected more than 1 value per channel when training, and the map has one position")


def scale(variance: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Return what centred values are multiplied by."""
    found = torch.rsqrt(variance + eps)
    return found if weight is None else found * weight


def normalised(block: Tensor, mean: Tensor, factor: Tensor, bias: Tensor | None) -> Tensor:
    """Return (block - mean) * factor + bias, in the block's type; half precision is computed in single.

    The mean is subtracted first: where it is far larger than the deviation, folding it into the bias loses digits.
    """
    wide = block.float() if block.dtype in (torch.float16, torch.bfloat16) else block
    shape = (-1, block.shape[1], *(1,) * (block.ndim - 2))
    out = (wide - mean.to(wide.dtype).reshape(shape)) * factor.to(wide.dtype).reshape(shape)
    return (out if bias is None else out + bias.to(wide.dtype).reshape(shape)).to(block.dtype)


@torch.no_grad()
def update_running(
    running_mean: Tensor | None, running_var: Tensor | None, tracked: Tensor | None, momentum: float | str,
    mean: Tensor, variance: Tensor, count: Tensor, over_batch: bool,
) -> Tensor:  # fmt: skip
    """Move running statistics towards those of this image, as PyTorch's norms do; return the mean.

    Parameters
    ----------
    running_mean, running_var, tracked
        Buffers, changed in place; None where there are none.
    momentum
        Weight of this image; ``"average"``: all images so far weigh the same.
    mean, variance
        (1, channels) of a batch, or (batch, channels) of instances, whose average counts.
    count
        Positions, (batch, channels).
    over_batch
        Whether the statistics run over the whole batch.
    """
    if tracked is not None:
        tracked.add_(1)
    share = momentum if isinstance(momentum, float | int) else 0.0 if tracked is None else 1.0 / float(tracked)
    number = int(count[0, 0]) * (count.shape[0] if over_batch else 1)
    for running, found in ((running_mean, mean), (running_var, variance * (number / max(number - 1, 1)))):
        if running is not None:
            running.mul_(1 - share).add_(found.mean(0).to(running.dtype), alpha=share)
    return mean
