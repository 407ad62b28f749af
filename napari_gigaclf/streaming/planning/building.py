"""Building the plan of a run whose tiles, rests and kept maps are given; choosing them is :mod:`.choosing`'s part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Ratio, Rule, Span
from napari_gigaclf.streaming.network.operations import macs_of
from napari_gigaclf.streaming.network.patches import PatchOperation
from napari_gigaclf.streaming.planning.arithmetic import tiled_macs, untiled_macs
from napari_gigaclf.streaming.planning.cuts import choose_cuts
from napari_gigaclf.streaming.planning.fitting import Sized, SizedStage
from napari_gigaclf.streaming.planning.glass import Glass
from napari_gigaclf.streaming.planning.memory import TileMemory
from napari_gigaclf.streaming.planning.plan import Layout, StreamPlan
from napari_gigaclf.streaming.planning.schedule import (
    AxisEnds,
    AxisSchedule,
    axis_rules,
    looks_back,
    map_sizes,
    reaches,
    schedule_axis,
)
from napari_gigaclf.streaming.planning.stages import Stage, kept_peak, stages_of

POSITIONS_PER_CALL = 75
"""Positions of a convolution that take as long as its work on its weights, forward or either part of backward.

Measured on CPUs: with 512 channels, 8 x 8 positions take about twice as long per position as 32 x 32."""

MACS_PER_SKIP = 10_000_000
"""Multiply-accumulates that take as long as skipping a tile of glass: 0.6 ms, measured over 24 000 tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be planned."""

    graph: Graph
    """The network."""
    image_shape: tuple[int, ...]
    """(batch, channels, *space), pixels."""
    responses: Sequence[Tensor]
    """One small tensor per map, which tells its channels and dtype."""
    backward: bool
    """Whether a backward pass will follow."""
    weight_bytes: Mapping[str, int]
    """Bytes of the parameters that get a gradient, by name."""
    vector_macs: int = 0
    """Multiply-accumulates of what is computed from statistics."""
    vector_shapes: tuple[tuple[int, ...], ...] = ()
    """Of the tensors without space that are returned."""
    glass: Glass | None = None
    """Where the image is known to be flat; None where nothing is known, or where flat tiles are run, too."""

    @property
    def space(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return self.image_shape[2:]


@dataclass(slots=True)
class Builder:
    """Builds plans of one task; what plans have in common is worked out once."""

    task: Task
    rules: list[list[Rule]] = field(init=False)
    """Per axis, every node's rule."""
    steps: list[list[Ratio]] = field(init=False)
    """Per axis, every map's input pixels per position."""
    position_bytes: list[int] = field(init=False)
    """Bytes of every map per position of space."""
    map_bytes: list[int] = field(init=False)
    """Bytes of every map."""
    _cuts: dict[tuple[tuple[int, ...], frozenset[int]], frozenset[int]] = field(init=False, default_factory=dict)
    _ends: dict[tuple[int, int], AxisEnds] = field(init=False, default_factory=dict)
    _stages: dict[tuple[Stage, tuple[int, ...], frozenset[int]], SizedStage] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        task, num_axes = self.task, len(self.task.space)
        self.rules = [axis_rules(task.graph, axis, num_axes) for axis in range(num_axes)]
        self.steps = [[reach.step for reach in reaches(task.graph, axis)] for axis in self.rules]
        self.position_bytes = [task.image_shape[0] * r.shape[1] * r.element_size() for r in task.responses]
        sizes = [map_sizes(task.graph, axis, size) for axis, size in zip(self.rules, task.space, strict=True)]
        self.map_bytes = [
            amount * prod(axis[index] for axis in sizes) for index, amount in enumerate(self.position_bytes)
        ]

    @property
    def macs_per_pixel(self) -> list[float]:
        """Every map's multiply-accumulates per input pixel."""
        nodes = self.task.graph.nodes
        return [macs_of(node.operation) / float(prod(axis[i] for axis in self.steps)) for i, node in enumerate(nodes)]

    def sized(self, layout: Layout, stored: frozenset[int] = frozenset()) -> Sized:
        """Return the plans of all stages.

        Parameters
        ----------
        layout
            Tiles and rests.
        stored
            Maps kept where they cross a statistic.
        """
        graph = self.task.graph
        stages = stages_of(graph, stored, layout.rests)
        opaque = frozenset(i for i, node in enumerate(graph.nodes) if isinstance(node.operation, PatchOperation))
        targets = opaque.union(*(stage.targets for stage in stages)) - layout.rests
        kept = {index: self.map_bytes[index] for index in stored | layout.rests}
        return Sized(
            stages=tuple(self._stage(stage, layout, number, targets) for number, stage in enumerate(stages)),
            kept_bytes=kept_peak(stages, kept, backward=self.task.backward),
        )

    def effort(self, plans: Sequence[StreamPlan]) -> float:
        """Return the effort of a run, of which tiles of glass are skipped."""
        glass = self.task.glass
        if glass is None:
            return sum(plan.effort for plan in plans)
        total = 0.0
        for plan in plans:
            live = glass.live_share([self._views(axis, schedule) for axis, schedule in enumerate(plan.schedules)])
            total += live * plan.effort + (1 - live) * plan.num_tiles * MACS_PER_SKIP
        return total

    def _views(self, axis: int, schedule: AxisSchedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return first and end pixel on which each tile depends along an axis."""
        spans = [Span.of(*held) for held in schedule.held]
        seen = looks_back(self.task.graph, self.rules[axis], schedule.sizes, [s.only(s.filled) for s in spans])
        return seen.start, seen.stop

    def joined(self, sized: Sized, plans: Sequence[StreamPlan], peak_bytes: int) -> StreamPlan:
        """Return the plan of all stages, whose numbers are totals."""
        graph, task, first, last = self.task.graph, self.task, plans[0], plans[-1]
        if len(plans) == 1 and not graph.found:
            return first
        stored = {index for plan in plans for index in plan.stage.given}
        return replace(
            last,
            layout=first.layout,
            tile=first.tile,
            grid=first.grid,
            output_shapes=(*last.output_shapes, *task.vector_shapes),
            macs=sum(plan.macs for plan in plans) + task.vector_macs,
            rerun_macs=sum(plan.rerun_macs for plan in plans),
            untiled_macs=last.untiled_macs + task.vector_macs,
            carried_maps=frozenset().union(*(plan.carried_maps for plan in plans)),
            carry_bytes=sized.carry_bytes,
            graph_bytes=max(plan.graph_bytes for plan in plans),
            kept_graphs=sum(plan.kept_graphs for plan in plans),
            spilled_tiles=sum(plan.spilled_tiles for plan in plans),
            spill_bytes=sum(plan.spill_bytes for plan in plans),
            stored_bytes=sum(self.map_bytes[index] for index in stored),
            peak_bytes=peak_bytes,
            stages=tuple(plans),
        )

    def _cuts_for(self, tile: tuple[int, ...], targets: frozenset[int]) -> frozenset[int]:
        """Return where borders are carried."""
        key = (tuple(min(side, n) for side, n in zip(tile, self.task.space, strict=True)), targets)
        if key not in self._cuts:
            self._cuts[key] = choose_cuts(
                self.task.graph, self.rules, targets, key[0], self.steps, self.position_bytes
            )  # fmt: skip
        return self._cuts[key]

    def _schedules(self, stage: Stage, cuts: frozenset[int], tile: tuple[int, ...]) -> tuple[AxisSchedule, ...]:
        """Return who computes what, per axis; like axes are worked out once."""
        found: list[AxisSchedule] = []
        for axis, (rules, size, side) in enumerate(zip(self.rules, self.task.space, tile, strict=True)):
            like = [n for n in range(axis) if (self.task.space[n], tile[n]) == (size, side) and self.rules[n] == rules]
            found.append(
                found[like[0]] if like
                else schedule_axis(self.task.graph, rules, stage, cuts, self._ends_of(axis, side))
            )  # fmt: skip
        return tuple(found)

    def _ends_of(self, axis: int, side: int) -> AxisEnds:
        """Return how far maps can be computed after each tile of this side along an axis."""
        if (axis, side) not in self._ends:
            self._ends[axis, side] = AxisEnds.of(self.task.graph, self.rules[axis], self.task.space[axis], side)
        return self._ends[axis, side]

    def _stage(self, stage: Stage, layout: Layout, number: int, targets: frozenset[int]) -> SizedStage:
        """Return the plan of one stage."""
        tile = layout.tile(number)
        key = (stage, tile, targets)
        if key not in self._stages:
            self._stages[key] = self._new_stage(stage, tile, self._cuts_for(tile, targets))
        found = self._stages[key]
        return replace(found, plan=replace(found.plan, layout=layout))

    def _weights(self, stage: Stage) -> int:
        """Return the bytes of all weights' gradients, and of the weights as a stage takes them in.

        Those are computed from the parameters, once per pass: folded with eval-mode batch norm, rounded under autocast.
        """
        task = self.task
        names = task.graph.names_behind(index for node in stage.computed for index in task.graph.nodes[node].tensors)
        half = any(task.responses[node].dtype in (torch.float16, torch.bfloat16) for node in stage.computed)
        taken_in = sum(task.weight_bytes.get(name, 0) for name in names)
        return sum(task.weight_bytes.values()) + taken_in // (1 + half)

    def _new_stage(self, stage: Stage, tile: tuple[int, ...], cuts: frozenset[int]) -> SizedStage:
        task, graph, batch = self.task, self.task.graph, self.task.image_shape[0]
        schedules = self._schedules(stage, cuts, tile)
        memory = TileMemory(
            graph=graph, schedules=schedules, position_bytes=self.position_bytes,
            item_bytes=[response.element_size() for response in task.responses], targets=stage.targets,
        )  # fmt: skip
        channels = tuple(response.shape[1] for response in task.responses)
        carry_bytes = memory.all_carries() if task.backward else memory.strip_carries()
        graph_bytes = memory.graph_bytes() if task.backward else 0
        gradients = memory.strip_carries() + memory.working() + self._weights(stage)
        at_work = gradients if task.backward else memory.forward_peak()
        macs = batch * tiled_macs(graph, stage.computed, schedules)
        plan = StreamPlan(
            image_shape=task.image_shape,
            output_shapes=tuple((batch, channels[i], *(s.sizes[i] for s in schedules)) for i in graph.outputs),
            layout=Layout(tiles=(tile,)),
            tile=tile,
            grid=tuple(s.num_tiles for s in schedules),
            backward=task.backward,
            macs=macs,
            untiled_macs=batch * untiled_macs(graph, schedules),
            carried_maps=frozenset(i for i in range(len(graph.nodes)) if any(s.num_kept.total[i] for s in schedules)),
            carry_bytes=carry_bytes,
            peak_bytes=carry_bytes + at_work + graph_bytes,
            graph_bytes=graph_bytes,
            rerun_macs=macs if task.backward else 0,
            call_macs=POSITIONS_PER_CALL * sum(int(macs_of(graph.nodes[i].operation)) for i in stage.computed),
            channels=channels,
            schedules=schedules,
            cuts=cuts,
            stage=stage,
        )
        return SizedStage(plan=plan, memory=memory, at_work_bytes=at_work)
