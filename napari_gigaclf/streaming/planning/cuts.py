"""Where borders are carried and where they are computed again: whichever is cheaper for this tile size.

Carrying a map's border costs one copy of the map (the block is joined from what was carried and what is new); computing
it again costs the arithmetic of a few extra positions all the way up to the next carried map. Early layers are wide and
cheap, so a few convolutions in a row are best computed again; late layers are narrow and dear, so each is carried.

The choice is greedy, from the output to the input: start with every map cut (a map whose readers need no border costs
nothing as a cut), and give up a cut together with the place-by-place operations and the one window behind it if the
estimated cost falls. Costs are those of an inner tile. Known weakness: greedy, and its two constants were measured on
CPUs; results do not depend on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Ratio, Rule
from napari_gigaclf.streaming.network.operations import macs_of

MACS_PER_BYTE = 8.0
"""Multiply-accumulates that take as long as copying one byte of a block."""

MACS_PER_CARRY = 2e6
"""Multiply-accumulates that take as long as the calls around one carried map, per tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """What the cost depends on."""

    graph: Graph
    rules: Sequence[Sequence[Rule]]
    base: Sequence[Sequence[float]]
    bytes_per_position: Sequence[int]
    readers: Sequence[Sequence[int]]
    targets: frozenset[int]
    """Maps that stay cut."""
    lags: Sequence[Sequence[float]]

    def halos(self, cuts: frozenset[int]) -> list[list[float]]:
        """Return for each axis and map how many positions beyond its own share are needed at a time.

        The share of a map is what a tile would make of it if nothing lagged behind; what is needed is the hull of
        what its readers read, each of which may lag behind by its own amount (a skip connection's reader by much).
        """
        found = []
        for rules, lags in zip(self.rules, self.lags, strict=True):
            halo = [0.0] * len(rules)
            ends = [(-lag, -lag) for lag in lags]  # of what is made, before and behind a map's share
            for index in range(len(rules) - 2, -1, -1):
                needed = [_window(rules[c], *ends[c]) for c in self.readers[index]]
                if not needed:
                    continue
                before, behind = min(low for low, _ in needed), max(high for _, high in needed)
                halo[index] = max(behind - before, 0.0)
                if index not in cuts:
                    ends[index] = (before, behind)
            found.append(halo)
        return found

    def cost(self, cuts: frozenset[int], halos: list[list[float]]) -> float:
        """Return the cost of an inner tile, in multiply-accumulates."""
        total = 0.0
        for index, node in enumerate(self.graph.nodes):
            wide = prod(base[index] + halo[index] for base, halo in zip(self.base, halos, strict=True))
            own = prod(base[index] for base in self.base)
            cut = index in cuts
            made = own if cut else wide
            total += made * macs_of(node.operation)
            if index:
                total += made * self.bytes_per_position[index] * MACS_PER_BYTE / 2
            if cut and wide > own:
                total += wide * self.bytes_per_position[index] * MACS_PER_BYTE + MACS_PER_CARRY
        return total

    def group(self, index: int, halos: list[list[float]], cuts: frozenset[int]) -> frozenset[int]:
        """Return a map and what lies behind it up to the next window, whose input would be carried instead."""
        found, waiting = set(), [index]
        while waiting:
            here = waiting.pop()
            if here in found or here == 0 or (here != index and here in cuts and any(halo[here] > 0 for halo in halos)):
                continue
            found.add(here)
            if all(rules[here].reach == 1 for rules in self.rules):
                waiting.extend(self.graph.nodes[here].inputs)
        return frozenset(found) - self.targets


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
    base = [[side / float(step) for step in axis_steps] for side, axis_steps in zip(tile, steps, strict=True)]
    readers = graph.consumers()
    cost_of = _Tile(
        graph=graph, rules=rules, base=base, bytes_per_position=bytes_per_position, readers=readers, targets=targets,
        lags=[_lags(graph, axis) for axis in rules],
    )  # fmt: skip
    cuts = frozenset(range(len(graph.nodes)))
    halos = cost_of.halos(cuts)
    cost = cost_of.cost(cuts, halos)
    for index in range(len(graph.nodes) - 1, 0, -1):
        if index not in cuts or index in targets or not any(halo[index] > 0 for halo in halos):
            continue
        fewer = cuts - cost_of.group(index, halos, cuts)
        new_halos = cost_of.halos(fewer)
        new_cost = cost_of.cost(fewer, new_halos)
        if new_cost < cost:
            cuts, halos, cost = fewer, new_halos, new_cost
    return cuts
