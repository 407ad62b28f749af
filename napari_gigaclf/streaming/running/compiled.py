"""Tiles that do the same work, run by one function that ``torch.compile`` made of it.

One of these tiles is followed with stand-ins for its blocks. What is left are PyTorch's own operations, from the blocks
it starts with, the borders it receives and the weights to the blocks it delivers and the borders it hands on. Nothing
of the engine is among them, and no step of autograd either: borders handed on are results like others, so the gradients
that later tiles find for them enter a backward pass that PyTorch derives and compiles as well.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from napari_gigaclf.errors import CompileError
from napari_gigaclf.streaming.network.cutting import memory_format
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.planning.likeness import AlikeTiles, alike_tiles
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.running.out_of_memory import is_out_of_memory
from napari_gigaclf.streaming.running.tiles import PieceKey, TileResult, TileRun, Work

DEFAULT_BACKEND = "inductor"

Backend = str | Callable[..., Callable[..., object]]
"""What compiles: a name that PyTorch knows, or a function from a graph and examples to what runs it."""

WORKS_KEPT = 16
"""Kinds of tiles remembered, for images and memory budgets that ask for different tiles."""

Key = TypeVar("Key", int, PieceKey)

Names = tuple[tuple[int, ...], tuple[PieceKey, ...], tuple[int, ...]]
"""What a function's arguments are: blocks by map, borders by map and axis, tensors without space by index."""


def parse_compile(wish: bool | Backend) -> Backend | None:
    """Return the compiler asked for; None where none is.

    Raises
    ------
    ValueError
        If PyTorch knows none of this name.

    Examples
    --------
    >>> parse_compile(True), parse_compile(False)
    ('inductor', None)
    """
    if isinstance(wish, bool):
        return DEFAULT_BACKEND if wish else None
    known = torch.compiler.list_backends(exclude_tags=())
    if not callable(wish) and wish not in known:
        raise ValueError(f"compile={wish!r} is no compiler that PyTorch knows here; give True, or one of {known}")
    return wish


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFunction:
    """The work of a tile as a function of its blocks."""

    call: Callable[..., Sequence[Tensor]]
    """Takes blocks, borders and tensors, in order."""
    targets: tuple[int, ...]
    """Maps of its first results, the blocks delivered."""
    handed: tuple[PieceKey, ...]
    """Of the other results, the borders handed on."""

    def __call__(self, inputs: Sequence[Tensor]) -> TileResult:
        """Run it; autocast is in it already."""
        with torch.autocast(inputs[0].device.type, enabled=False):
            found = self.call(*inputs)
        count = len(self.targets)
        handed = dict(zip(self.handed, found[count:], strict=True))
        return TileResult(
            targets=dict(zip(self.targets, found[:count], strict=True)),
            pieces={key: piece.detach() for key, piece in handed.items()},
            joints={},
            handed=handed,
            compiled=True,
        )


@dataclass(slots=True, kw_only=True)
class CompiledWork:
    """The functions of tiles that do the same work: with and without gradients, in each precision."""

    backend: Backend
    functions: dict[Hashable, TileFunction] = field(default_factory=dict)
    strides: dict[Hashable, tuple[int, ...]] = field(default_factory=dict)
    """How each block and border lies in memory, since a function is compiled for one way."""

    def laid_out(self, blocks: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        """Return blocks, or borders, as they lie in memory in the first of these tiles."""
        found = {}
        for key, block in blocks.items():
            usual = memory_format(block)
            strides = self.strides.setdefault(
                (key, block.shape), torch.empty(block.shape, device="meta", memory_format=usual).stride()
            )
            if block.stride() != strides:
                block = torch.empty_strided(block.shape, strides, dtype=block.dtype, device=block.device).copy_(block)
            found[key] = block
        return found

    def run(
        self, work: Work, tile: tuple[int, ...], sources: Mapping[int, Tensor], pieces: Mapping[PieceKey, Tensor]
    ) -> TileResult:
        """Run a tile.

        Raises
        ------
        CompileError
            If its work cannot be compiled.
        """
        read = sorted({t for index in work.plan.stage.computed for t in work.graph.nodes[index].tensors})
        weights = tuple(index for index in read if isinstance(work.tensors[index], Tensor))
        names = (tuple(sources), tuple(sorted(pieces)), weights)
        inputs = [*sources.values(), *(pieces[key] for key in names[1]), *(work.tensors[index] for index in weights)]
        numbers = repr([work.tensors[index] for index in read if index not in weights])  # a shape, say
        key = (names, numbers, torch.is_grad_enabled(), _autocast(inputs[0].device), *map(_facts, inputs))
        if key in self.functions:
            return self.functions[key](inputs)
        try:
            function = _compiled(self.backend, work, tile, names, inputs)
            result = function(inputs)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise CompileError(
                f"compile={_name(self.backend)}: the work of a tile could not be compiled ({_in_short(error)}); "
                "'inductor' needs a C++ compiler for processors, Triton for graphics cards; install what is missing, "
                "give another compiler, as compile='aot_eager', or leave compile away"
            ) from error
        self.functions[key] = function
        return result


def _compiled(
    backend: Backend, work: Work, tile: tuple[int, ...], names: Names, inputs: Sequence[Tensor]
) -> TileFunction:
    """Follow the work of a tile, and return it as a function that will be compiled when it is first called."""
    sources, pieces, weights = names
    keys: tuple[tuple[int, ...], tuple[PieceKey, ...]] = ((), ())

    def tile_work(*blocks: Tensor) -> list[Tensor]:
        nonlocal keys
        first, second = len(sources), len(sources) + len(pieces)
        stand_ins = dict(zip(weights, blocks[second:], strict=True))
        pure = replace(
            work, tensors=[stand_ins.get(index, tensor) for index, tensor in enumerate(work.tensors)],
            needs_grad=(False,) * len(work.needs_grad), overwritable=frozenset(),
        )  # fmt: skip
        result = TileRun(
            work=pure, tile=tile, sources=dict(zip(sources, blocks[:first], strict=True)),
            pieces=dict(zip(pieces, blocks[first:second], strict=True)), pure=True,
        ).run()  # fmt: skip
        keys = tuple(result.targets), tuple(result.pieces)
        return [*result.targets.values(), *result.pieces.values()]

    followed = make_fx(tile_work, tracing_mode="fake")(*inputs)
    # Its method, not the module: what PyTorch remembers of a module's call is shared by all modules, and limited.
    call = torch.compile(followed.forward, backend=backend, dynamic=False, fullgraph=True)
    return TileFunction(call=call, targets=keys[0], handed=keys[1])


def _facts(tensor: Tensor) -> Hashable:
    """Return what a function is compiled for."""
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad


def _autocast(device: torch.device) -> Hashable:
    """Return the autocast state, which is followed into the function."""
    return torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type)


def _name(backend: Backend) -> str:
    """Return a compiler's name for a person."""
    return repr(backend) if isinstance(backend, str) else getattr(backend, "__name__", type(backend).__name__)


def _in_short(error: BaseException) -> str:
    """Return what an error says: PyTorch names in the first line who failed, in the second one why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"


@dataclass(slots=True, kw_only=True)
class TileCompiler:
    """Compiles the work of the tiles of one network; keeps what it compiled."""

    backend: Backend
    known: dict[Hashable, CompiledWork] = field(default_factory=dict)

    def tiles(self, graph: Graph, plan: StreamPlan) -> "CompiledTiles | None":
        """Return the tiles of a stage that are run compiled; None where no two do the same work."""
        alike = alike_tiles(graph, plan)
        if alike is None:
            return None
        if alike.work not in self.known and len(self.known) >= WORKS_KEPT:
            self.known.clear()
        return CompiledTiles(alike=alike, work=self.known.setdefault(alike.work, CompiledWork(backend=self.backend)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTiles:
    """The tiles of a stage that are run compiled."""

    alike: AlikeTiles
    work: CompiledWork

    def __contains__(self, tile: Sequence[int]) -> bool:
        """Return whether a tile is one of them."""
        return tile in self.alike
