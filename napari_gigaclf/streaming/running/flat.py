"""Glass is not computed: tiles that see nothing but one declared constant are filled with the network's response to it.

A tile is filled only if the receptive field of everything it would compute or hold lies inside the image, away from any
padding, in a region that the source declares flat. This is decided by interval arithmetic, never by comparing values.
Padding counts as flat, too, where it cannot be told from the flat map around it: zeros on a map whose response to the
constant is exactly zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Rule, Span
from napari_gigaclf.streaming.network.operations import ConstantPadding, Convolution, Extent, MirrorPadding
from napari_gigaclf.streaming.network.patches import PatchOperation
from napari_gigaclf.streaming.network.pooling import AveragePooling, MaxPooling
from napari_gigaclf.streaming.planning.plan import StreamPlan, is_empty
from napari_gigaclf.streaming.planning.schedule import AxisSchedule, axis_rules, borderless, looks_back
from napari_gigaclf.streaming.running.joining import shape_of
from napari_gigaclf.streaming.running.source import Image
from napari_gigaclf.streaming.running.tiles import TileResult


@runtime_checkable
class Phased(Protocol):
    """An operation whose response to a constant map repeats itself with a period, as a rule."""

    def pattern(self, response: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """Return one period, (1, C, *space), of the response to a constant map, (1, C, 1, ...)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTiles:
    """Which tiles may be filled, and with what."""

    graph: Graph
    plan: StreamPlan
    responses: Sequence[Tensor]
    """Every map's response to the constant, (1, C, 1, ...)."""
    views: tuple[tuple[tuple[int, int] | None, ...], ...]
    """Per axis and tile: the pixels that everything in the tile depends on; None where padding is among them."""

    def is_flat(self, image: Image, tile: Sequence[int]) -> bool:
        """Return whether a tile depends on nothing but flat pixels."""
        extent = []
        for axis_views, t in zip(self.views, tile, strict=True):
            view = axis_views[t]
            if view is None:
                return False
            extent.append(view)
        return image.is_flat(tuple(extent))

    def fill(self, tile: Sequence[int]) -> TileResult:
        """Return what the tile gives: expanded constants, which take no memory."""
        plan, result = self.plan, TileResult(targets={}, pieces={}, joints={})
        for node in plan.stage.active:
            made = plan.made(node, tile)
            if node in plan.stage.targets and not is_empty(made):
                result.targets[node] = self.constant(node, made)
            for axis in range(len(tile)):
                extent = plan.carried(node, axis, tile)
                if tile[axis] + 1 < plan.grid[axis] and not is_empty(extent):
                    result.pieces[node, axis] = self.constant(node, extent)
        return result

    def constant(self, node: int, extent: Extent) -> Tensor:
        """Return a map's response over an extent."""
        response = self.responses[node]
        return response.expand(*response.shape[:2], *shape_of(extent))


def flat_tiles(
    graph: Graph, plan: StreamPlan, responses: Sequence[Tensor], tensors: Sequence[Tensor]
) -> FlatTiles | None:
    """Work out which tiles could be filled, from the responses to the flat value; None where they are not flat."""
    num_axes = len(plan.schedules)
    for node in graph.nodes:
        if isinstance(node.operation, Phased):
            pattern = node.operation.pattern(responses[node.inputs[0]], tensors)
            first = pattern.flatten(2)[:, :, :1]
            if not bool((pattern.flatten(2) == first).all()):
                return None  # a constant image gives a periodic map, which one number per channel cannot fill
    seamless = frozenset(
        index
        for index, node in enumerate(graph.nodes)
        if index and _seamless(node.operation, [responses[i] for i in node.inputs])
    )
    views = []
    for axis, schedule in enumerate(plan.schedules):
        rules = axis_rules(graph, axis, num_axes)
        safe = borderless(graph, rules, schedule.sizes, seamless)
        views.append(_axis_views(graph, rules, schedule, safe))
    return FlatTiles(graph=graph, plan=plan, responses=responses, views=tuple(views))


def _seamless(operation: object, inputs: Sequence[Tensor]) -> bool:
    """Return whether an operation's padding equals the flat map it surrounds."""
    if isinstance(operation, MirrorPadding):
        return True
    if isinstance(operation, Convolution | PatchOperation):
        return bool((inputs[0] == 0).all())
    if isinstance(operation, ConstantPadding):
        return bool((inputs[0] == operation.value).all())
    if isinstance(operation, MaxPooling):
        return True  # minus infinity never wins over a value
    if isinstance(operation, AveragePooling):
        return bool((inputs[0] == 0).all()) or (not operation.count_include_pad and operation.divisor is None)
    return True


def _axis_views(
    graph: Graph, rules: Sequence[Rule], schedule: AxisSchedule, safe: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int] | None, ...]:
    """Return per tile the pixels on which all its maps depend along one axis; None where padding is among them."""
    spans = [Span.of(*held) for held in schedule.held]
    clean = np.ones(schedule.num_tiles, dtype=np.bool_)
    for span, (first, end) in zip(spans, safe, strict=True):
        clean &= ~span.filled | ((first <= span.start) & (span.stop <= end))
    spans = [span.only(span.filled) for span in spans]
    views = looks_back(graph, rules, schedule.sizes, spans).tolist()
    return tuple(view if is_clean else None for view, is_clean in zip(views, clean, strict=True))
