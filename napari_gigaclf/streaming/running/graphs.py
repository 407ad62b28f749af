"""A tile's autograd graph, from the leaves it starts at to the roots it goes back from.

Either pass can make one: the backward pass when it runs a tile again, or the forward pass, which then keeps it on the
tape as long as the memory budget lasts, so that nothing is run again. Its leaves are stand-ins for the weights, the
received borders and the image block, so that the graph belongs to its tile alone and dies with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_gigaclf.streaming.running.compiled import CompiledTiles
from napari_gigaclf.streaming.running.joining import Part
from napari_gigaclf.streaming.running.tiles import PieceKey, TileResult, TileRun, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGradients:
    """What a tile finds on its way back; None stands for zeros."""

    weights: dict[int, Tensor | None]
    """Of the graph's tensors without space, by index."""
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
        starts = {index: block.detach().requires_grad_(work.needs_grad[index]) for index, block in sources.items()}
        received = {key: piece.detach().requires_grad_(work.needs_grad[key[0]]) for key, piece in pieces.items()}
        with torch.enable_grad():
            if work_of_many is not None:
                result = work_of_many.run(work, tile, starts, received)
            else:
                result = TileRun(work=work, tile=tile, sources=starts, pieces=received, hands_on=hands_on).run()
        return TileGraph(work=work, tile=tile, sources=starts, pieces=received, result=result)

    def back(self, targets: Sequence[tuple[Tensor, Tensor]], seeds: Mapping[PieceKey, Tensor]) -> TileGradients:
        """Go back; the graph is used up.

        Parameters
        ----------
        targets
            Blocks that the tile delivered, with their gradients.
        seeds
            Gradients of the borders handed on, by map and axis.
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
        weights = {index: tensor for index, tensor in enumerate(self.work.tensors) if _wants_gradient(tensor)}
        borders = {key: piece for key, piece in self.pieces.items() if piece.requires_grad}
        entries = {index: block for index, block in self.sources.items() if block.requires_grad}
        wanted = [*weights.values(), *borders.values(), *entries.values()]
        if not wanted or not roots:
            return TileGradients(weights={}, pieces={}, sources={})
        found = torch.autograd.grad(roots, wanted, given, allow_unused=True)
        of_borders = zip(borders, found[len(weights) :], strict=False)
        return TileGradients(
            weights=dict(zip(weights, found, strict=False)),
            pieces={key: g for key, g in of_borders if g is not None and bool(g.any())},
            sources=dict(zip(entries, found[len(weights) + len(borders) :], strict=True)),
        )


def _wants_gradient(value: object) -> bool:
    """Return whether a tensor without space, which may be another value, wants a gradient."""
    return isinstance(value, Tensor) and value.requires_grad
