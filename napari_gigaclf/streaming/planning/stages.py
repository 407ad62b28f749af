"""Which maps one pass over the tiles starts from, computes and delivers.

A network without statistics over the whole image is one stage: from the image to its output. Statistics cut it: what
reads them can only start when they are known, so it belongs to a later stage (:func:`stages_of`). So do rests
(:mod:`.rests`), for the sake of time and memory.

Without kept maps every stage begins at the image again: with L barriers the first layers are computed L + 1 times. A
map kept where it crosses a barrier (made before it, read behind it) need not be computed again. The maps crossing the
last barriers are the smallest and have the most arithmetic behind them, so they are kept first; if memory allows, all.
Known weakness: maps are kept from some barrier on, all or none; dropping a single large one is not tried.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from napari_gigaclf.streaming.network.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One pass over the tiles."""

    given: frozenset[int]
    """Maps that are read from memory, where an earlier stage left them, instead of being computed."""
    written: tuple[int, ...]
    """Maps delivered whole."""
    observed: tuple[int, ...]
    """Maps whose statistics are taken."""
    active: tuple[int, ...]
    """Maps read or computed, in order."""

    @property
    def targets(self) -> frozenset[int]:
        """Maps for whose sake the stage is run; each of their positions is made exactly once."""
        return frozenset((*self.written, *self.observed))

    @property
    def reads_image(self) -> bool:
        """Whether the stage starts, at least in part, from the image."""
        return 0 in self.active

    @property
    def computed(self) -> tuple[int, ...]:
        """Maps computed from other maps."""
        return tuple(index for index in self.active if index and index not in self.given)


def stage_for(
    graph: Graph, *, written: Iterable[int] = (), observed: Iterable[int] = (), given: frozenset[int] = frozenset()
) -> Stage:
    """Return the stage which makes these maps from the image and the given maps."""
    wanted_written, wanted_observed = tuple(sorted(written)), tuple(sorted(observed))
    active, waiting = set(), [*wanted_written, *wanted_observed]
    while waiting:
        index = waiting.pop()
        if index not in active:
            active.add(index)
            waiting.extend(() if index in given else graph.nodes[index].inputs)
    return Stage(given=given & active, written=wanted_written, observed=wanted_observed, active=tuple(sorted(active)))


def stages_of(
    graph: Graph, stored: frozenset[int] = frozenset(), rests: frozenset[int] = frozenset()
) -> tuple[Stage, ...]:
    """Return the stages in order: stage k takes the statistics that have k others behind them.

    Parameters
    ----------
    graph
        The network.
    stored
        Maps kept in memory by the stage which makes them, so that later ones need not compute them again.
    rests
        Maps at which the run rests, kept, too: what reads them belongs to a later stage, with tiles of its own.
    """
    depth_of, kept = graph.depths_with(rests)[0], stored | rests
    found = []
    for depth in range(graph.num_stages(rests)):
        written = {index for index in (*kept, *graph.outputs) if depth_of[index] == depth}
        observed = [index for index in graph.observed if depth_of[index] == depth]
        given = frozenset(index for index in kept if depth_of[index] < depth)
        found.append(stage_for(graph, written=written, observed=observed, given=given))
    return tuple(found)


def crossing_maps(graph: Graph, first: int) -> frozenset[int]:
    """Return the maps which are made before, and read behind, the barriers from number ``first`` on.

    Barrier b lies between stage b and stage b + 1.
    """
    depth_of = graph.depths[0]
    found = set()
    for node, depth in zip(graph.nodes, depth_of, strict=True):
        found |= {source for source in node.inputs if source and depth_of[source] < depth and depth > first}
    return frozenset(found - ({0} if len(graph.outputs) > 1 else {0, *graph.outputs}))  # of one, perhaps cells only


def storing_options(graph: Graph) -> list[frozenset[int]]:
    """Return the sets of maps that may be kept, from all to none."""
    options: list[frozenset[int]] = []
    for first in range(graph.num_stages()):
        stored = crossing_maps(graph, first)
        if stored not in options:
            options.append(stored)
    return options if frozenset() in options else [*options, frozenset()]


def few(options: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """Return at most six of the options, the first and the last among them."""
    return list(dict.fromkeys([*options[:: max(1, len(options) // 4)], options[-1]]))


def kept_peak(stages: Sequence[Stage], kept: Mapping[int, int], *, backward: bool) -> int:
    """Return the most bytes of kept maps, and of their gradients, alive at once; given the bytes of each.

    Backward, a map's gradient lives from the last stage that reads the map to the stage that made it; where several
    read it, two of them while they are being summed.
    """
    readers = {index: [n for n, stage in enumerate(stages) if index in stage.given] for index in kept}
    maker = {index: n for n, stage in enumerate(stages) for index in stage.written if index in kept}
    gradients = (
        sum(
            size * min(2, len(readers[index])) for index, size in kept.items()
            if readers[index] and maker[index] < number <= readers[index][-1]
        )
        for number in range(len(stages))
    )  # fmt: skip
    return sum(kept.values()) + (max(gradients) if backward else 0)
