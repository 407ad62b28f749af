"""Running one tile: join what was carried with what is new, compute, and cut off what the next tiles need.

Pieces of carried border are handed from one giver to one taker: the piece of map v along axis a that tile t hands to
tile t + e_a spans what is held on the axes before a, what is kept on axis a, and what was made on the axes behind it.
The taker joins them axis by axis, so a block of two axes is its new part, a strip from above and a strip from the left
whose corner came with it. Because every piece is used once, the gradient of a piece at its taker is the whole gradient
that its giver has to add, and nothing needs to be remembered about what was "seen".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.cutting import cut, memory_format
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Extent, NodeRef, Operation, Place, Pointwise, Windowed
from napari_gigaclf.streaming.planning.plan import StreamPlan, is_empty

PieceKey = tuple[int, int]
"""(map, axis) of a piece of carried border, for a given tile."""


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


def put_together(extent: Extent, parts: Sequence[Part]) -> Tensor:
    """Return one block over ``extent`` from the parts that fill it."""
    first = parts[-1].tensor
    shape = (*first.shape[:2], *shape_of(extent))
    block = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=memory_format(first))
    for part in parts:
        crop(block, extent, part.extent).copy_(part.tensor)
    return block


class Join(torch.autograd.Function):
    """Joins parts into one block; backward adds the gradients that later tiles found for pieces of this block.

    Those gradients (``seeds``) may come into their list after the block was joined: a tile whose graph is kept is
    joined before the tiles behind it have run. The second output is a switch of one number: its gradient only serves
    to run backward where no operation of this tile reads the block, but later tiles do.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        extent: Extent,
        extents: tuple[Extent, ...],
        seeds: list[Part],
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the joined block and the switch."""
        ctx.set_materialize_grads(False)
        ctx.layout = (extent, extents, seeds)  # type: ignore[attr-defined]
        switch = tensors[0].new_zeros(())
        if extents == (extent,):
            return tensors[0].view_as(tensors[0]), switch
        parts = [Part(extent=e, tensor=t) for e, t in zip(extents, tensors, strict=True)]
        return put_together(extent, parts), switch

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradient of each part: its share of the block's, plus that of the pieces cut from it."""
        extent, extents, seeds = ctx.layout  # type: ignore[attr-defined]
        grad = grads[0]
        given: list[Tensor | None] = []
        for index, where in enumerate(extents):
            if not ctx.needs_input_grad[3 + index] or (grad is None and not seeds):  # type: ignore[attr-defined]
                given.append(None)
                continue
            like = grad if grad is not None else seeds[0].tensor
            share = (
                crop(grad, extent, where).clone(memory_format=memory_format(grad)) if grad is not None
                else like.new_zeros((*like.shape[:2], *shape_of(where)))
            )  # fmt: skip
            for seed in seeds:
                common = overlap(where, seed.extent)
                if not is_empty(common):
                    crop(share, where, common).add_(crop(seed.tensor, seed.extent, common))
            given.append(share)
        return (None, None, None, *given)


def overwritten(operation: Operation) -> int | None:
    """Return the map whose block the operation could reuse for its result; None where it cannot."""
    if not isinstance(operation, Pointwise) or operation.in_place is None:
        return None
    first = operation.args[0]
    return first.index if isinstance(first, NodeRef) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What stays the same for all tiles of a pass."""

    graph: Graph
    plan: StreamPlan
    tensors: Sequence[Tensor]
    """The graph's tensors without space; in a backward pass, stand-ins that collect gradients."""
    needs_grad: tuple[bool, ...]
    """Per map: whether a gradient flows into it. All False in a forward pass."""
    overwritable: frozenset[int]
    """Maps with a fresh block and one reader."""

    @property
    def half(self) -> bool:
        """Whether convolutions are computed in half precision."""
        return any(isinstance(t, Tensor) and t.dtype in (torch.float16, torch.bfloat16) for t in self.tensors)


@dataclass(slots=True, kw_only=True)
class TileResult:
    """What a tile gives."""

    targets: dict[int, Tensor]
    """Blocks of the maps for whose sake the stage runs; without those of which the tile finishes nothing."""
    pieces: dict[PieceKey, Tensor]
    """Carried borders for the next tiles."""
    joints: dict[int, "Joint"]
    """Maps, by index, that take in the gradients of the borders handed on."""
    handed: dict[PieceKey, Tensor] = field(default_factory=dict)
    """Where the tile ran compiled: the borders as its graph has them, which take in their gradients themselves."""
    compiled: bool = False
    """Whether it ran compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """Where a map's block takes in the gradients that later tiles find for the borders cut from it."""

    switch: Tensor
    """A root, besides the output, from which a backward pass has to start."""
    seeds: list[Part]
    """The gradients; filled before the tile goes back."""


@dataclass(slots=True, kw_only=True)
class TileRun:
    """One tile on its way through the network."""

    work: Work
    tile: tuple[int, ...]
    sources: Mapping[int, Tensor]
    """The newly read block of the image (map 0), and blocks of the given maps; (batch, channels, *block)."""
    pieces: Mapping[PieceKey, Tensor]
    """Carried borders received."""
    hands_on: bool = True
    """Whether borders are cut off for the next tiles; not where a tile is run again."""
    pure: bool = False
    """Whether the run shall be one function without the engine's own steps of autograd, with borders as results."""

    def run(self) -> TileResult:
        """Compute every map's block in order, freeing each after its last use."""
        nodes, stage = self.work.graph.nodes, self.work.plan.stage
        result = TileResult(targets={}, pieces={}, joints={})
        inputs = {index: nodes[index].inputs for index in stage.computed}
        last_use = {source: index for index, sources in inputs.items() for source in sources}
        blocks: dict[int, Tensor | None] = {}
        for index in stage.active:
            made = None if is_empty(self.work.plan.made(index, self.tile)) else self.compute(index, blocks)
            if made is not None and index in stage.targets:
                result.targets[index] = made
            for source in inputs.get(index, ()):
                if last_use[source] == index:
                    del blocks[source]
            if index in last_use:
                blocks[index] = self.hand_on(index, made, result)
        return result

    def compute(self, index: int, blocks: Mapping[int, Tensor | None]) -> Tensor:
        """Return the block of a map that this tile makes."""
        if index in self.sources:
            return self.sources[index]
        plan, node = self.work.plan, self.work.graph.nodes[index]
        wanted, given = plan.made(index, self.tile), plan.read(index, self.tile)
        if isinstance(node.operation, Windowed):
            given = plan.held(node.inputs[0], self.tile)  # it cuts out what it reads itself
        inputs: dict[int, Tensor] = {}
        for source in node.inputs:
            block = blocks[source]
            assert block is not None, "the schedule makes every input before its reader"
            inputs[source] = self.cropped(block, plan.held(source, self.tile), given)
        first = overwritten(node.operation)
        overwrite = first is not None and self.may_overwrite(first, inputs[first] is blocks[first])
        place = Place(
            wanted=wanted, given=given, sizes=plan.sizes(node.inputs[0]), overwrite=overwrite, traced=self.pure
        )
        return node.operation.compute(inputs, self.work.tensors, place)

    def cropped(self, block: Tensor, have: Extent, want: Extent) -> Tensor:
        """Return the part ``want`` of a block that covers ``have``, as a view: the block itself where that is all."""
        taken_off = [(a - start, stop - b) for (a, b), (start, stop) in zip(have, want, strict=True)]
        return cut(block, taken_off, traced=self.pure)

    def may_overwrite(self, source: int, whole: bool) -> bool:
        """Return whether a reader may overwrite a block: it is fresh, whole, and nothing is cut from it."""
        stage = self.work.plan.stage
        kept = source in stage.targets or source in stage.given or self.work.plan.is_carried(source)
        return whole and source in self.work.overwritable and not kept

    def hand_on(self, index: int, made: Tensor | None, result: TileResult) -> Tensor | None:
        """Join a map's new block with its carried borders, axis by axis, and cut off the pieces for the next tiles."""
        plan, tile = self.work.plan, self.tile
        kept = [plan.carried(index, axis, tile) for axis in range(len(tile))]
        received = [
            Part(extent=self.received_extent(index, axis), tensor=self.pieces[index, axis])
            for axis in range(len(tile))
            if (index, axis) in self.pieces
        ]
        parts = received if made is None else [*received, Part(extent=plan.made(index, tile), tensor=made)]
        if not parts:
            return None
        block = self.join(index, parts, kept, result)
        if self.hands_on:
            self.cut_off(index, block, kept, result)
        return block

    def received_extent(self, index: int, axis: int) -> Extent:
        """Return where the piece received along an axis lies: what the giver kept of it."""
        giver = tuple(t - (other == axis) for other, t in enumerate(self.tile))
        return self.work.plan.carried(index, axis, giver)

    def join(self, index: int, parts: list[Part], kept: Sequence[Extent], result: TileResult) -> Tensor:
        """Return the joined block; with gradients, let it take in those of the pieces handed on."""
        held = self.work.plan.held(index, self.tile)
        gives = any(self.is_given(axis, extent) for axis, extent in enumerate(kept))
        if not self.work.needs_grad[index] or not (gives or len(parts) > 1):
            return parts[0].tensor if len(parts) == 1 else put_together(held, parts)
        extents, tensors = tuple(part.extent for part in parts), [part.tensor for part in parts]
        seeds: list[Part] = []
        block, switch = Join.apply(held, extents, seeds, *tensors)  # type: ignore[no-untyped-call]
        if gives:
            result.joints[index] = Joint(switch=switch, seeds=seeds)
        return block  # type: ignore[no-any-return]

    def is_given(self, axis: int, extent: Extent) -> bool:
        """Return whether there is a piece, and a tile along the axis that takes it."""
        return self.tile[axis] + 1 < self.work.plan.grid[axis] and not is_empty(extent)

    def cut_off(self, index: int, block: Tensor, kept: Sequence[Extent], result: TileResult) -> None:
        """Copy the pieces for the next tiles."""
        held, block = self.work.plan.held(index, self.tile), block if self.pure else block.detach()
        for axis, extent in enumerate(kept):
            if self.is_given(axis, extent):
                piece = crop(block, held, extent)
                result.pieces[index, axis] = piece.clone(memory_format=memory_format(block))
