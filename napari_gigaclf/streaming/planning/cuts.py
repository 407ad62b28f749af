"""Where borders are carried and where they are computed again: whichever is cheaper for this tile size.

Carrying a map's border costs one copy of the map (the block is joined from what was carried and what is new); computing
it again costs the arithmetic of a few extra positions all the way up to the next carried map. Early layers are wide and
cheap, so a few convolutions in a row are best computed again; late layers are narrow and dear, so each is carried.

The choice is greedy, from the output to the input: start with every map cut (a map whose readers need no border costs
nothing as a cut), and give up a cut together with the place-by-place operations and the one window behind it if the
estimated cost falls. Costs are those of an inner tile. Known weakness: greedy, and its two constants were measured on
CPUs; results do not depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import prod

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Ratio, Rule
from napari_gigaclf.streaming.network.operations import macs_of

MACS_PER_BYTE = 8.0
"""Multiply-accumulates that take as long as copying one byte of a block."""

MACS_PER_CARRY = 2e6
"""Multiply-accumulates that take as long as the calls around one carried map, per tile."""


@dataclass(slots=True, kw_only=True)
class _Axes:
    """How far maps are needed beyond their share along one axis, or several that are alike; lists by map."""

    rules: Sequence[Rule]
    halos: list[float]
    """Positions beyond its own share that are needed of a map at a time.

    The share of a map is what a tile would make of it if nothing lagged behind; what is needed is the hull of what its
    readers read, each of which may lag behind by its own amount (a skip connection's reader by much)."""
    ends: list[tuple[float, float]]
    """Of what is made of a map, before and behind its share."""


Found = tuple[float, tuple[float, float]]
"""Halo and ends of a map along an axis."""


@dataclass(slots=True, kw_only=True)
class _Tile:
    """The cost of an inner tile, kept up to date while cuts are given up."""

    graph: Graph
    readers: Sequence[Sequence[int]]
    axes: Sequence[_Axes]
    """Axes of different rules."""
    base: Sequence[Sequence[float]]
    """Per axis of space, every map's share, positions."""
    kinds: Sequence[int]
    """Per axis of space, which of ``axes`` it is."""
    bytes_per_position: Sequence[int]
    targets: frozenset[int]
    """Maps that stay cut."""
    cuts: set[int]
    costs: list[float] = field(default_factory=list)
    """Of every map, in multiply-accumulates."""

    def start(self) -> None:
        """Work out halos and costs from scratch."""
        for index in range(len(self.graph.nodes) - 2, -1, -1):
            for number, axis in enumerate(self.axes):
                axis.halos[index], axis.ends[index] = self.look(number, index, {}, cut=index in self.cuts)
        self.costs = [
            self.cost(index, [axis.halos[index] for axis in self.axes], cut=index in self.cuts)
            for index in range(len(self.graph.nodes))
        ]

    def look(self, number: int, index: int, changed: Mapping[int, Sequence[Found]], *, cut: bool) -> Found:
        """Return a map's halo and ends, given those of its readers, of which some may be about to change."""
        axis = self.axes[number]
        windows = [
            _window(axis.rules[reader], *(changed[reader][number][1] if reader in changed else axis.ends[reader]))
            for reader in self.readers[index]
        ]
        if not windows:
            return axis.halos[index], axis.ends[index]
        before, behind = min(low for low, _ in windows), max(high for _, high in windows)
        return max(behind - before, 0.0), axis.ends[index] if cut else (before, behind)

    def cost(self, index: int, halos: Sequence[float], *, cut: bool) -> float:
        """Return the cost of a map in an inner tile, in multiply-accumulates."""
        own = prod(base[index] for base in self.base)
        wide = prod(base[index] + halos[kind] for base, kind in zip(self.base, self.kinds, strict=True))
        made, amount = (own if cut else wide), self.bytes_per_position[index]
        total = made * macs_of(self.graph.nodes[index].operation)
        if index:
            total += made * amount * MACS_PER_BYTE / 2
        if cut and wide > own:
            total += wide * amount * MACS_PER_BYTE + MACS_PER_CARRY
        return total

    def is_carried(self, index: int) -> bool:
        """Return whether a cut at this map carries a border."""
        return index in self.cuts and any(axis.halos[index] > 0 for axis in self.axes)

    def group(self, index: int) -> frozenset[int]:
        """Return a map and what lies behind it up to the next window, whose input would be carried instead."""
        found, waiting = set(), [index]
        while waiting:
            here = waiting.pop()
            if here in found or here == 0 or (here != index and self.is_carried(here)):
                continue
            found.add(here)
            if all(axis.rules[here].reach == 1 for axis in self.axes):
                waiting.extend(self.graph.nodes[here].inputs)
        return frozenset(found) - self.targets

    def give_up(self, group: frozenset[int]) -> None:
        """Stop cutting at a group of maps if that costs less: only maps up to the next cuts are looked at."""
        changed: dict[int, list[Found]] = {}
        costs: dict[int, float] = {}
        waiting = [-index for index in group]  # from the output to the input, as readers come before what they read
        heapify(waiting)
        while waiting:
            index = -heappop(waiting)
            if index in changed:
                continue
            cut = index in self.cuts and index not in group
            found = [self.look(number, index, changed, cut=cut) for number in range(len(self.axes))]
            changed[index] = found
            costs[index] = self.cost(index, [halo for halo, _ in found], cut=cut)
            if any(ends != axis.ends[index] for axis, (_, ends) in zip(self.axes, found, strict=True)):
                for source in self.graph.nodes[index].inputs:
                    heappush(waiting, -source)  # the same one twice is looked at once, behind all its readers
        if sum(costs.values()) < sum(self.costs[index] for index in costs):
            self.cuts -= group
            for index, found in changed.items():
                self.costs[index] = costs[index]
                for axis, (halo, ends) in zip(self.axes, found, strict=True):
                    axis.halos[index], axis.ends[index] = halo, ends


def _window(rule: Rule, before: float, behind: float) -> tuple[float, float]:
    """Return what is read, beyond the input's share, for an output made from ``before`` to ``behind`` its own share."""
    step, lead, reach = float(rule.step), float(rule.lead), float(rule.reach)
    return before * step - lead, (behind - 1) * step - lead + reach


def _lags(graph: Graph, rules: Sequence[Rule]) -> list[float]:
    """Return by how many positions every map lags behind its share along one axis, borders aside."""
    lags = [0.0]
    for node, rule in zip(graph.nodes[1:], rules[1:], strict=True):
        step, lead, reach = float(rule.step), float(rule.lead), float(rule.reach)
        lags.append((max(lags[source] for source in node.inputs) + reach - lead - step) / step)
    return lags


def choose_cuts(
    graph: Graph,
    rules: Sequence[Sequence[Rule]],
    targets: frozenset[int],
    tile: Sequence[int],
    steps: Sequence[Sequence[Ratio]],
    bytes_per_position: Sequence[int],
) -> frozenset[int]:
    """Return the maps to cut at for this tile size.

    Parameters
    ----------
    graph
        The network.
    rules
        Per axis, every node's rule.
    targets
        Maps that must be cut: delivered whole, observed by statistics, or of a cost that is not known.
    tile
        Side of a tile per axis, input pixels.
    steps
        Per axis, every map's input pixels per position.
    bytes_per_position
        Bytes of every map per position of space: samples x channels x bytes of a number.
    """
    kinds = [next(n for n, other in enumerate(rules) if other == axis) for axis in rules]
    axes = {}
    for kind in dict.fromkeys(kinds):
        lags = _lags(graph, rules[kind])
        axes[kind] = _Axes(rules=rules[kind], halos=[0.0] * len(lags), ends=[(-lag, -lag) for lag in lags])
    tile_cost = _Tile(
        graph=graph, readers=graph.consumers(), axes=list(axes.values()), targets=targets,
        base=[[side / float(step) for step in axis_steps] for side, axis_steps in zip(tile, steps, strict=True)],
        kinds=[list(axes).index(kind) for kind in kinds],
        bytes_per_position=bytes_per_position, cuts=set(range(len(graph.nodes))),
    )  # fmt: skip
    tile_cost.start()
    for index in range(len(graph.nodes) - 1, 0, -1):
        if index not in targets and tile_cost.is_carried(index):
            tile_cost.give_up(tile_cost.group(index))
    return frozenset(tile_cost.cuts)
