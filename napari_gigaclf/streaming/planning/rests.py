"""Where a run may rest: maps that are kept whole, so that what lies behind them runs in tiles of its own.

The first layers of a network have large maps and want small tiles; in such tiles, the last layers have maps of a few
positions, where a convolution's work on its weights outweighs that on its input, and their graphs, which take little
memory for much arithmetic, cannot be kept apart from those of the first layers. A rest separates the two: the map is
kept whole, as before a statistic, and the layers behind it get tiles, and graphs to keep, of their own. Forward passes
do not rest, and neither do images for which such a map takes too much memory.
"""

from collections.abc import Sequence

from napari_gigaclf.streaming.network.graph import Graph

WANTED_SHARES = (0.7, 0.45, 0.2)
"""Shares of the network's arithmetic that shall lie behind a rest."""

NEAR = 0.12
"""How far from these a share may lie."""


def resting_maps(graph: Graph, macs: Sequence[float], map_bytes: Sequence[int]) -> dict[int, float]:
    """Return a few maps to choose a rest from, with the share of the arithmetic behind each.

    Every path through the network leads through such a map. Of those with similar shares it is the smallest.

    Parameters
    ----------
    graph
        The network.
    macs
        Multiply-accumulates of every map, per input pixel.
    map_bytes
        Of every map.
    """
    narrow = bottlenecks(graph)
    if graph.num_stages() > 1 or not narrow:
        return {}
    total = sum(macs)
    shares = {index: sum(macs[index + 1 :]) / total for index in narrow} if total else {}
    found: dict[int, float] = {}
    for wanted in WANTED_SHARES:
        near = [index for index, share in shares.items() if abs(share - wanted) <= NEAR]
        if near:
            best = min(near, key=lambda index: (map_bytes[index], -index))
            found[best] = shares[best]
    return found


def bottlenecks(graph: Graph) -> list[int]:
    """Return the maps, but the image and the outputs, that are the only one made before and read behind them."""
    last_reader = [max(readers, default=-1) for readers in graph.consumers()]
    found: list[int] = []
    open_maps: set[int] = set()
    for index in range(len(graph.nodes) - 1):
        open_maps = {other for other in open_maps if last_reader[other] > index}
        if last_reader[index] > index:
            open_maps.add(index)
        if index and open_maps == {index} and index not in graph.outputs:
            found.append(index)
    return found
