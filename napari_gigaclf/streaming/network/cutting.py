"""Cutting a block to what an operation reads: borders off, padding on, in one step forward and one backward.

PyTorch's own slices and padding would do, but for the time they take: a padded block is first filled, then copied; a
slice is copied by the convolution that reads it, and again on the way back; and the gradients of both come in the
default layout whatever the layout of the block, so that with channels last every operation behind them changes layouts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Amounts = Sequence[tuple[int, int]]
"""(before, after) per spatial axis: positions put on; negative ones are taken off."""


def memory_format(block: Tensor) -> torch.memory_format:
    """Return the layout of a block, for what is made of it to keep; a single position tells by its strides, too."""
    if block.shape[1] > 1 and block.stride(1) == 1 and block.stride(-1) > 1:
        if block.ndim == 4:
            return torch.channels_last
        if block.ndim == 5:
            return torch.channels_last_3d
    return torch.contiguous_format


def cut(block: Tensor, amounts: Amounts, value: float = 0.0, *, dense: bool = False, traced: bool = False) -> Tensor:
    """Return a block with positions put on or taken off at its ends.

    Parameters
    ----------
    block
        (B, C, *space).
    amounts
        Per spatial axis; what is left may lie wholly in what is put on.
    value
        Of what is put on.
    dense
        Whether the result shall be a block of its own, which convolutions copy slices into anyway; otherwise what only
        takes off is a view.
    traced
        Whether PyTorch follows the operations to compile them: then only its own are used.
    """
    if not any(before or after for before, after in amounts):
        return block
    if traced:
        return _own(block, amounts, value)
    if block.requires_grad and torch.is_grad_enabled():
        return Cut.apply(block, tuple(amounts), value, dense)  # type: ignore[no-any-return, no-untyped-call]
    return _cut(block, amounts, value, dense)


class Cut(torch.autograd.Function):
    """The cut of a block, whose gradient is cut the other way, in the layout of the block."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, block: Tensor, amounts: Amounts, value: float, dense: bool
    ) -> Tensor:
        """Return the cut."""
        ctx.amounts, ctx.layout = amounts, memory_format(block)  # type: ignore[attr-defined]
        return _cut(block, amounts, value, dense)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the block: that of the part it gave, zeros where it gave none."""
        back = tuple((-before, -after) for before, after in ctx.amounts)  # type: ignore[attr-defined]
        return _filled(grads[0], back, 0.0, ctx.layout), None, None, None  # type: ignore[attr-defined]


def _cut(block: Tensor, amounts: Amounts, value: float, dense: bool) -> Tensor:
    if not dense and all(before <= 0 and after <= 0 for before, after in amounts):
        return _taken_off(block, amounts)
    return _filled(block, amounts, value, memory_format(block))


def _own(block: Tensor, amounts: Amounts, value: float) -> Tensor:
    """Do it with PyTorch's operations; crop last, since what is left may lie wholly in the padding."""
    padded = F.pad(block, [max(amount, 0) for pair in reversed(amounts) for amount in pair], value=value)
    return _taken_off(padded, [(min(before, 0), min(after, 0)) for before, after in amounts])


def _taken_off(block: Tensor, amounts: Amounts) -> Tensor:
    for axis, (before, after) in enumerate(amounts, start=2):
        if before or after:
            block = block.narrow(axis, -before, block.shape[axis] + before + after)
    return block


def _filled(block: Tensor, amounts: Amounts, value: float, layout: torch.memory_format) -> Tensor:
    """Return a new block: what both have in common copied, the rest filled strip by strip."""
    sizes = [size + before + after for size, (before, after) in zip(block.shape[2:], amounts, strict=True)]
    out = torch.empty((*block.shape[:2], *sizes), dtype=block.dtype, device=block.device, memory_format=layout)
    inner = out
    for axis, (size, (before, after)) in enumerate(zip(sizes, amounts, strict=True), start=2):
        start = min(max(before, 0), size)
        stop = max(min(size - after, size), start)
        if start:
            inner.narrow(axis, 0, start).fill_(value)
        if stop < size:
            inner.narrow(axis, stop, size - stop).fill_(value)
        inner = inner.narrow(axis, start, stop - start)
        if start < stop:
            block = block.narrow(axis, start - before, stop - start)
    if inner.numel():
        inner.copy_(block)
    return out
