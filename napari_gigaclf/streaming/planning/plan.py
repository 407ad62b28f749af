"""What a run will do and cost, decided before it starts: tiles, carried borders, arithmetic, reads and bytes.

A plan is a pure function of the network, the image's shape and the memory budget; running it decides nothing more.
Arithmetic and reads are exact (tests count them); ``peak_bytes`` is an upper estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm, prod, sqrt

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.graph import Graph
from napari_gigaclf.streaming.network.intervals import Ratio, Rule
from napari_gigaclf.streaming.network.operations import Extent, macs_of
from napari_gigaclf.streaming.network.patches import PatchOperation
from napari_gigaclf.streaming.planning.arithmetic import tiled_macs, untiled_macs
from napari_gigaclf.streaming.planning.cuts import choose_cuts
from napari_gigaclf.streaming.planning.fitting import Sized, best_within
from napari_gigaclf.streaming.planning.memory import TileMemory
from napari_gigaclf.streaming.planning.schedule import AxisSchedule, axis_rules, map_sizes, reaches, schedule_axis
from napari_gigaclf.streaming.planning.stages import Stage, few, kept_peak, stages_of, storing_options
from napari_gigaclf.streaming.planning.table import rows

DEFAULT_MEMORY_BYTES = 2 * 1024**3
"""Budget where the caller names none."""

MACS_PER_TILE = {"cpu": 10e9, "cuda": 2e12}
"""Arithmetic of one tile where the plan chooses it: about 0.3 s on two cores, so that cancelling is quick."""

LEAST_STRAIN, MOST_STRAIN = 0.1, 8.0
"""Shares of that arithmetic between which tiles are tried: below, Python's work counts; above, a tile is long."""

LITTLE_MORE, LITTLE_BYTES = 2.0, 100_000_000
"""A plan that holds so much more than the leanest one, or so little in all, is as good."""

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
    graph_bytes: int
    """Upper estimate of what autograd holds of one tile until it has gone back."""
    kept_graphs: int = 0
    """Tiles, the last ones, whose graphs the forward pass keeps, so that the backward pass need not run them again."""
    rerun_macs: int = 0
    """Multiply-accumulates of the backward pass's second forward run, if every tile has a gradient."""
    spilled_tiles: int = 0
    """Tiles, the first ones, whose received borders wait on disk for the backward pass."""
    spill_bytes: int = 0
    """Bytes of these borders."""
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
    def step_macs(self) -> int:
        """Multiply-accumulates of forward and backward: a backward pass is counted as two forward ones."""
        return 3 * self.macs + self.rerun_macs if self.backward else self.macs

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

    def __str__(self) -> str:
        """Return the plan as a table."""
        return "\n".join(f"{name:<16} {value}" for name, value in rows(self))


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

    def plan_for(tile: tuple[int, ...], stored: frozenset[int]) -> Sized:
        weights = weight_bytes if backward else 0
        sized = _plan_tile(graph, rules, image_shape, responses, tile, backward, weights, stored)
        if len(sized) == 1 and not graph.found:
            return sized[0]
        plans = [item.plan for item in sized]
        return Sized(plan=_together(graph, plans, vector_macs, vector_shapes, {index: kept[index] for index in stored}))

    kept = _map_bytes(graph, rules, image_shape, responses)
    allowed = DEFAULT_MEMORY_BYTES if budget.memory_bytes is None else budget.memory_bytes
    options = [stored for stored in storing_options(graph) if sum(kept[index] for index in stored) <= allowed * 0.8]
    if budget.tile is not None:
        found = plan_for(budget.tile * (len(space) if len(budget.tile) == 1 else 1), options[0])
        if budget.memory_bytes is None:
            return found.plan
        return found.within(max(allowed, found.least_bytes)) or found.plan  # the tile was asked for: it stays
    tiles = _candidates(graph, rules, space, MACS_PER_TILE.get(budget.device, MACS_PER_TILE["cpu"]))
    least_strain, most_strain = (0.0, 1.0) if budget.memory_bytes is not None else (LEAST_STRAIN, MOST_STRAIN)
    tiles = [tile for tile in tiles if tile.strain <= most_strain] or tiles[-1:]
    tiles = [tile for tile in tiles if tile.strain >= least_strain] or tiles[:1]
    candidates: list[Sized] = []
    for stored in few(options):
        found_here = [plan_for(tile.sides, stored) for tile in tiles]
        candidates += found_here
        fitting = [(item.plan, tile.strain) for item, tile in zip(found_here, tiles, strict=True)
                   if item.plan.peak_bytes <= allowed]  # fmt: skip
        if fitting and (budget.memory_bytes is None or fitting[0][0].stages):
            return leanest(fitting)
    if budget.memory_bytes is None:
        return min(candidates, key=lambda item: item.plan.peak_bytes).plan  # a default is advice, not a limit
    best = best_within(candidates, allowed)
    if best is not None:
        return best
    least = min(candidates, key=lambda item: item.least_bytes)
    raise UnsupportedOperation(
        f"memory={allowed} bytes is too small for an image of {' x '.join(map(str, space))}: the best tile, "
        f"{' x '.join(map(str, least.plan.tile))} px, needs about {least.least_bytes} bytes; allow more, or another"
    )


def whole_cell(steps: Sequence[Ratio]) -> int:
    """Return the least number of pixels that is a whole number of positions in every map, so that tiles are alike.

    Where odd factors would make it large, the output's positions have to do.
    """
    cell = lcm(*(Fraction(step).numerator for step in steps))
    return cell if cell <= TILE_SIDES[-1] else Fraction(steps[-1]).numerator


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tile to try."""

    sides: tuple[int, ...]
    strain: float
    """Its arithmetic over what is wanted at most; up to 1 where it is within."""


def _candidates(graph: Graph, rules: Sequence[Sequence[Rule]], space: Sequence[int], macs: float) -> list[Candidate]:
    """Return all tiles there are to try, largest first."""
    steps = [[reach.step for reach in reaches(graph, axis)] for axis in rules]
    cell = [whole_cell(axis) for axis in steps]
    per_pixel = sum(
        macs_of(node.operation) / float(prod(axis[index] for axis in steps)) for index, node in enumerate(graph.nodes)
    )
    sides = {
        tuple(min(-(-side // c) * c, -(-n // c) * c) for c, n in zip(cell, space, strict=True)) for side in TILE_SIDES
    }
    return [Candidate(tile, prod(tile) * per_pixel / macs) for tile in sorted(sides, key=prod, reverse=True)]


def leanest(plans: Sequence[tuple[StreamPlan, float]]) -> StreamPlan:
    """Return the plan to take where time and memory both count, of plans with the largest tile first and their strain.

    Large tiles hold much at work, small ones many borders: of those that hold little more than the leanest, the largest
    is taken. A tile with more arithmetic than wanted has to save memory for it, as the root of the excess.
    """
    held = [plan.peak_bytes * sqrt(max(1.0, strain)) for plan, strain in plans]
    enough = max(LITTLE_BYTES, LITTLE_MORE * min(held))
    return next(plan for (plan, _), amount in zip(plans, held, strict=True) if amount <= enough)


def _plan_tile(
    graph: Graph, rules: Sequence[Sequence[Rule]], image_shape: Sequence[int], responses: Sequence[Tensor],
    tile: tuple[int, ...], backward: bool, weight_bytes: int, stored: frozenset[int],
) -> list[Sized]:  # fmt: skip
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
) -> Sized:  # fmt: skip
    """Return the plan of one stage."""
    batch, space, position_bytes = image_shape[0], image_shape[2:], _position_bytes(image_shape, responses)
    channels = tuple(response.shape[1] for response in responses)
    schedules = tuple(
        schedule_axis(graph, axis, stage, cuts, n, side) for axis, n, side in zip(rules, space, tile, strict=True)
    )
    memory = TileMemory(
        graph=graph, schedules=schedules, position_bytes=position_bytes,
        item_bytes=[response.element_size() for response in responses],
    )  # fmt: skip
    carry_bytes = memory.all_carries() if backward else memory.strip_carries()
    graph_bytes = memory.graph_bytes() if backward else 0
    at_work = memory.strip_carries() + memory.working() + 2 * weight_bytes if backward else memory.forward_peak()
    macs = batch * tiled_macs(graph, stage.computed, schedules)
    plan = StreamPlan(
        image_shape=tuple(image_shape),
        output_shapes=tuple((batch, channels[i], *(s.sizes[i] for s in schedules)) for i in graph.outputs),
        tile=tile,
        grid=tuple(s.num_tiles for s in schedules),
        backward=backward,
        macs=macs,
        untiled_macs=batch * untiled_macs(graph, schedules),
        carried_maps=frozenset(
            i for i in range(len(graph.nodes)) if any(b > a for s in schedules for a, b in s.kept[i])
        ),
        carry_bytes=carry_bytes,
        peak_bytes=carry_bytes + at_work + graph_bytes,
        graph_bytes=graph_bytes,
        rerun_macs=macs if backward else 0,
        channels=channels,
        schedules=schedules,
        cuts=cuts,
        stage=stage,
    )
    return Sized(plan=plan, memory=memory, at_work_bytes=at_work)


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
    carries = sum(plan.carry_bytes for plan in plans) if backward else max(plan.carry_bytes for plan in plans)
    working = max(plan.peak_bytes - plan.carry_bytes for plan in plans)
    return replace(
        last,
        output_shapes=(*last.output_shapes, *vector_shapes),
        macs=sum(plan.macs for plan in plans) + vector_macs,
        rerun_macs=sum(plan.rerun_macs for plan in plans),
        untiled_macs=last.image_shape[0] * untiled + vector_macs,
        carried_maps=frozenset().union(*(plan.carried_maps for plan in plans)),
        carry_bytes=carries,
        stored_bytes=sum(stored.values()),
        peak_bytes=carries + working + kept_peak(graph, stored, backward=backward),
        stages=tuple(plans),
    )
