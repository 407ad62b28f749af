"""Multiply-accumulates of a plan, counted as PyTorch counts them: as full windows, for one sample."""

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.operations import macs_of
from napari_gigaclf.streaming.network.transposed import TransposedConvolution
from napari_gigaclf.streaming.planning.schedule import AxisSchedule


def tiled_macs(graph: Graph, computed: Iterable[int], schedules: Sequence[AxisSchedule]) -> int:
    """Return the multiply-accumulates of all tiles, for the maps that are computed.

    A transposed convolution works input by input: inputs at a border, which two tiles read, count twice.
    """
    total = 0
    for index, node in ((index, graph.nodes[index]) for index in computed):
        if isinstance(node.operation, TransposedConvolution):
            total += node.operation.macs_per_input * prod(schedule.num_read.total[index] for schedule in schedules)
        else:
            total += macs_of(node.operation) * prod(schedule.num_made.total[index] for schedule in schedules)
    return total


def untiled_macs(graph: Graph, schedules: Sequence[AxisSchedule]) -> int:
    """Return the multiply-accumulates of the whole network at once."""
    total = 0
    for index, node in enumerate(graph.nodes):
        if isinstance(node.operation, TransposedConvolution):
            total += node.operation.macs_per_input * prod(schedule.sizes[node.inputs[0]] for schedule in schedules)
        else:
            total += macs_of(node.operation) * prod(schedule.sizes[index] for schedule in schedules)
    return total


def last_macs(graph: Graph, computed: Iterable[int], schedules: Sequence[AxisSchedule], count: int) -> int:
    """Return the multiply-accumulates of the last tiles in raster order."""
    total = 0
    for index, node in ((index, graph.nodes[index]) for index in computed):
        operation, transposed = node.operation, isinstance(node.operation, TransposedConvolution)
        macs = operation.macs_per_input if isinstance(operation, TransposedConvolution) else macs_of(operation)
        if not macs:
            continue
        positions: NDArray[np.int64] = np.ones(1, dtype=np.int64)
        for schedule in schedules:
            spans = schedule.read[index] if transposed else schedule.made[index]
            lengths = np.array([stop - start for start, stop in spans], dtype=np.int64)
            positions = np.multiply.outer(positions, lengths).ravel()
        total += macs * int(positions[len(positions) - count :].sum())
    return total
