"""A tile's autograd graph, from the leaves it starts at to the roots it goes back from.

Either pass can make one: the backward pass when it runs a tile again, or the forward pass, which then keeps it on the
tape as long as the memory budget lasts, so that nothing is run again. Its leaves are stand-ins for the weights, the
received borders and the image block, so that the graph belongs to its tile alone and dies with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_gigaclf.streaming.running.compiled import CompiledTiles
from napari_gigaclf.streaming.running.joining import Part
from napari_gigaclf.streaming.running.tiles import PieceKey, TileResult, TileRun, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGradients:
    """What a tile finds on its way back for its neighbours and for what it was made from; None stands for zeros."""

    pieces: dict[PieceKey, Tensor]
    """Of the received borders."""
    sources: dict[int, Tensor | None]
    """Of the blocks from which the tile started, by map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGraph:
    """One tile, run with gradients, waiting to go back."""

    work: Work
    tile: tuple[int, ...]
    sources: Mapping[int, Tensor]
    """The blocks of the image and of given maps, leaves."""
    pieces: Mapping[PieceKey, Tensor]
    """The borders received, leaves where a gradient flows into their map."""
    result: TileResult

    @staticmethod
    def run(
        work: Work,
        tile: tuple[int, ...],
        sources: Mapping[int, Tensor],
        pieces: Mapping[PieceKey, Tensor],
        *,
        hands_on: bool,
        compiled: CompiledTiles | None = None,
    ) -> "TileGraph":
        """Run a tile with gradients.

        Parameters
        ----------
        work
            With stand-ins for the weights.
        tile
            Its index.
        sources
            Blocks of the image (map 0) and of given maps, (B, C, *block).
        pieces
            Borders received.
        hands_on
            Whether the borders for the next tiles are wanted.
        compiled
            The tiles that are run compiled.
        """
        work_of_many = None if compiled is None or tile not in compiled else compiled.work
        if work_of_many is not None:
            sources, pieces = work_of_many.laid_out(sources), work_of_many.laid_out(pieces)
        starts = {index: _leaf(block, work.needs_grad[index]) for index, block in sources.items()}
        received = {key: _leaf(piece, work.needs_grad[key[0]]) for key, piece in pieces.items()}
        with torch.enable_grad():
            if work_of_many is not None:
                result = work_of_many.run(work, tile, starts, received)
            else:
                result = TileRun(work=work, tile=tile, sources=starts, pieces=received, hands_on=hands_on).run()
        return TileGraph(work=work, tile=tile, sources=starts, pieces=received, result=result)

    def back(
        self,
        targets: Sequence[tuple[Tensor, Tensor]],
        seeds: Mapping[PieceKey, Tensor],
        add: Callable[[int, Tensor], None],
    ) -> TileGradients:
        """Go back; the graph is used up.

        Parameters
        ----------
        targets
            Blocks that the tile delivered, with their gradients.
        seeds
            Gradients of the borders handed on, by map and axis.
        add
            Takes the gradient of each of the graph's tensors without space, by index, as soon as it is found: it may
            be kept, and if not, it is gone before the next one comes.
        """
        plan, joints = self.work.plan, self.result.joints
        handed = {key: piece for key, piece in self.result.handed.items() if key in seeds and piece.requires_grad}
        for (node, axis), gradient in seeds.items():
            if node in joints:
                extent = plan.carried(node, axis, self.tile)
                joints[node].seeds.append(Part(extent=extent, tensor=gradient))
        switches = [joint.switch for joint in joints.values() if joint.seeds and joint.switch.requires_grad]
        roots = [*switches, *handed.values(), *(block for block, _ in targets)]
        given = [
            *map(torch.ones_like, switches), *(seeds[key] for key in handed), *(gradient for _, gradient in targets)
        ]  # fmt: skip
        weights = self.work.trained
        borders = {key: piece for key, piece in self.pieces.items() if piece.requires_grad}
        entries = {index: block for index, block in self.sources.items() if block.requires_grad}
        wanted = [*weights.values(), *borders.values(), *entries.values()]
        if not wanted or not roots:
            return TileGradients(pieces={}, sources={})
        with _handing_on(weights, add):
            torch.autograd.backward(roots, given, inputs=wanted)
        return TileGradients(
            pieces={key: g for key, piece in borders.items() if (g := _taken(piece)) is not None and bool(g.any())},
            sources={index: _taken(block) for index, block in entries.items()},
        )


def _leaf(block: Tensor, wanted: bool) -> Tensor:
    """Return a block as the start of a graph; a map of booleans or whole numbers (``x > 0``) has no gradient."""
    return block.detach().requires_grad_(wanted and block.is_floating_point())


@contextmanager
def _handing_on(weights: Mapping[int, Tensor], add: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Hand the gradients of leaves on as they come, so that they are not held until the last one is there."""

    def handing_on(index: int) -> Callable[[Tensor], None]:
        def hand_on(leaf: Tensor) -> None:
            gradient = _taken(leaf)
            if gradient is not None:
                add(index, gradient)

        return hand_on

    hooks = [
        leaf.register_post_accumulate_grad_hook(handing_on(index))  # type: ignore[no-untyped-call]
        for index, leaf in weights.items()
    ]
    try:
        yield
    finally:
        for hook, leaf in zip(hooks, weights.values(), strict=True):
            hook.remove()
            leaf.grad = None


def _taken(leaf: Tensor) -> Tensor | None:
    """Return a leaf's gradient, which it then has no more."""
    gradient, leaf.grad = leaf.grad, None
    return gradient
