"""Bytes of a run, counted before it: carried borders, blocks at work, the graph of one tile.

Carried borders are counted to the byte; blocks are upper estimates, in which the largest block of each map stands for
all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import Operation, Pointwise, Windowed, rectifies
from napari_gigaclf.streaming.network.pooling import MaxPooling, PowerPooling
from napari_gigaclf.streaming.planning.schedule import AxisSchedule

INDEX_BYTES = 8
"""Bytes of one index that max-pooling keeps for its gradient."""


def needs_input(operation: Operation) -> bool:
    """Return whether the gradient of an operation needs what it reads; ReLU needs its result, and a sum neither."""
    return not (isinstance(operation, Pointwise) and operation.in_place is not None)


def needs_result(operation: Operation) -> bool:
    """Return whether the gradient of an operation needs its result; if it is not known, yes."""
    is_sum = isinstance(operation, Pointwise) and operation.in_place is not None and not rectifies(operation)
    return not (isinstance(operation, Windowed) or is_sum)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileMemory:
    """Bytes of one tile size."""

    graph: Graph
    schedules: tuple[AxisSchedule, ...]
    position_bytes: Sequence[int]
    """Bytes of every map per position of space: samples x channels x bytes of a number."""
    item_bytes: Sequence[int]
    """Bytes of a number of every map."""
    targets: frozenset[int] = frozenset()
    """Maps that the stage delivers."""

    def made(self, node: int) -> int:
        """Return the bytes of a map's largest computed block."""
        return self.position_bytes[node] * prod(s.num_made.most[node] for s in self.schedules)

    def joined(self, node: int) -> int:
        """Return the bytes of a map's largest joined block; 0 where nothing is carried."""
        if not any(s.num_kept.total[node] for s in self.schedules):
            return 0
        return self.position_bytes[node] * prod(s.num_held.most[node] for s in self.schedules)

    def strip_carries(self) -> int:
        """Return the bytes of the carried borders alive at once in a forward pass."""
        return sum(self.position_bytes[node] * self._strip(node) for node in range(len(self.graph.nodes)))

    def _strip(self, node: int) -> int:
        total = 0
        for axis, schedule in enumerate(self.schedules):
            before = prod(s.num_held.most[node] for s in self.schedules[:axis])
            total += schedule.num_kept.most[node] * before * prod(s.sizes[node] for s in self.schedules[axis + 1 :])
        return total

    def all_carries(self) -> int:
        """Return the bytes of the carried borders of all tiles."""
        return sum(self.position_bytes[node] * self._all(node) for node in range(len(self.graph.nodes)))

    def _all(self, node: int) -> int:
        total = 0
        for axis, schedule in enumerate(self.schedules):
            before = prod(s.num_held.total[node] for s in self.schedules[:axis])
            made = prod(s.num_made.total[node] for s in self.schedules[axis + 1 :])
            total += schedule.num_kept.total[node] * before * made
        return total

    def received_bytes(self) -> NDArray[np.int64]:
        """Return the bytes of the borders that each tile receives, in raster order."""
        grid = tuple(schedule.num_tiles for schedule in self.schedules)
        total: NDArray[np.int64] = np.zeros(grid, dtype=np.int64)
        for node in range(len(self.graph.nodes)):
            for axis, along in enumerate(self.schedules):
                if not along.num_kept.total[node]:
                    continue
                part: NDArray[np.int64] = np.full(1, self.position_bytes[node], dtype=np.int64)
                for other, schedule in enumerate(self.schedules):
                    table = schedule.held if other < axis else schedule.kept if other == axis else schedule.made
                    lengths = np.array([stop - start for start, stop in table[node]], dtype=np.int64)
                    if other == axis:
                        lengths = np.append(np.zeros(1, dtype=np.int64), lengths[:-1])  # given by the tile before
                    part = np.multiply.outer(part, lengths)
                total += part.reshape(grid)
        return total.ravel()

    def forward_peak(self) -> int:
        """Return the bytes of blocks alive at once while a tile runs forward."""
        last_use = {source: index for index, node in enumerate(self.graph.nodes) for source in node.inputs}
        alive, peak = 0, 0
        for index, node in enumerate(self.graph.nodes):
            made, joined = self.made(index), self.joined(index)
            inputs = sum(max(self.made(i), self.joined(i)) for i in node.inputs)
            peak = max(peak, alive + 2 * made + inputs, alive + made + joined)  # a window copies its blocks once inside
            alive += joined or made
            alive -= sum(self.joined(i) or self.made(i) for i in node.inputs if last_use[i] == index)
        return peak

    def graph_bytes(self) -> int:
        """Return the bytes that autograd holds of one tile's maps until it has gone back.

        A block is held if an operation needs it for its gradient: the one which made it, or one that reads it. What is
        joined is read from the joined block.
        """
        overwritten, readers = self._overwritten(), self.graph.consumers()
        total = 0
        for index, node in enumerate(self.graph.nodes):
            joined = self.joined(index)
            held = needs_result(node.operation) or index in self.targets
            if joined:
                held = held and not (index not in self.targets and rectifies(node.operation))  # made where it is joined
            else:
                held = held or any(needs_input(self.graph.nodes[reader].operation) for reader in readers[index])
            total += joined + (self.made(index) if held and index not in overwritten else 0)
            if isinstance(node.operation, MaxPooling):
                total += self.made(index) * INDEX_BYTES // self.item_bytes[index]
            if isinstance(node.operation, PowerPooling):
                total += max(self.made(node.inputs[0]), self.joined(node.inputs[0]))
                total += node.operation.held_results * self.made(index)
        return total

    def _overwritten(self) -> frozenset[int]:
        """Return the maps whose one reader computes in place."""
        readers, found = self.graph.consumers(), set()
        for node in self.graph.overwritable():
            reader = self.graph.nodes[readers[node][0]]
            operation = reader.operation
            in_place = isinstance(operation, Pointwise) and operation.in_place is not None
            whole = all(s.read[readers[node][0]] == s.held[node] for s in self.schedules)
            if in_place and whole and reader.inputs == (node,) and not self.joined(node):
                found.add(node)
        return frozenset(found)

    def working(self) -> int:
        """Return the bytes of gradients alive at once while a tile goes back, beside its graph."""
        return max(
            2 * self.made(i) + 2 * sum(max(self.made(j), self.joined(j)) for j in node.inputs)
            for i, node in enumerate(self.graph.nodes)
        )
