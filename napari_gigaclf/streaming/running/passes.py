"""The two passes over the tiles: forward in raster order, backward in reverse, run again tile by tile.

Forward keeps nothing of a tile but the carried borders (for a backward pass those of all tiles, otherwise those of one
strip). Backward runs a tile again with the stored borders as leaves, seeds the output's gradient and the gradients that
later tiles found for the borders handed on, and yields the gradients of weights, of the image block, and of the borders
received. A tile whose incoming gradients are all zero is skipped; one whose input is declared flat is filled.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.errors import Cancelled
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.streaming.planning.plan import StreamPlan, is_empty
from napari_gigaclf.streaming.running.ahead import ReadAhead
from napari_gigaclf.streaming.running.compiled import CompiledTiles
from napari_gigaclf.streaming.running.flat import FlatTiles
from napari_gigaclf.streaming.running.graphs import TileGraph
from napari_gigaclf.streaming.running.kept import Kept
from napari_gigaclf.streaming.running.report import StreamReport
from napari_gigaclf.streaming.running.source import Image, slices_of, write_gradient
from napari_gigaclf.streaming.running.spill import SpillFile
from napari_gigaclf.streaming.running.statistics import Observer, Seeder
from napari_gigaclf.streaming.running.tiles import PieceKey, TileResult, TileRun, Work

OutputCallback = Callable[..., object]
"""Called with the slices over space and the finished output block, (B, C, *block); where a module returns several maps,
also with the number of the map, as in the plan's ``output_shapes``."""

TileIndex = tuple[int, ...]

Pieces = dict[TileIndex, dict[PieceKey, Tensor]]
"""Carried borders, or their gradients, by the tile that takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """How a run talks to its caller."""

    progress: ProgressCallback | None = None
    cancel: CancelToken | None = None
    on_output: OutputCallback | None = None

    def check(self) -> None:
        """Raise Cancelled if the caller asked to stop."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("the run was cancelled")

    def report(self, done: int, total: int, phase: str, start: float) -> None:
        """Report a finished tile."""
        if self.progress is not None:
            seconds = time.perf_counter() - start
            self.progress(Progress(done=done, total=total, unit="tile", phase=phase, seconds=seconds))


@dataclass(slots=True, kw_only=True)
class Tape:
    """What a forward pass leaves for the backward pass."""

    pieces: Pieces = field(default_factory=dict)
    graphs: dict[TileIndex, TileGraph] = field(default_factory=dict)
    """Graphs of the tiles that need not be run again; each serves once."""
    spill: SpillFile | None = None
    """Borders of the tiles for which there is no room in memory."""

    def received(self, tile: TileIndex) -> dict[PieceKey, Tensor]:
        """Return the borders handed to a tile, from memory or from disk."""
        found = {} if self.spill is None else self.spill.get(tile)
        found.update(self.pieces.get(tile, {}))
        return found


def tiles_of(plan: StreamPlan) -> Iterator[TileIndex]:
    """Yield tile indices in raster order."""
    return product(*(range(count) for count in plan.grid))


def taker(tile: TileIndex, axis: int) -> TileIndex:
    """Return the next tile along an axis."""
    return tuple(t + (other == axis) for other, t in enumerate(tile))


@dataclass(slots=True, kw_only=True)
class Forward:
    """A forward pass."""

    work: Work
    image: Image
    flat: FlatTiles | None
    callbacks: Callbacks
    keep: bool
    """Whether borders are kept for a backward pass."""
    report: StreamReport
    given: Mapping[int, Tensor] = field(default_factory=dict)
    """Maps which earlier stages left, (B, C, *space)."""
    observers: Mapping[int, Observer] = field(default_factory=dict)
    """Take the statistics of maps, by map."""
    grad_work: Work | None = None
    """The work with stand-ins that collect gradients, for the tiles whose graphs are kept."""
    tape: Tape = field(default_factory=Tape)
    spill_folder: Path | None = None
    """Where borders go for which the plan has no room in memory."""
    compiled: CompiledTiles | None = None
    """The tiles that are run compiled."""
    carry_bytes: int = 0
    kept: Mapping[int, Kept] = field(default_factory=dict)
    """Take the maps that the stage delivers, by map."""

    def run(self) -> dict[int, Tensor]:
        """Return what is kept of the maps that the stage delivers: a map (B, C, *space), or wanted cells (B, C, N).

        Raises
        ------
        Cancelled
            If the caller asked to stop.
        """
        plan, start, heap = self.work.plan, time.perf_counter(), self.work.heap
        heap.begin()
        with ReadAhead(self.image) as ahead:
            coming = self.tiles_to_read()
            for done, tile in enumerate(tiles_of(plan), start=1):
                self.callbacks.check()
                while ahead.has_room and (following := next(coming, None)) is not None:
                    ahead.soon(plan.made(0, following))
                self.store(tile, self.result_of(tile, done, ahead))
                heap.tidy()
                self.callbacks.report(done, plan.num_tiles, "forward", start)
        found = {index: self.kept[index].result() for index in plan.stage.written}
        heap.end(sum(map(_bytes, found.values())))
        self.report = self.report.plus(seconds=time.perf_counter() - start)
        return found

    def tiles_to_read(self) -> Iterator[TileIndex]:
        """Yield the tiles for which the image will be read."""
        if self.work.plan.stage.reads_image:
            yield from (tile for tile in tiles_of(self.work.plan) if not self.is_flat(tile))

    def is_flat(self, tile: TileIndex) -> bool:
        """Return whether a tile is filled instead of run."""
        return self.flat is not None and self.flat.is_flat(self.image, tile)

    def result_of(self, tile: TileIndex, number: int, ahead: ReadAhead) -> TileResult:
        """Run a tile, or fill it where the image is flat, and let its received borders go."""
        plan, received = self.work.plan, self.tape.pieces.get(tile, {})
        if self.flat is not None and self.is_flat(tile):
            result = self.flat.fill(tile)
            self.report = self.report.plus(tiles=1, tiles_skipped_flat=1)
        else:
            sources = source_blocks(plan, tile, ahead, self.given)
            keep_graph = number > plan.num_tiles - plan.kept_graphs
            result = self.run_tile(tile, sources, received, keep_graph=keep_graph)
            reads = int(plan.stage.reads_image)
            self.report = self.report.plus(tiles=1, tiles_run=1, reads=reads, tiles_compiled=int(result.compiled))
        del received
        self.release(tile, number)
        return result

    def run_tile(
        self, tile: TileIndex, sources: dict[int, Tensor], received: dict[PieceKey, Tensor], *, keep_graph: bool
    ) -> TileResult:
        """Run a tile, and keep its graph where the plan has room for it."""
        if self.grad_work is None or not keep_graph:
            if self.compiled is not None and tile in self.compiled:
                function = self.compiled.work
                return function.run(self.work, tile, function.laid_out(sources), function.laid_out(received))
            return TileRun(work=self.work, tile=tile, sources=sources, pieces=received).run()
        kept = TileGraph.run(self.grad_work, tile, sources, received, hands_on=True, compiled=self.compiled)
        self.tape.graphs[tile] = kept
        return kept.result

    def release(self, tile: TileIndex, number: int) -> None:
        """Forget a tile's received borders once it has run; put those on disk that a backward pass has no room for."""
        if self.keep and number > self.work.plan.spilled_tiles:
            return
        pieces = self.tape.pieces.pop(tile, {})
        if self.keep:
            # Borders of a flat image are expanded constants, which take no memory.
            constant = {key: piece for key, piece in pieces.items() if 0 in piece.stride()}
            pieces = {key: piece for key, piece in pieces.items() if key not in constant}
            if constant:
                self.tape.pieces[tile] = constant
            if pieces:
                self.tape.spill = self.tape.spill or SpillFile(self.spill_folder)
                self.tape.spill.put(tile, pieces)
                self.report = self.report.plus(spilled_bytes=sum(map(_bytes, pieces.values())))
        self.carry_bytes -= sum(map(_bytes, pieces.values()))

    def store(self, tile: TileIndex, result: TileResult) -> None:
        """Keep a tile's borders, write what it delivers, and let its statistics be taken."""
        for (node, axis), piece in result.pieces.items():
            self.tape.pieces.setdefault(taker(tile, axis), {})[node, axis] = piece
            self.carry_bytes += _bytes(piece)
        self.report = self.report.at_least(peak_carry_bytes=self.carry_bytes)
        plan, outputs = self.work.plan, self.work.graph.outputs
        for index, block in result.targets.items():
            extent, block = plan.made(index, tile), block.detach()
            if index in self.observers:
                self.observers[index].add(tile, extent, block)
            if index in self.kept:
                self.kept[index].put(extent, block, (*block.shape[:2], *plan.sizes(index)))
            if index in outputs and self.callbacks.on_output is not None:
                number = () if len(outputs) == 1 else (outputs.index(index),)
                self.callbacks.on_output(slices_of(extent), block, *number)


def source_blocks(
    plan: StreamPlan, tile: TileIndex, image: ReadAhead, given: Mapping[int, Tensor]
) -> dict[int, Tensor]:
    """Return the blocks from which a tile starts: of the image, and of maps left by earlier stages."""
    blocks = {0: image.block(plan.made(0, tile))} if plan.stage.reads_image else {}
    for index in plan.stage.given:
        blocks[index] = given[index][(slice(None), slice(None), *slices_of(plan.made(index, tile)))]
    return blocks


def _bytes(tensor: Tensor) -> int:
    """Return the bytes a tensor owns (an expanded constant owns almost none)."""
    owned = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        owned *= size if stride else 1
    return owned * tensor.element_size()


@dataclass(slots=True, kw_only=True)
class Backward:
    """A backward pass."""

    work: Work
    image: Image
    tape: Tape
    grad_written: Mapping[int, Tensor]
    """Gradients of what was kept of the maps delivered, where there are any."""
    kept: Mapping[int, Kept]
    sink: Any
    grad_image: Tensor | None
    """Filled with the image's gradient; None where none is wanted, or a sink alone takes it."""
    callbacks: Callbacks
    report: StreamReport
    autocast: Callable[[], Any]
    """Gives the context under which the forward pass ran."""
    given: Mapping[int, Tensor] = field(default_factory=dict)
    """Maps which earlier stages left, (B, C, *space)."""
    grad_given: Mapping[int, Tensor] = field(default_factory=dict)
    """Filled with their gradients, for those that want one; zeros at first."""
    compiled: CompiledTiles | None = None
    """The tiles that are run compiled."""
    observed: Mapping[int, Seeder] = field(default_factory=dict)
    """Turn gradients of statistics into gradients of the maps they were taken of."""
    sums: dict[int, Tensor] = field(default_factory=dict)
    """Gradients of the graph's tensors without space, by index."""
    summed: set[int] = field(default_factory=set)
    """Those to which more than one tile has added."""
    seeds: Pieces = field(default_factory=dict)

    def run(self) -> dict[int, Tensor]:
        """Return the gradients of the tensors without space; that of the image goes where it is wanted.

        Raises
        ------
        Cancelled
            If the caller asked to stop.
        """
        plan, start, heap = self.work.plan, time.perf_counter(), self.work.heap
        heap.begin()
        tiles = list(reversed(list(tiles_of(plan))))
        with ReadAhead(self.image) as ahead:
            for done, tile in enumerate(tiles, start=1):
                self.callbacks.check()
                gradients, seeds = self.target_gradients(tile), self.taken_seeds(tile)
                if not gradients and not seeds and not self.is_touched(tile):
                    self.tape.graphs.pop(tile, None)
                    self.report = self.report.plus(tiles_skipped_zero=1)
                    self.give_image(tile, None)
                else:
                    if self.reads(tile):
                        ahead.soon(plan.made(0, tile))
                    if done < len(tiles) and self.reads(tiles[done]) and self.will_run(tiles[done]):
                        ahead.soon(plan.made(0, tiles[done]))
                    self.run_tile(tile, gradients, seeds, ahead)
                del gradients, seeds
                heap.tidy()
                self.callbacks.report(done, plan.num_tiles, "backward", start)
        heap.end(0)
        self.report = self.report.plus(seconds=time.perf_counter() - start)
        return self.sums

    def is_touched(self, tile: TileIndex) -> bool:
        """Return whether a gradient of a statistic goes into a tile."""
        plan = self.work.plan
        return any(seeder.touches(tile, plan.made(index, tile)) for index, seeder in self.observed.items())

    def reads(self, tile: TileIndex) -> bool:
        """Return whether a tile, if it is run, reads the image."""
        return self.work.plan.stage.reads_image and tile not in self.tape.graphs

    def will_run(self, tile: TileIndex) -> bool:
        """Return whether it is certain, before the tile ahead of it has gone back, that a tile goes back."""
        seeds = ((axis, self.seeds.get(taker(tile, axis), {})) for axis in range(len(tile)))
        seeded = any(key[1] == axis for axis, pieces in seeds for key in pieces)
        return seeded or self.is_touched(tile) or bool(self.target_gradients(tile))

    def target_gradients(self, tile: TileIndex) -> dict[int, Tensor]:
        """Return the gradients of the blocks that a tile delivers, without those that are empty or zero."""
        found: dict[int, Tensor] = {}
        for index, gradient in self.grad_written.items():
            extent = self.work.plan.made(index, tile)
            block = None if is_empty(extent) else self.kept[index].gradient(extent, gradient)
            if block is not None:
                found[index] = block
        return found

    def taken_seeds(self, tile: TileIndex) -> dict[PieceKey, Tensor]:
        """Return, and forget, the gradients that later tiles found for the borders this tile handed on."""
        found: dict[PieceKey, Tensor] = {}
        for axis in range(len(tile)):
            of_taker = self.seeds.get(taker(tile, axis), {})
            found.update({key: of_taker.pop(key) for key in list(of_taker) if key[1] == axis})
            if not of_taker:
                self.seeds.pop(taker(tile, axis), None)
        return found

    def run_tile(
        self, tile: TileIndex, gradients: dict[int, Tensor], seeds: dict[PieceKey, Tensor], ahead: ReadAhead
    ) -> None:
        """Go back through a tile, which is run again unless its graph was kept."""
        plan, graph = self.work.plan, self.tape.graphs.pop(tile, None)
        self.report = self.report.plus(tiles_run_backward=1, tiles_kept=int(graph is not None))
        if graph is None:
            self.report = self.report.plus(reads=int(plan.stage.reads_image))
            blocks = source_blocks(plan, tile, ahead, self.given)
            received = self.tape.received(tile)
            with self.autocast():
                graph = TileGraph.run(self.work, tile, blocks, received, hands_on=False, compiled=self.compiled)
            self.report = self.report.plus(tiles_compiled=int(graph.result.compiled))
        found = graph.back(self.roots(tile, graph.result, gradients), seeds, self.add_weight)
        self.seeds[tile] = found.pieces
        self.give(tile, found.sources)

    def roots(self, tile: TileIndex, result: TileResult, gradients: dict[int, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return the delivered blocks from which a tile's backward pass starts, and with which gradients."""
        found: list[tuple[Tensor, Tensor]] = []
        for index, block in result.targets.items():
            if not block.requires_grad:
                continue
            if index in gradients:
                found.append((block, gradients[index]))
            extent = self.work.plan.made(index, tile)
            if index in self.observed and self.observed[index].touches(tile, extent):
                found.append((block, self.observed[index].seed(tile, extent, block.detach())))
        return found

    def add_weight(self, index: int, gradient: Tensor) -> None:
        """Add a tile's gradient of a tensor without space; half precision is summed in single."""
        known = self.sums.get(index)
        if known is None:  # where no other tile adds to it, it need not be wider while a graph is alive
            self.sums[index] = gradient
        elif index in self.summed:
            known.add_(gradient)
        else:  # not in place: what PyTorch gave may be a view of another gradient
            wide = known.float() if known.dtype in (torch.float16, torch.bfloat16) else known
            self.sums[index] = wide + gradient
            self.summed.add(index)

    def give(self, tile: TileIndex, gradients: Mapping[int, Tensor | None]) -> None:
        """Hand on the gradients of the blocks from which a tile started."""
        self.give_image(tile, gradients.get(0))
        for index, gradient in gradients.items():
            if index and gradient is not None:  # blocks of neighbouring tiles overlap here, so their gradients add up
                slices = slices_of(self.work.plan.made(index, tile))
                self.grad_given[index][(slice(None), slice(None), *slices)].add_(gradient)

    def give_image(self, tile: TileIndex, gradient: Tensor | None) -> None:
        """Hand on the gradient of a tile's image block; None stands for zeros."""
        if not self.work.plan.stage.reads_image:
            return
        extent = self.work.plan.made(0, tile)
        if self.sink is not None:
            write_gradient(self.sink, extent, gradient, self.image.shape[1])
        if self.grad_image is not None and gradient is not None:
            self.grad_image[(slice(None), slice(None), *slices_of(extent))].copy_(gradient)
