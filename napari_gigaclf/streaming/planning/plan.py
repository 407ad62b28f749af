"""What a run will do and cost, decided before it starts: tiles, carried borders, arithmetic, reads and bytes.

A plan is a pure function of the network, the image's shape and the memory budget; running it decides nothing more.
Arithmetic and reads are exact (tests count them); ``peak_bytes`` is an upper estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.planning.schedule import AxisSchedule
from napari_gigaclf.streaming.planning.stages import Stage
from napari_gigaclf.streaming.planning.table import rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a run is divided."""

    tiles: tuple[tuple[int, ...], ...]
    """Side of a tile per axis, input pixels, of each stage; the last one serves all stages behind it, too."""
    rests: frozenset[int] = frozenset()
    """Maps at which the run rests: kept whole, and read by later stages."""

    def tile(self, stage: int) -> tuple[int, ...]:
        """Return the side of a stage's tile per axis."""
        return self.tiles[min(stage, len(self.tiles) - 1)]

    def inside(self, space: Sequence[int]) -> "Layout":
        """Return the layout with tiles no larger than an image of so many pixels per axis."""
        sides = (tuple(min(side, size) for side, size in zip(tile, space, strict=True)) for tile in self.tiles)
        return replace(self, tiles=tuple(sides))

    def halved(self, least: int) -> "Layout":
        """Return the layout with tiles of half the side, but not below ``least``; short sides stay."""
        sides = (tuple(min(side, max(least, -(-side // 2))) for side in tile) for tile in self.tiles)
        return replace(self, tiles=tuple(sides))

    def __str__(self) -> str:
        """Return the tiles as text."""
        return " and ".join(" x ".join(map(str, tile)) for tile in self.tiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """A run over one image shape. Prints as a table."""

    image_shape: tuple[int, ...]
    """(batch, channels, *space), pixels."""
    output_shapes: tuple[tuple[int, ...], ...]
    """(batch, channels, *space) of every map that is returned, cells."""
    layout: Layout = field(repr=False)
    """Where the run rests, and the tiles of all its stages."""
    tile: tuple[int, ...]
    """Side of a tile per axis, input pixels; of several stages, that of the first."""
    grid: tuple[int, ...]
    """Tiles per axis; of several stages, those of the first."""
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
    call_macs: int = 0
    """Multiply-accumulates that would take as long as what running one tile costs whatever its size."""
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
    """The passes one by one, where statistics over the whole image or rests ask for several; the totals are here."""
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
        """Tiles in all; of several stages, those of the first."""
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
    def effort(self) -> int:
        """What the run's time goes by: arithmetic, and what every run of a tile costs whatever its size."""
        if self.stages:
            return sum(plan.effort for plan in self.stages)
        runs = 4 * self.num_tiles - self.kept_graphs if self.backward else self.num_tiles
        return self.step_macs + runs * self.call_macs

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

    layout: Layout | None = None
    """Tiles, and where to rest; a tile of one number serves all axes; None: chosen."""
    memory_bytes: int | None = None
    """Bytes beyond parameters and output; None: a default."""
    device: str = "cpu"
    """Device type, for the default arithmetic per tile."""


def is_empty(extent: Extent) -> bool:
    """Return True if an extent holds no position."""
    return any(stop <= start for start, stop in extent)
