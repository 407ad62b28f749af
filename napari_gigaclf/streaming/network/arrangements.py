"""How a network's code sees the axes of a map: in another order, with channels in several axes, or in none.

A map lies in memory as (batch, channels, *space), always. Code permutes its axes (``x.permute(0, 2, 3, 1)``), splits
its channels into groups (``x.view(b, 2, c // 2, h, w)``), stacks maps or drops an axis (``x.sum(1)``). Nothing of that
touches space, so nothing is moved: whoever reads the map is told how to see it, and functions that act place by place
run on a view which looks like that, so that whatever broadcasts meets the axis it would meet without streaming.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation

SAMPLES = 0
CHANNELS = -1
"""Axes are told by numbers: samples 0; space 1, 2, 3; channels -1, or their parts -1, -2, ... as they lie in memory,
the slowest first."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The axes that a network's code sees of a map.

    Examples
    --------
    >>> import torch
    >>> groups = Arrangement((0, -1, -2, 1), (2, 3))
    >>> groups.shown(torch.zeros(1, 6, 5)).shape, groups.stored(torch.zeros(1, 2, 3, 5)).shape
    (torch.Size([1, 2, 3, 5]), torch.Size([1, 6, 5]))
    """

    axes: tuple[int, ...]
    """What each axis is, in the code's order."""
    sizes: tuple[int, ...] | None = None
    """Lengths of the channels' parts, as they lie in memory; None: channels are one axis, of whatever length."""

    @property
    def num_parts(self) -> int:
        """Axes that channels take."""
        return 1 if self.sizes is None else len(self.sizes)

    @property
    def order(self) -> tuple[int, ...]:
        """The permutation of (batch, *parts of the channels, *space) that gives what the code sees."""
        return tuple(-axis if axis <= 0 else self.num_parts + axis for axis in self.axes)

    @property
    def kinds(self) -> tuple[int, ...]:
        """What each axis is, whichever part of the channels: maps with equal kinds meet axis by axis."""
        return tuple(max(axis, CHANNELS) for axis in self.axes)

    def shown(self, block: Tensor) -> Tensor:
        """Return a block (batch, channels, *space) as a view that looks so."""
        if self.sizes is not None:
            block = torch.unflatten(block, 1, self.sizes) if self.sizes else block.squeeze(1)
        return block.permute(self.order)

    def stored(self, seen: Tensor) -> Tensor:
        """Return a block that looks so as (batch, channels, *space), a view where it lies in memory like that.

        Raises
        ------
        UnsupportedOperation
            If its channels' parts are not as long as they were taken to be.
        """
        order = self.order
        block = seen.permute([order.index(axis) for axis in range(len(order))])
        if self.sizes is None:
            return block
        found = tuple(block.shape[1 : 1 + self.num_parts])
        if found != self.sizes:
            raise UnsupportedOperation(
                f"cannot stream a map whose channels have the shape {found} and were taken for {self.sizes} when the "
                "code was read; give what is joined with it the map's own number of channels"
            )
        return joined(block, self.num_parts)


def joined(block: Tensor, count: int) -> Tensor:
    """Return (batch, *parts, *space) with its ``count`` parts as one axis of channels, in memory as before."""
    if count == 0:
        return block.unsqueeze(1)
    strides = [stride if size > 1 else None for size, stride in zip(block.shape, block.stride(), strict=True)]
    parts, space = ([s for s in some if s is not None] for some in (strides[1 : 1 + count], strides[1 + count :]))
    if not parts or not space or min(parts) > min(space):
        return block.flatten(1, count)
    last = block.permute(0, *range(1 + count, block.ndim), *range(1, 1 + count))  # channels last stay last
    return last.flatten(block.ndim - count).movedim(-1, 1)


def arranged(axes: Sequence[int], sizes: Sequence[int] | None) -> Arrangement | None:
    """Return the arrangement with these axes; None where it is how maps lie in memory anyway."""
    if sizes is not None and len(sizes) == 1:
        sizes = None
    if sizes is None and tuple(axes) == own_axes(len(axes) - 2):
        return None
    return Arrangement(tuple(axes), None if sizes is None else tuple(sizes))


def own_axes(num_axes: int) -> tuple[int, ...]:
    """Return the axes of a map as it lies in memory."""
    return (SAMPLES, CHANNELS, *range(1, num_axes + 1))


def shown(block: Tensor, seen: Arrangement | None) -> Tensor:
    """Return (batch, channels, *space) as the code sees it."""
    return block if seen is None else seen.shown(block)


def stored(block: Tensor, seen: Arrangement | None) -> Tensor:
    """Return a block, as the code sees it, as (batch, channels, *space)."""
    return block if seen is None else seen.stored(block)
