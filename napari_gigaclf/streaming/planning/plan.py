"""What a run will do and cost, decided before it starts: tiles, carried borders, arithmetic, reads and bytes.

A plan is a pure function of the network, the image's shape and the memory budget; running it decides nothing more.
Arithmetic and reads are exact (tests count them); ``peak_bytes`` is an upper estimate.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm, prod

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Ratio, Rule
from napari_gigaclf.streaming.network.operations import Extent, macs_of
from napari_gigaclf.streaming.network.patches import PatchOperation
from napari_gigaclf.streaming.planning.arithmetic import tiled_macs, untiled_macs
from napari_gigaclf.streaming.planning.cuts import choose_cuts
from napari_gigaclf.streaming.planning.schedule import AxisSchedule, axis_rules, map_sizes, reaches, schedule_axis
from napari_gigaclf.streaming.planning.stages import Stage, few, kept_peak, stages_of, storing_options

DEFAULT_MEMORY_BYTES = 2 * 1024**3
"""Budget where the caller names none."""

MACS_PER_TILE = {"cpu": 10e9, "cuda": 2e12}
"""Arithmetic of one tile where the plan chooses it: about 0.3 s on two cores, so that cancelling is quick."""

TILE_SIDES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384)
"""Sides the plan chooses from, rounded up to whole output cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """A run over one image shape. Prints as a table."""

    image_shape: tuple[int, ...]
    """(batch, channels, *space), pixels."""
    output_shapes: tuple[tuple[int, ...], ...]
    """(batch, channels, *space) of every map that is returned, cells."""
    tile: tuple[int, ...]
    """Side of a tile per axis, input pixels."""
    grid: tuple[int, ...]
    """Tiles per axis."""
    backward: bool
    """Whether borders are stored for a backward pass."""
    macs: int
    """Multiply-accumulates of the forward pass, counted as full windows."""
    untiled_macs: int
    """The same for the untiled network; the difference is computed again at tile borders."""
    carried_maps: frozenset[int] = field(repr=False)
    """Maps whose borders are carried from tile to tile."""
    carry_bytes: int
    """Carried borders held at the same time: those of one strip of tiles, or of all tiles for a backward pass."""
    peak_bytes: int
    """Upper estimate of what the engine holds beyond parameters and the output."""
    channels: tuple[int, ...] = field(repr=False)
    """Channels of every map."""
    schedules: tuple[AxisSchedule, ...] = field(repr=False, compare=False)
    """Who computes what, per axis."""
    cuts: frozenset[int] = field(repr=False)
    """Maps that are computed exactly once."""
    stage: Stage = field(repr=False)
    """What the pass starts from and delivers."""
    stages: tuple["StreamPlan", ...] = field(default=(), repr=False)
    """The passes one by one, where statistics over the whole image ask for several; the totals are here."""
    stored_bytes: int = 0
    """Maps kept in memory from one pass to the next."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, channels, *space) of the one map that is returned, cells.

        Raises
        ------
        ValueError
            If the module returns several maps.
        """
        if len(self.output_shapes) != 1:
            raise ValueError(f"the module returns {len(self.output_shapes)} maps; see output_shapes")
        return self.output_shapes[0]

    @property
    def num_tiles(self) -> int:
        """Tiles in all; also the reads of one pass."""
        return prod(self.grid)

    @property
    def num_carried(self) -> int:
        """How many maps' borders are carried from tile to tile."""
        return len(self.carried_maps)

    @property
    def reads(self) -> int:
        """Regions read from the source, forward (and again as many backward)."""
        return sum(plan.num_tiles for plan in self.stages or (self,) if plan.stage.reads_image)

    @property
    def recomputed_macs(self) -> int:
        """Multiply-accumulates done again at the borders of tiles."""
        return self.macs - self.untiled_macs

    def made(self, node: int, tile: Sequence[int]) -> Extent:
        """Return which part of a map a tile computes."""
        return tuple(s.made[node][t] for s, t in zip(self.schedules, tile, strict=True))

    def read(self, node: int, tile: Sequence[int]) -> Extent:
        """Return which part of its inputs a map's block is computed from."""
        return tuple(s.read[node][t] for s, t in zip(self.schedules, tile, strict=True))

    def held(self, node: int, tile: Sequence[int]) -> Extent:
        """Return which part of a map is at hand during a tile."""
        return tuple(s.held[node][t] for s, t in zip(self.schedules, tile, strict=True))

    def sizes(self, node: int) -> tuple[int, ...]:
        """Return a map's full size per axis."""
        return tuple(s.sizes[node] for s in self.schedules)

    def carried(self, node: int, axis: int, tile: Sequence[int]) -> Extent:
        """Return which part of a map a tile hands on along one axis.

        Axes before ``axis`` span what is held, those behind it what was made: each piece has one giver and one taker.
        """
        spans = []
        for other, (schedule, t) in enumerate(zip(self.schedules, tile, strict=True)):
            table = schedule.held if other < axis else schedule.kept if other == axis else schedule.made
            spans.append(table[node][t])
        return tuple(spans)

    def is_carried(self, node: int) -> bool:
        """Return whether a border of this map is handed from tile to tile."""
        return node in self.carried_maps

    def with_schedules(self, stage: Stage, schedules: tuple[AxisSchedule, ...]) -> "StreamPlan":
        """Return the plan of another stage and its schedules (a single region instead of all tiles)."""
        return replace(self, stage=stage, schedules=schedules, grid=(1,) * len(schedules), carried_maps=frozenset())

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of the printed table."""
        yield "image", " x ".join(map(str, self.image_shape))
        for shape in self.output_shapes:
            yield "output", " x ".join(map(str, shape))
        yield "tile", " x ".join(map(str, self.tile)) + " px"
        yield "tiles", f"{self.num_tiles} ({' x '.join(map(str, self.grid))})"
        yield "arithmetic", f"{self.macs / 1e9:.2f} GMAC (untiled {self.untiled_macs / 1e9:.2f})"
        yield "carried maps", str(self.num_carried)
        yield "carried borders", f"{self.carry_bytes / 1e6:.1f} MB{' for the backward pass' if self.backward else ''}"
        if self.stages:
            again = sum(plan.stage.reads_image for plan in self.stages)
            yield "passes", f"{len(self.stages)}, {again} of them from the image; {self.stored_bytes / 1e6:.1f} MB kept"
            for number, plan in enumerate(self.stages, start=1):
                yield f"  pass {number}", plan.stage_line()
        yield "peak memory", f"<= {self.peak_bytes / 1e6:.0f} MB beyond parameters and output"

    def stage_line(self) -> str:
        """Return what one of several passes does, in a line."""
        stage = self.stage
        starts = [*(["the image"] if stage.reads_image else []), *([f"{len(stage.given)} maps"] if stage.given else [])]
        kinds = ((stage.observed, "observed"), (stage.written, "whole"))
        gives = [f"{len(items)} {name}" for items, name in kinds if items]
        return f"{self.macs / 1e9:.2f} GMAC from {' and '.join(starts)}, gives {' and '.join(gives)}"

    def __str__(self) -> str:
        """Return the plan as a table."""
        return "\n".join(f"{name:<16} {value}" for name, value in self.rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the caller allows."""

    tile: tuple[int, ...] | None = None
    """Side of a tile per axis, input pixels; one number serves all axes; None: chosen."""
    memory_bytes: int | None = None
    """Bytes beyond parameters and output; None: a default."""
    device: str = "cpu"
    """Device type, for the default arithmetic per tile."""


def is_empty(extent: Extent) -> bool:
    """Return True if an extent holds no position."""
    return any(stop <= start for start, stop in extent)


def plan_run(
    graph: Graph,
    image_shape: Sequence[int],
    responses: Sequence[Tensor],
    budget: Budget,
    *,
    backward: bool,
    weight_bytes: int,
    vector_macs: int = 0,
    vector_shapes: tuple[tuple[int, ...], ...] = (),
) -> StreamPlan:
    """Choose the tile and return the plan.

    Parameters
    ----------
    graph
        The network.
    image_shape
        (batch, channels, *space), pixels.
    responses
        One small tensor per map, which tells its channels and dtype.
    budget
        Tile or memory.
    backward
        Whether a backward pass will follow.
    weight_bytes
        Bytes of the parameters that get a gradient.
    vector_macs
        Multiply-accumulates of what is computed from statistics.
    vector_shapes
        Of the tensors without space that are returned.

    Raises
    ------
    UnsupportedOperation
        If no tile fits the memory budget; the text says what would be needed.
    ImageTooSmallError
        If the image is smaller than the network can take.
    """
    space = tuple(image_shape[2:])
    rules = [axis_rules(graph, axis, len(space)) for axis in range(len(space))]

    def plan_for(tile: tuple[int, ...], stored: frozenset[int]) -> StreamPlan:
        weights = weight_bytes if backward else 0
        plans = _plan_tile(graph, rules, image_shape, responses, tile, backward, weights, stored)
        return _together(graph, plans, vector_macs, vector_shapes, {index: kept[index] for index in stored})

    kept = _map_bytes(graph, rules, image_shape, responses)
    allowed = DEFAULT_MEMORY_BYTES if budget.memory_bytes is None else budget.memory_bytes
    options = [stored for stored in storing_options(graph) if sum(kept[index] for index in stored) <= allowed * 0.8]
    if budget.tile is not None:
        return plan_for(budget.tile * (len(space) if len(budget.tile) == 1 else 1), options[0])
    smallest: StreamPlan | None = None
    tiles = _candidates(graph, rules, space, MACS_PER_TILE.get(budget.device, MACS_PER_TILE["cpu"]))
    for tile, stored in ((tile, stored) for stored in few(options) for tile in tiles):
        plan = plan_for(tile, stored)
        if plan.peak_bytes <= allowed:
            return plan
        smallest = plan if smallest is None or plan.peak_bytes < smallest.peak_bytes else smallest
    assert smallest is not None, "there is always a candidate"
    if budget.memory_bytes is None:
        return smallest  # a default is advice, not a limit
    raise UnsupportedOperation(
        f"memory={allowed} bytes is too small for an image of {' x '.join(map(str, space))}: the best tile, "
        f"{' x '.join(map(str, smallest.tile))} px, needs about {smallest.peak_bytes} bytes; allow more, or give a tile"
    )


def whole_cell(steps: Sequence[Ratio]) -> int:
    """Return the least number of pixels that is a whole number of positions in every map, so that tiles are alike.

    Where odd factors would make it large, the output's positions have to do.
    """
    cell = lcm(*(Fraction(step).numerator for step in steps))
    return cell if cell <= TILE_SIDES[-1] else Fraction(steps[-1]).numerator


def _candidates(
    graph: Graph, rules: Sequence[Sequence[Rule]], space: Sequence[int], macs: float
) -> list[tuple[int, ...]]:
    """Return tiles to try, largest first, none above the arithmetic allowed (but at least one)."""
    steps = [[reach.step for reach in reaches(graph, axis)] for axis in rules]
    cell = [whole_cell(axis) for axis in steps]
    per_pixel = sum(
        macs_of(node.operation) / float(prod(axis[index] for axis in steps)) for index, node in enumerate(graph.nodes)
    )
    tiles = [
        tuple(min(-(-side // c) * c, -(-n // c) * c) for c, n in zip(cell, space, strict=True)) for side in TILE_SIDES
    ]
    tiles = sorted(set(tiles), key=prod, reverse=True)
    return [tile for tile in tiles if prod(tile) * per_pixel <= macs] or tiles[-1:]


def _plan_tile(
    graph: Graph, rules: Sequence[Sequence[Rule]], image_shape: Sequence[int], responses: Sequence[Tensor],
    tile: tuple[int, ...], backward: bool, weight_bytes: int, stored: frozenset[int],
) -> list[StreamPlan]:  # fmt: skip
    """Return the plans of all stages for one tile size."""
    space, position_bytes = image_shape[2:], _position_bytes(image_shape, responses)
    steps = [[reach.step for reach in reaches(graph, axis)] for axis in rules]
    sides = [min(side, n) for side, n in zip(tile, space, strict=True)]
    stages = stages_of(graph, stored)
    opaque = frozenset(i for i, node in enumerate(graph.nodes) if isinstance(node.operation, PatchOperation))
    targets = opaque.union(*(stage.targets for stage in stages))
    cuts = choose_cuts(graph, rules, targets, sides, steps, position_bytes)
    return [
        _plan_stage(graph, rules, stage, cuts, image_shape, responses, tile, backward, weight_bytes) for stage in stages
    ]


def _plan_stage(
    graph: Graph, rules: Sequence[Sequence[Rule]], stage: Stage, cuts: frozenset[int], image_shape: Sequence[int],
    responses: Sequence[Tensor], tile: tuple[int, ...], backward: bool, weight_bytes: int,
) -> StreamPlan:  # fmt: skip
    """Return the plan of one stage."""
    batch, space, position_bytes = image_shape[0], image_shape[2:], _position_bytes(image_shape, responses)
    channels = tuple(response.shape[1] for response in responses)
    schedules = tuple(
        schedule_axis(graph, axis, stage, cuts, n, side) for axis, n, side in zip(rules, space, tile, strict=True)
    )
    memory = _Memory(graph=graph, schedules=schedules, position_bytes=position_bytes, cuts=cuts)
    carry_bytes = memory.all_carries() if backward else memory.strip_carries()
    held = memory.step_peak() + memory.strip_carries() + 2 * weight_bytes if backward else memory.forward_peak()
    return StreamPlan(
        image_shape=tuple(image_shape),
        output_shapes=tuple((batch, channels[i], *(s.sizes[i] for s in schedules)) for i in graph.outputs),
        tile=tile,
        grid=tuple(s.num_tiles for s in schedules),
        backward=backward,
        macs=batch * tiled_macs(graph, stage.computed, schedules),
        untiled_macs=batch * untiled_macs(graph, schedules),
        carried_maps=frozenset(
            i for i in range(len(graph.nodes)) if any(b > a for s in schedules for a, b in s.kept[i])
        ),
        carry_bytes=carry_bytes,
        peak_bytes=carry_bytes + held,
        channels=channels,
        schedules=schedules,
        cuts=cuts,
        stage=stage,
    )


def _position_bytes(image_shape: Sequence[int], responses: Sequence[Tensor]) -> list[int]:
    """Return the bytes of every map per position of space."""
    return [image_shape[0] * response.shape[1] * response.element_size() for response in responses]


def _map_bytes(
    graph: Graph, rules: Sequence[Sequence[Rule]], image_shape: Sequence[int], responses: Sequence[Tensor]
) -> list[int]:
    """Return the bytes of every map."""
    sizes = [map_sizes(graph, axis, size) for axis, size in zip(rules, image_shape[2:], strict=True)]
    per_position = _position_bytes(image_shape, responses)
    return [amount * prod(axis[index] for axis in sizes) for index, amount in enumerate(per_position)]


def _together(
    graph: Graph, plans: Sequence[StreamPlan], vector_macs: int, vector_shapes: tuple[tuple[int, ...], ...],
    stored: Mapping[int, int],
) -> StreamPlan:  # fmt: skip
    """Return the plan of all stages, whose numbers are totals.

    Parameters
    ----------
    graph
        The network.
    plans
        Of the stages, in order.
    vector_macs
        Multiply-accumulates of the computations between the stages, which are the same untiled.
    vector_shapes
        Of the tensors without space that are returned.
    stored
        Bytes of the maps that are kept from stage to stage.
    """
    last, backward = plans[-1], plans[-1].backward
    untiled = untiled_macs(graph, last.schedules)
    if len(plans) == 1 and not graph.found:
        return last
    carries = sum(plan.carry_bytes for plan in plans) if backward else max(plan.carry_bytes for plan in plans)
    working = max(plan.peak_bytes - plan.carry_bytes for plan in plans)
    return replace(
        last,
        output_shapes=(*last.output_shapes, *vector_shapes),
        macs=sum(plan.macs for plan in plans) + vector_macs,
        untiled_macs=last.image_shape[0] * untiled + vector_macs,
        carried_maps=frozenset().union(*(plan.carried_maps for plan in plans)),
        carry_bytes=carries,
        stored_bytes=sum(stored.values()),
        peak_bytes=carries + working + kept_peak(graph, stored, backward=backward),
        stages=tuple(plans),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """Bytes of a plan. The largest block of each map stands for all."""

    graph: Graph
    schedules: tuple[AxisSchedule, ...]
    position_bytes: Sequence[int]
    cuts: frozenset[int]

    def made(self, node: int) -> int:
        """Return the bytes of a map's largest computed block."""
        return self.position_bytes[node] * prod(s.longest(node)[0] for s in self.schedules)

    def joined(self, node: int) -> int:
        """Return the bytes of a map's largest joined block; 0 where nothing is carried."""
        if not any(b > a for s in self.schedules for a, b in s.kept[node]):
            return 0
        return self.position_bytes[node] * prod(s.longest(node)[1] for s in self.schedules)

    def strip_carries(self) -> int:
        """Return the bytes of the carried borders alive at once in a forward pass."""
        return sum(self.position_bytes[node] * self._strip(node) for node in range(len(self.graph.nodes)))

    def _strip(self, node: int) -> int:
        total = 0
        for axis, schedule in enumerate(self.schedules):
            kept = max(b - a for a, b in schedule.kept[node])
            before = prod(s.longest(node)[1] for s in self.schedules[:axis])
            total += kept * before * prod(s.sizes[node] for s in self.schedules[axis + 1 :])
        return total

    def all_carries(self) -> int:
        """Return the bytes of the carried borders of all tiles."""
        return sum(self.position_bytes[node] * self._all(node) for node in range(len(self.graph.nodes)))

    def _all(self, node: int) -> int:
        total = 0
        for axis, schedule in enumerate(self.schedules):
            kept = sum(b - a for a, b in schedule.kept[node])
            before = prod(sum(b - a for a, b in s.held[node]) for s in self.schedules[:axis])
            total += kept * before * prod(s.made_total(node) for s in self.schedules[axis + 1 :])
        return total

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

    def step_peak(self) -> int:
        """Return the bytes of blocks alive at once while a tile is run again and back."""
        blocks = [self.made(i) + self.joined(i) for i in range(len(self.graph.nodes))]
        working = max(
            2 * self.made(i) + 2 * sum(max(self.made(j), self.joined(j)) for j in node.inputs)
            for i, node in enumerate(self.graph.nodes)
        )
        return sum(blocks) + working
