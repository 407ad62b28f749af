"""Which tiles do the same work, only at other places: one compiled function serves them all.

Tiles away from the image's border read, hold and keep equally much of every map, and from one of them to the next every
position moves by as many steps. So what a tile does along an axis is told by numbers that do not move with it: lengths,
and distances between what is made, read, held and kept of a map and of its sources. Two tiles with the same numbers
cannot touch the border, since there an interval ends where the other one's goes on.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Rule
from napari_gigaclf.streaming.network.linear import ChannelLinear
from napari_gigaclf.streaming.network.operations import (
    ConstantPadding,
    Convolution,
    MirrorPadding,
    Operation,
    Pointwise,
)
from napari_gigaclf.streaming.network.parts import SpacePart
from napari_gigaclf.streaming.network.patches import PatchOperation
from napari_gigaclf.streaming.network.pooling import AveragePooling, MaxPooling
from napari_gigaclf.streaming.network.resampling import Interpolation
from napari_gigaclf.streaming.network.shuffling import PixelShuffle
from napari_gigaclf.streaming.network.transposed import TransposedConvolution
from napari_gigaclf.streaming.planning.plan import StreamPlan
from napari_gigaclf.streaming.planning.schedule import AxisSchedule, axis_rules

MOVES_ALONG = (
    Pointwise, ChannelLinear, Convolution, TransposedConvolution, MaxPooling, AveragePooling, ConstantPadding,
    MirrorPadding, PixelShuffle, PatchOperation, SpacePart,
)  # fmt: skip
"""Operations that do the same at every place away from the border. Dropout does not: its mask is the place's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeTiles:
    """The largest set of a plan's tiles that do the same work."""

    work: Hashable
    """What they do; where it is equal for plans of the same network, also for other images, it is the same."""
    members: tuple[frozenset[int], ...]
    """Per axis, the indices of their tiles."""

    def __contains__(self, tile: Sequence[int]) -> bool:
        """Return whether a tile is one of them."""
        return all(t in members for t, members in zip(tile, self.members, strict=True))


def alike_tiles(graph: Graph, plan: StreamPlan) -> AlikeTiles | None:
    """Return the tiles of a stage that do the same work; None where no two do."""
    num_axes, stage = len(plan.grid), plan.stage
    kinds = [_kind(graph.nodes[index].operation, plan.sizes(graph.nodes[index].inputs[0])) for index in stage.computed]
    work: list[Hashable] = [stage, *kinds]
    members: list[frozenset[int]] = []
    count = 1
    for axis, schedule in enumerate(plan.schedules):
        descriptions = list(_descriptions(graph, plan, schedule, axis_rules(graph, axis, num_axes)))
        chosen, times = Counter(descriptions).most_common(1)[0]
        members.append(frozenset(t for t, description in enumerate(descriptions) if description == chosen))
        work.append(chosen)
        if times == 1:  # it may touch the border, and the same work is done at the same place only
            (t,) = members[-1]
            work.append((schedule.sizes, tuple(schedule.made[index][t] for index in stage.active)))
        count *= times
    return AlikeTiles(work=tuple(work), members=tuple(members)) if count > 1 and None not in kinds else None


def _kind(operation: Operation, sizes: Sequence[int]) -> Hashable:
    """Return what else, besides distances, tells what an operation does; None where it depends on the place."""
    if isinstance(operation, Interpolation):
        factors = tuple(rule.factor(n) for rule, n in zip(operation.rules(len(sizes)), sizes, strict=True))
        return None if None in factors else factors
    return () if isinstance(operation, MOVES_ALONG) else None


def _descriptions(
    graph: Graph, plan: StreamPlan, schedule: AxisSchedule, rules: Sequence[Rule]
) -> Iterator[tuple[Hashable, ...]]:
    """Yield for each tile along an axis what it does, in numbers that do not move with it."""
    computed = frozenset(plan.stage.computed)
    for t in range(schedule.num_tiles):
        found: list[Hashable] = [t + 1 < schedule.num_tiles]  # whether another tile takes what is kept
        for index in plan.stage.active:
            made, held, kept = schedule.made[index][t], schedule.held[index][t], schedule.kept[index][t]
            found += [_seen_from(held[0], made), held[1] - held[0], _seen_from(held[0], kept)]
            if index in computed and made[1] > made[0]:
                read = schedule.read[index][t]
                found += [read[0] - made[0] * rules[index].step, read[1] - read[0]]
                found += [_seen_from(schedule.held[source][t][0], read) for source in graph.nodes[index].inputs]
        yield tuple(found)


def _seen_from(start: int, span: tuple[int, int]) -> tuple[int, int] | None:
    """Return an interval relative to a position; None for an empty one, which lies nowhere."""
    return None if span[1] <= span[0] else (span[0] - start, span[1] - start)
