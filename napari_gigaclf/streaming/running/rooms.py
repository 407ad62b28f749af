"""What a map's block is to cover in a tile, so that no operation which reads it has to copy it first.

Convolution and pooling see padding beyond the image's border. Where a tile lies at that border, the block is given the
frame as it is joined. And a ReLU whose block is joined anyway is left to the join: :class:`.joining.Room`.
"""

from collections.abc import Sequence

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Extent, Windowed, border_padding, rectifies
from napari_gigaclf.streaming.planning.plan import StreamPlan, is_empty
from napari_gigaclf.streaming.running.joining import Room


def readers_of(graph: Graph, plan: StreamPlan) -> dict[int, list[int]]:
    """Return, for every map of a stage, the maps that are computed from it, in order."""
    readers: dict[int, list[int]] = {index: [] for index in plan.stage.active}
    for index in plan.stage.computed:
        for source in graph.nodes[index].inputs:
            readers[source].append(index)
    return readers


def room_of(graph: Graph, plan: StreamPlan, tile: Sequence[int], index: int, readers: Sequence[int]) -> Room:
    """Return what a map's block is to cover.

    Parameters
    ----------
    graph, plan
        The network, and the plan of the stage.
    tile
        Its index.
    index
        The map.
    readers
        The maps that are computed from it.
    """
    held = plan.held(index, tile)
    extent, value = _framed(graph, plan, tile, held, readers)
    new = plan.made(index, tile)
    rectified = extent != new and not is_empty(new) and index in plan.stage.computed
    rectified = rectified and rectifies(graph.nodes[index].operation) and index not in plan.stage.targets
    return Room(extent=extent, inside=held, value=value, rectified=rectified)


def _framed(
    graph: Graph, plan: StreamPlan, tile: Sequence[int], held: Extent, readers: Sequence[int]
) -> tuple[Extent, float]:
    """Return what is held with the padding that the readers see, and its value; without where they do not agree."""
    frame, values = [(0, 0)] * len(held), set()
    for reader in readers:
        operation, wanted = graph.nodes[reader].operation, plan.made(reader, tile)
        if not isinstance(operation, Windowed) or is_empty(wanted) or is_empty(held):
            continue
        padding = border_padding(operation.windows, wanted, held)
        if any(before > 0 or after > 0 for before, after in padding):
            values.add(operation.frame)
            if not operation.pads_itself(padding, held):
                frame = [(max(a, c), max(b, d)) for (a, b), (c, d) in zip(frame, padding, strict=True)]
    if len(values) != 1:
        return held, 0.0
    return tuple((start - a, stop + b) for (start, stop), (a, b) in zip(held, frame, strict=True)), values.pop()
