"""Joining what was carried with what is new into one block, ready for what reads it.

A block is written once: the new part as it is rectified, if its map is a ReLU's, and with the frame of padding that its
readers see beyond the image's border. Otherwise the same values would be written three times: by the ReLU, by the join,
and once more by the convolution's padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.cutting import memory_format
from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.planning.plan import is_empty
from napari_gigaclf.streaming.running.heap import Heap


def shape_of(extent: Extent) -> tuple[int, ...]:
    """Return the lengths of an extent."""
    return tuple(stop - start for start, stop in extent)


def crop(block: Tensor, have: Extent, want: Extent) -> Tensor:
    """Return the part ``want`` of a block that covers ``have``, as a view."""
    for axis, ((have_start, have_stop), (start, stop)) in enumerate(zip(have, want, strict=True)):
        if (start, stop) != (have_start, have_stop):
            block = block.narrow(2 + axis, start - have_start, stop - start)
    return block


def overlap(one: Extent, two: Extent) -> Extent:
    """Return what two extents have in common (perhaps nothing)."""
    return tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, two, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A tensor and where it lies."""

    extent: Extent
    tensor: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a joined block covers, and how it is filled."""

    extent: Extent
    """With the frame: where readers see padding, positions outside the map."""
    inside: Extent
    """Without it."""
    value: float
    """Of the frame."""
    rectified: bool = False
    """Whether the last part is still to be rectified: below zero, it counts as zero."""

    @property
    def framed(self) -> bool:
        """Whether there is a frame."""
        return self.extent != self.inside

    def filled(self, parts: Sequence[Part]) -> Tensor:
        """Return one block from the parts, of which the last one is new."""
        last = parts[-1].tensor
        shape = (*last.shape[:2], *shape_of(self.extent))
        block = torch.empty(shape, dtype=last.dtype, device=last.device, memory_format=memory_format(last))
        self._fill_frame(block)
        for number, part in enumerate(parts, start=1):
            place = crop(block, self.extent, part.extent)
            if self.rectified and number == len(parts):
                torch.clamp_min(part.tensor, 0, out=place)
            else:
                place.copy_(part.tensor)
        return block

    def _fill_frame(self, block: Tensor) -> None:
        """Fill the frame strip by strip."""
        for axis, ((start, stop), (first, last)) in enumerate(zip(self.extent, self.inside, strict=True), start=2):
            if first > start:
                block.narrow(axis, 0, first - start).fill_(self.value)
            if last < stop:
                block.narrow(axis, last - start, stop - last).fill_(self.value)


class Join(torch.autograd.Function):
    """Joins parts into one block; backward adds the gradients that later tiles found for pieces of this block.

    Those gradients (``seeds``) may come into their list after the block was joined: a tile whose graph is kept is
    joined before the tiles behind it have run. The second output is a switch of one number: its gradient only serves
    to run backward where no operation of this tile reads the block, but later tiles do. Joints lie all over a network,
    so they are where memory is given back while a tile is at work.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        room: Room,
        extents: tuple[Extent, ...],
        seeds: list[Part],
        heap: Heap,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the joined block and the switch."""
        ctx.set_materialize_grads(False)
        heap.tidy()
        ctx.layout = (room, extents, seeds, heap)  # type: ignore[attr-defined]
        switch = tensors[0].new_zeros(())
        if extents == (room.extent,) and not room.rectified:
            return tensors[0].view_as(tensors[0]), switch
        block = room.filled([Part(extent=e, tensor=t) for e, t in zip(extents, tensors, strict=True)])
        if room.rectified:
            ctx.save_for_backward(block)
        return block, switch

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradient of each part: its share of the block's, plus that of the pieces cut from it."""
        room, extents, seeds, heap = ctx.layout  # type: ignore[attr-defined]
        heap.tidy()
        grad = grads[0]
        given: list[Tensor | None] = []
        for index, where in enumerate(extents):
            if not ctx.needs_input_grad[4 + index] or (grad is None and not seeds):  # type: ignore[attr-defined]
                given.append(None)
                continue
            values = None
            if room.rectified and index + 1 == len(extents):
                values = Part(extent=room.extent, tensor=ctx.saved_tensors[0])  # type: ignore[attr-defined]
            given.append(_share(room.extent, where, grad, seeds, values))
        return (None, None, None, None, *given)


def _share(extent: Extent, where: Extent, grad: Tensor | None, seeds: Sequence[Part], values: Part | None) -> Tensor:
    """Return the gradient of the part ``where`` of a block: of the block's own, and of the pieces cut from it.

    ``values`` is the block itself where the part was rectified: the gradient goes to the values above zero alone.
    """
    if grad is None:
        like = seeds[0].tensor
        share = torch.empty(
            (*like.shape[:2], *shape_of(where)), dtype=like.dtype, device=like.device, memory_format=memory_format(like)
        ).zero_()
    else:
        share = _passed(crop(grad, extent, where), where, values)
        if values is None:  # it is still the gradient of others
            share = share.clone(memory_format=memory_format(grad))
    for seed in seeds:
        common = overlap(where, seed.extent)
        if not is_empty(common):
            more = _passed(crop(seed.tensor, seed.extent, common), common, values)
            crop(share, where, common).add_(more)
    return share


def _passed(grad: Tensor, where: Extent, values: Part | None) -> Tensor:
    """Return what of a gradient passes the rectifier."""
    if values is None:
        return grad
    passed: Tensor = torch.ops.aten.threshold_backward(grad, crop(values.tensor, values.extent, where), 0)
    return passed
