"""Choosing a run's tiles, where it rests, and what it keeps, from what each choice would cost and hold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod, sqrt

import torch

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.intervals import Ratio
from napari_gigaclf.streaming.planning.building import Builder, Task
from napari_gigaclf.streaming.planning.fitting import Fitted, Sized
from napari_gigaclf.streaming.planning.plan import Budget, Layout, StreamPlan
from napari_gigaclf.streaming.planning.rests import resting_maps
from napari_gigaclf.streaming.planning.stages import few, storing_options

DEFAULT_MEMORY_BYTES = 2 * 1024**3
"""Budget where the caller names none."""

MACS_PER_TILE = {"cpu": 10e9, "cuda": 2e12}
"""Arithmetic of one tile where the plan chooses it: about 0.3 s on two cores, so that cancelling is quick.

Tiles behind a rest may have up to MOST_STRAIN as much: their size is what a rest is for."""

HALF_FASTER = 4
"""How many times more that may be in half precision, forward: it is so much faster that small tiles are mostly calls.

Not where a backward pass follows, whose graphs would take the memory that half precision is to save.
"""

LEAST_STRAIN, MOST_STRAIN = 0.1, 8.0
"""Shares of that arithmetic between which tiles are tried: below, Python's work counts; above, a tile is long."""

LITTLE_MORE, LITTLE_BYTES = 1.8, 100_000_000
"""A plan of its own choice holds at most so much more than the leanest one, or so little (see :func:`_frugal`)."""

THRIFT = 1 / 8
"""Exponent by which memory counts beside effort in a plan: twice the memory has to save a twelfth of the effort.

Without it a plan would take for a hundredth of the time whatever LITTLE_MORE allows.
"""

TILE_SIDES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 16384)
"""Sides the plan chooses from, rounded up to whole output cells."""


def plan_run(task: Task, budget: Budget) -> StreamPlan:
    """Choose tiles, rests and kept maps, and return the plan.

    Raises
    ------
    UnsupportedOperation
        If no tile fits the memory budget; the text says what would be needed.
    ImageTooSmallError
        If the image is smaller than the network can take.
    """
    builder = Builder(task)
    allowed = DEFAULT_MEMORY_BYTES if budget.memory_bytes is None else budget.memory_bytes
    options = [
        stored for stored in storing_options(task.graph)
        if sum(builder.map_bytes[index] for index in stored) <= allowed * 0.8
    ]  # fmt: skip
    if budget.layout is not None:
        return _as_asked(builder, budget.layout, options[0], budget.memory_bytes)
    tiles = tiles_to_try(builder, wanted_macs(task, budget.device))
    candidates: list[Candidate] = []
    for stored in few(options):
        here = list(_candidates(builder, tiles, stored, limited=budget.memory_bytes is not None))
        candidates += here
        fits = any(candidate.sized.peak_bytes() <= allowed for candidate in here)
        if fits and (budget.memory_bytes is None or task.graph.num_stages() > 1):
            break
    if budget.memory_bytes is None:
        return _frugal(builder, candidates, allowed)
    best = best_within(builder, candidates, allowed)
    if best is not None:
        return best
    least = min(candidates, key=lambda candidate: candidate.sized.least_bytes).sized
    raise UnsupportedOperation(
        f"memory={allowed} bytes is too small for an image of {' x '.join(map(str, task.space))}: the best tile, "
        f"{' x '.join(map(str, least.plans[0].tile))} px, needs about {least.least_bytes} bytes; allow more, or another"
    )


def wanted_macs(task: Task, device: str) -> float:
    """Return the arithmetic that a tile shall have."""
    macs = MACS_PER_TILE.get(device, MACS_PER_TILE["cpu"])
    half = any(response.dtype in (torch.float16, torch.bfloat16) for response in task.responses)
    return macs * HALF_FASTER if half and not task.backward else macs


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to divide a run."""

    sized: Sized
    strain: float
    """Arithmetic of a tile over what is wanted at most; up to 1 where it is within."""

    def held(self, peak_bytes: int) -> float:
        """Return the memory of the run as it counts beside that of others, bytes."""
        return peak_bytes * sqrt(max(1.0, self.strain))


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile to try."""

    sides: tuple[int, ...]
    strain: float
    """As a candidate's, if the whole network is run in it."""


def _as_asked(builder: Builder, layout: Layout, stored: frozenset[int], memory_bytes: int | None) -> StreamPlan:
    """Return the plan for a layout that was asked for; it stays, whatever memory it needs."""
    num_axes = len(builder.task.space)
    for sides in layout.tiles:
        if len(sides) not in (1, num_axes):
            raise ValueError(f"tile={sides} has {len(sides)} sides, and the image {num_axes} axes of space")
    tiles = tuple(sides * (num_axes if len(sides) == 1 else 1) for sides in layout.tiles)
    sized = builder.sized(Layout(tiles=tiles, rests=layout.rests), stored)
    if memory_bytes is not None:
        fitted = sized.within(max(memory_bytes, sized.least_bytes))
        if fitted is not None:
            return builder.joined(sized, fitted.plans, fitted.peak_bytes)
    return builder.joined(sized, sized.plans, sized.peak_bytes())


def _candidates(
    builder: Builder, tiles: Sequence[Tile], stored: frozenset[int], *, limited: bool
) -> Iterator[Candidate]:
    """Yield ways to divide the run, those with the largest tiles first; ``limited``: memory is a limit."""
    least, most = (0.0, 1.0) if limited else (LEAST_STRAIN, MOST_STRAIN)
    for tile in between(tiles, least, most):
        yield Candidate(builder.sized(Layout(tiles=(tile.sides,)), stored), tile.strain)
    if not builder.task.backward:
        return
    for rest, share in resting_maps(builder.task.graph, builder.macs_per_pixel, builder.map_bytes).items():
        for behind in between(tiles, LEAST_STRAIN / share, MOST_STRAIN / share):
            for before in between(tiles, LEAST_STRAIN / (1 - share), 1 / (1 - share)):
                if prod(before.sides) < prod(behind.sides):
                    layout = Layout(tiles=(before.sides, behind.sides), rests=frozenset({rest}))
                    yield Candidate(builder.sized(layout), 1.0)


def between(tiles: Sequence[Tile], least: float, most: float) -> list[Tile]:
    """Return the tiles of so much strain; at least one, the nearest."""
    fine = [tile for tile in tiles if tile.strain <= most] or list(tiles[-1:])
    return [tile for tile in fine if tile.strain >= least] or fine[:1]


def _frugal(builder: Builder, candidates: Sequence[Candidate], allowed: int) -> StreamPlan:
    """Return the plan to take where the caller names no memory: of those that hold little, the one that is worth most.

    What is little goes by the leanest candidate. A tile with more arithmetic than wanted has to save memory for it, as
    the root of the excess. What a plan holds counts beside its effort, by THRIFT; graphs are kept as far as they are
    worth their memory.
    """
    leanest = min(candidates, key=lambda candidate: candidate.held(candidate.sized.peak_bytes()))
    least = leanest.sized.peak_bytes()
    room = max(least, min(allowed, max(LITTLE_BYTES, int(LITTLE_MORE * least))))
    enough = max(LITTLE_BYTES, LITTLE_MORE * leanest.held(least))

    def price(candidate: Candidate, fitted: Fitted) -> float:
        memory = max(LITTLE_BYTES, candidate.held(fitted.peak_bytes))
        return builder.effort(fitted.plans) * float(memory**THRIFT)

    lean = [item for item in candidates if item.sized.peak_bytes() <= room]
    tried = [
        (candidate, fitted)
        for candidate in lean if candidate.held(candidate.sized.peak_bytes()) <= enough
        for fitted in candidate.sized.keeping_more(room)
    ]  # fmt: skip
    candidate, best = min(tried, key=lambda pair: price(*pair))
    return builder.joined(candidate.sized, best.plans, best.peak_bytes)


def best_within(builder: Builder, candidates: Iterable[Candidate], allowed: int) -> StreamPlan | None:
    """Return, of candidates with the largest tile first, the plan that fits and costs least; None where none fits.

    Spilling comes last: before a byte goes to disk, smaller tiles are taken. Then the effort counts, and of equal ones
    the largest tile.
    """
    fitted = ((candidate.sized, candidate.sized.within(allowed)) for candidate in candidates)
    fitting = [(sized, found) for sized, found in fitted if found is not None]
    if not fitting:
        return None
    sized, best = min(fitting, key=lambda pair: (pair[1].spill_bytes, builder.effort(pair[1].plans)))
    return builder.joined(sized, best.plans, best.peak_bytes)


def whole_cell(steps: Sequence[Ratio]) -> int:
    """Return the least number of pixels that is a whole number of positions in every map, so that tiles are alike.

    Where odd factors would make it large, the output's positions have to do.
    """
    cell = lcm(*(Fraction(step).numerator for step in steps))
    return cell if cell <= TILE_SIDES[-1] else Fraction(steps[-1]).numerator


def tiles_to_try(builder: Builder, macs: float) -> list[Tile]:
    """Return all tiles there are to try, largest first."""
    space, per_pixel = builder.task.space, sum(builder.macs_per_pixel)
    cell = [whole_cell(axis) for axis in builder.steps]
    sides = {
        tuple(min(-(-side // c) * c, -(-n // c) * c) for c, n in zip(cell, space, strict=True)) for side in TILE_SIDES
    }
    return [Tile(tile, prod(tile) * per_pixel / macs) for tile in sorted(sides, key=prod, reverse=True)]
