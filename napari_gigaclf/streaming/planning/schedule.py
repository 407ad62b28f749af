"""Who computes what, when: for every tile along one axis, which positions of every map are made, held and kept.

Tiles are visited in raster order. Along one axis, after tile t:

- ``end[v]`` positions of map v can be computed: ``end[input] = (t + 1) * tile``; for the others, their rule's ``ready``
  of the shortest of their inputs. A map that is ahead of its partner in a sum keeps its surplus.
- At a *cut* map (and the output) each position is made exactly once, by the tile whose ends it lies between.
- Between cuts, maps are made as far as the next cuts need them: a few positions at the border are made again by the
  next tile, which is cheaper there than carrying them (:mod:`.cuts` decides).
- Maps left in memory by an earlier stage are read where they are needed, borders included, and carry nothing.
- A cut map ``holds`` for its readers what this tile made and what was carried; it ``keeps`` for the next tile
  everything from the first position that any later tile reads.

Two or three axes need nothing more: a tile's extents are the products of its intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_gigaclf.errors import ImageTooSmallError, UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import FAR, Integers, Ratio, Rule, Span, Window
from napari_gigaclf.streaming.planning.stages import Stage

Pairs = list[tuple[int, int]]
"""(start, stop) per tile."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many positions of each map the tiles have, indexed [map]."""

    most: tuple[int, ...]
    """In one tile, at most."""
    total: tuple[int, ...]
    """In all tiles together, repetitions included."""

    @staticmethod
    def of(spans: Sequence[Span]) -> "Lengths":
        """Count them; what is one span for many maps is counted once."""
        counts = {id(span): span.lengths for span in spans}
        most = {key: int(lengths.max()) for key, lengths in counts.items()}
        total = {key: int(lengths.sum()) for key, lengths in counts.items()}
        return Lengths(
            most=tuple(most[id(span)] for span in spans), total=tuple(total[id(span)] for span in spans)
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisSchedule:
    """The schedule of all maps along one axis; lists are indexed [map][tile]."""

    num_tiles: int
    sizes: tuple[int, ...]
    """Full size of each map."""
    made: tuple[Pairs, ...]
    """Positions computed (the input: read) by each tile."""
    read: tuple[Pairs, ...]
    """Positions of a map's inputs which computing it reads, inside the image."""
    held: tuple[Pairs, ...]
    """Positions at hand for the readers of a map during each tile."""
    kept: tuple[Pairs, ...]
    """Positions carried on after each tile."""
    num_made: Lengths
    num_read: Lengths
    num_held: Lengths
    num_kept: Lengths

    @staticmethod
    def of(
        sizes: tuple[int, ...],
        *,
        made: Sequence[Span],
        read: Sequence[Span],
        held: Sequence[Span],
        kept: Sequence[Span],
    ) -> "AxisSchedule":
        """Return the schedule of these intervals, one span per map; maps without any share one list."""
        num_tiles = len(made[0].start)
        nothing = [(0, 0)] * num_tiles

        def listed(spans: Sequence[Span], lengths: Lengths) -> tuple[Pairs, ...]:
            return tuple(span.tolist() if total else nothing for span, total in zip(spans, lengths.total, strict=True))

        num_made, num_read, num_held, num_kept = (Lengths.of(spans) for spans in (made, read, held, kept))
        return AxisSchedule(
            num_tiles=num_tiles, sizes=sizes,
            made=listed(made, num_made), read=listed(read, num_read),
            held=listed(held, num_held), kept=listed(kept, num_kept),
            num_made=num_made, num_read=num_read, num_held=num_held, num_kept=num_kept,
        )  # fmt: skip


def axis_rules(graph: Graph, axis: int, num_axes: int) -> list[Rule]:
    """Return each node's rule along one axis."""
    return [node.operation.rules(num_axes)[axis] for node in graph.nodes]


def map_sizes(graph: Graph, rules: Sequence[Rule], num_input: int) -> tuple[int, ...]:
    """Return the size of every map along one axis.

    Raises
    ------
    ImageTooSmallError
        If a map would have no position, as the untiled network would raise.
    UnsupportedOperation
        If maps of different sizes are joined.
    """
    if num_input < 1:
        raise ImageTooSmallError(f"an image of {num_input} pixels along one axis holds nothing; use a larger image")
    sizes = [num_input]
    for node, rule in zip(graph.nodes[1:], rules[1:], strict=True):
        have = {sizes[source] for source in node.inputs}
        if len(have) > 1:
            raise UnsupportedOperation(
                f"cannot stream {node.kind} in '{node.name}': it joins maps of {sorted(have)} positions along an axis; "
                "give them the same size"
            )
        size = rule.size(sizes[node.inputs[0]])
        if size <= 0:
            raise ImageTooSmallError(
                f"an image of {num_input} pixels along one axis is too small for {node.kind} in '{node.name}', which "
                f"is left with {sizes[node.inputs[0]]} positions; use a larger image"
            )
        sizes.append(size)
    return tuple(sizes)


@dataclass(frozen=True, slots=True)
class AxisEnds:
    """How far all maps can be computed along one axis after each tile; every stage keeps to it."""

    sizes: tuple[int, ...]
    """Full size of each map."""
    ends: tuple[Integers, ...]
    """Of each map, the first position that cannot be computed yet, per tile."""

    @staticmethod
    def of(graph: Graph, rules: Sequence[Rule], num_input: int, tile: int) -> "AxisEnds":
        """Return the ends for tiles of so many input pixels.

        Raises
        ------
        ImageTooSmallError, UnsupportedOperation
            As :func:`map_sizes`.
        """
        sizes = map_sizes(graph, rules, num_input)
        num_tiles = max(1, -(-num_input // tile))
        ends: list[Integers] = [np.minimum((np.arange(num_tiles, dtype=np.int64) + 1) * tile, num_input)]
        for node, rule in zip(graph.nodes[1:], rules[1:], strict=True):
            in_end = np.minimum.reduce([ends[source] for source in node.inputs])
            ends.append(rule.ready(in_end, sizes[node.inputs[0]]))
        return AxisEnds(sizes, tuple(ends))


def schedule_axis(
    graph: Graph, rules: Sequence[Rule], stage: Stage, cuts: frozenset[int], axis: AxisEnds
) -> AxisSchedule:
    """Plan one axis of a stage. Maps outside the stage have empty intervals."""
    sizes, ends = axis.sizes, axis.ends
    nothing = Span.nothing(len(ends[0]))
    made, needed, read = ([nothing] * len(graph.nodes) for _ in range(3))
    whole = ((cuts | stage.targets | {0}) & set(stage.active)) - stage.given
    for index in reversed(stage.active):
        before = np.concatenate([np.zeros(1, dtype=np.int64), ends[index][:-1]])
        made[index] = Span(before, ends[index]) if index in whole else needed[index]
        for source in () if index in stage.given else graph.nodes[index].inputs:
            read[index] = rules[index].source(made[index], sizes[source])
            needed[source] = needed[source].hull(read[index])
    held, kept = list(made), [nothing] * len(graph.nodes)
    for index in whole:
        held[index], kept[index] = _carried(needed[index], ends[index])
    return AxisSchedule.of(sizes, made=made, read=read, held=held, kept=kept)


def _carried(needed: Span, ends: Integers) -> tuple[Span, Span]:
    """Return what a cut map holds during, and keeps after, each tile."""
    later = np.minimum.accumulate(np.append(needed.start, FAR)[::-1])[::-1][1:]  # first position read by any later tile
    keep_from = np.minimum(later, ends)
    first = np.concatenate([np.zeros(1, dtype=np.int64), keep_from[:-1]])
    return Span(first, ends), Span(keep_from, ends)


def schedule_region(
    graph: Graph, rules: Sequence[Rule], stage: Stage, num_input: int, output: int, span: tuple[int, int]
) -> AxisSchedule:
    """Plan one axis for a single piece of one of the stage's maps, computed from its receptive field alone."""
    sizes = map_sizes(graph, rules, num_input)
    needed = [Span.nothing(1) for _ in graph.nodes]
    read = [Span.nothing(1) for _ in graph.nodes]
    needed[output] = Span.of(span)
    for index in reversed(stage.computed):
        for source in graph.nodes[index].inputs:
            read[index] = rules[index].source(needed[index], sizes[source])
            needed[source] = needed[source].hull(read[index])
    nothing = [Span.nothing(1)] * len(graph.nodes)
    return AxisSchedule.of(sizes, made=needed, read=read, held=needed, kept=nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a map's positions look back at the image along one axis, borders aside."""

    step: Ratio
    """Input pixels from one position to the next; a fraction where the map is finer than the image."""
    lead: Ratio
    """Pixels by which receptive fields start before ``position * step``, at most."""
    width: Ratio
    """Pixels of a receptive field, at most."""


def reaches(graph: Graph, rules: Sequence[Rule]) -> list[Reach]:
    """Return every map's reach along one axis: windows compose, branches join as a hull.

    Raises
    ------
    UnsupportedOperation
        If branches of different stride are joined.
    """
    found = [Reach(step=1, lead=0, width=1)]
    for node, rule in zip(graph.nodes[1:], rules[1:], strict=True):
        inputs = [found[source] for source in node.inputs]
        if len({reach.step for reach in inputs}) > 1:
            raise UnsupportedOperation(
                f"cannot stream {node.kind} in '{node.name}': it joins maps of different stride; give them the same"
            )
        step, lead = inputs[0].step, max(reach.lead for reach in inputs)
        end = max(reach.width - reach.lead for reach in inputs)
        found.append(
            Reach(step=step * rule.step, lead=lead + step * rule.lead, width=lead + end + step * (rule.reach - 1))
        )
    return found


def looks_back(graph: Graph, rules: Sequence[Rule], sizes: Sequence[int], spans: Sequence[Span]) -> Span:
    """Return per tile the pixels on which the given positions of all maps together depend."""
    wanted = list(spans)
    for index in range(len(graph.nodes) - 1, 0, -1):
        for source in graph.nodes[index].inputs:
            wanted[source] = wanted[source].hull(rules[index].source(wanted[index], sizes[source]))
    return wanted[0]


def borderless(
    graph: Graph, rules: Sequence[Rule], sizes: Sequence[int], seamless: frozenset[int]
) -> list[tuple[int, int]]:
    """Return per map the positions whose whole receptive field touches no padding, as (start, stop).

    ``seamless`` names nodes whose padding cannot be told from the flat image around it (zeros on a map that is zero
    there); their padding does not count.
    """
    safe = [(0, sizes[0])]
    for index, (node, rule) in enumerate(zip(graph.nodes[1:], rules[1:], strict=True), start=1):
        start = max(safe[source][0] for source in node.inputs)
        stop = min(safe[source][1] for source in node.inputs)
        size_in = sizes[node.inputs[0]]
        first, end = rule.inner(start, stop, size_in)
        if index in seamless or (isinstance(rule, Window) and rule.kernel == 1 and not (rule.before or rule.after)):
            first = 0 if start == 0 else first
            end = sizes[index] if stop == size_in else end
        safe.append((max(first, 0), max(min(end, sizes[index]), max(first, 0))))
    return safe
