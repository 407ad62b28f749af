"""Running one tile: join what was carried with what is new, compute, and cut off what the next tiles need.

Pieces of carried border are handed from one giver to one taker: the piece of map v along axis a that tile t hands to
tile t + e_a spans what is held on the axes before a, what is kept on axis a, and what was made on the axes behind it.
The taker joins them axis by axis, so a block of two axes is its new part, a strip from above and a strip from the left
whose corner came with it. Because every piece is used once, the gradient of a piece at its taker is the whole gradient
that its giver has to add, and nothing needs to be remembered about what was "seen".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from napari_gigaclf.streaming.network.cutting import cut, memory_format
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Extent, NodeRef, Operation, Place, Pointwise, Windowed
from napari_gigaclf.streaming.planning.plan import StreamPlan, is_empty
from napari_gigaclf.streaming.running.heap import Heap
from napari_gigaclf.streaming.running.joining import Join, Part, Room, crop
from napari_gigaclf.streaming.running.rooms import readers_of, room_of

PieceKey = tuple[int, int]
"""(map, axis) of a piece of carried border, for a given tile."""


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
    heap: Heap = field(default_factory=Heap)
    """Gives memory back as blocks become free."""

    @property
    def trained(self) -> dict[int, Tensor]:
        """The tensors without space that want a gradient, by index."""
        return {i: t for i, t in enumerate(self.tensors) if isinstance(t, Tensor) and t.requires_grad}


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
        graph, plan = self.work.graph, self.work.plan
        result = TileResult(targets={}, pieces={}, joints={})
        readers = readers_of(graph, plan)
        blocks: dict[int, Part | None] = {}
        for index in plan.stage.active:
            room = self.room(index, readers[index])
            made = None
            if not is_empty(plan.made(index, self.tile)):
                made = self.unrectified(index, blocks) if room.rectified else self.compute(index, blocks)
            if made is not None and index in plan.stage.targets:
                result.targets[index] = made
            for source in graph.nodes[index].inputs if index in plan.stage.computed else ():
                if readers[source][-1] == index:
                    del blocks[source]
            if readers[index]:
                blocks[index] = self.hand_on(index, made, room, result)
        return result

    def room(self, index: int, readers: Sequence[int]) -> Room:
        """Return what a map's block is to cover."""
        if self.pure:  # a compiler decides itself what is written when
            held = self.work.plan.held(index, self.tile)
            return Room(extent=held, inside=held, value=0.0)
        return room_of(self.work.graph, self.work.plan, self.tile, index, readers)

    def unrectified(self, index: int, blocks: Mapping[int, Part | None]) -> Tensor:
        """Return the block whose positive part a map's block is."""
        (source,) = self.work.graph.nodes[index].inputs
        block = blocks[source]
        assert block is not None, "the schedule makes every input before its reader"
        return self.cropped(block, self.work.plan.made(index, self.tile))

    def compute(self, index: int, blocks: Mapping[int, Part | None]) -> Tensor:
        """Return the block of a map that this tile makes."""
        if index in self.sources:
            return self.sources[index]
        plan, node = self.work.plan, self.work.graph.nodes[index]
        wanted, given = plan.made(index, self.tile), plan.read(index, self.tile)
        found: dict[int, Part] = {}
        for source in node.inputs:
            block = blocks[source]
            assert block is not None, "the schedule makes every input before its reader"
            found[source] = block
        if isinstance(node.operation, Windowed):
            given = found[node.inputs[0]].extent  # it cuts out what it reads itself
        inputs = {source: self.cropped(block, given) for source, block in found.items()}
        first = overwritten(node.operation)
        overwrite = first is not None and self.may_overwrite(first, inputs[first] is found[first].tensor)
        place = Place(
            wanted=wanted, given=given, sizes=plan.sizes(node.inputs[0]), overwrite=overwrite, traced=self.pure
        )
        return node.operation.compute(inputs, self.work.tensors, place)

    def cropped(self, block: Part, want: Extent) -> Tensor:
        """Return the part ``want`` of a block, as a view: the block itself where that is all."""
        taken_off = [(a - start, stop - b) for (a, b), (start, stop) in zip(block.extent, want, strict=True)]
        return cut(block.tensor, taken_off, traced=self.pure)

    def may_overwrite(self, source: int, whole: bool) -> bool:
        """Return whether a reader may overwrite a block: it is fresh, whole, and nothing is cut from it."""
        stage = self.work.plan.stage
        kept = source in stage.targets or source in stage.given or self.work.plan.is_carried(source)
        return whole and source in self.work.overwritable and not kept

    def hand_on(self, index: int, made: Tensor | None, room: Room, result: TileResult) -> Part | None:
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
        block = self.join(index, parts, room, kept, result)
        if self.hands_on:
            self.cut_off(index, block, kept, result)
        return block

    def received_extent(self, index: int, axis: int) -> Extent:
        """Return where the piece received along an axis lies: what the giver kept of it."""
        giver = tuple(t - (other == axis) for other, t in enumerate(self.tile))
        return self.work.plan.carried(index, axis, giver)

    def join(self, index: int, parts: list[Part], room: Room, kept: Sequence[Extent], result: TileResult) -> Part:
        """Return the joined block; with gradients, let it take in those of the pieces handed on."""
        gives = any(self.is_given(axis, extent) for axis, extent in enumerate(kept))
        whole = len(parts) == 1 and not room.rectified and room.extent == parts[0].extent
        if not self.work.needs_grad[index] or (whole and not gives):
            return parts[0] if whole else Part(extent=room.extent, tensor=room.filled(parts))
        extents, tensors = tuple(part.extent for part in parts), [part.tensor for part in parts]
        seeds: list[Part] = []
        block, switch = Join.apply(room, extents, seeds, self.work.heap, *tensors)  # type: ignore[no-untyped-call]
        if gives:
            result.joints[index] = Joint(switch=switch, seeds=seeds)
        return Part(extent=room.extent, tensor=block)

    def is_given(self, axis: int, extent: Extent) -> bool:
        """Return whether there is a piece, and a tile along the axis that takes it."""
        return self.tile[axis] + 1 < self.work.plan.grid[axis] and not is_empty(extent)

    def cut_off(self, index: int, block: Part, kept: Sequence[Extent], result: TileResult) -> None:
        """Copy the pieces for the next tiles."""
        tensor = block.tensor if self.pure else block.tensor.detach()
        for axis, extent in enumerate(kept):
            if self.is_given(axis, extent):
                piece = crop(tensor, block.extent, extent)
                result.pieces[index, axis] = piece.clone(memory_format=memory_format(tensor))
