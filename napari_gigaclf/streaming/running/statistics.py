"""Statistics over space, gathered tile by tile; and their gradients, given back to the tiles.

Every position of an observed map is made by exactly one tile, so each counts once. Means and variances are merged from
those of the tiles in double precision by the formula of Chan, Golub and LeVeque (1979): the variance is of centred
values throughout, never a difference of large sums, so that maps far from zero lose no digits.

Arrays are (batch, channels); blocks are (batch, channels, *space).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.operations import Extent
from napari_gigaclf.streaming.network.statistics import Kind, Statistic, precise_type

TileIndex = tuple[int, ...]


class Gathered(Protocol):
    """A statistic, or several, under way."""

    def add(self, tile: TileIndex, extent: Extent, block: Tensor) -> None:
        """Take in the positions of a map that a tile makes."""
        ...

    def value(self, kind: Kind) -> Tensor:
        """Return the statistic, (batch, channels)."""
        ...

    def touches(self, tile: TileIndex, extent: Extent, gradients: Mapping[Kind, Tensor]) -> bool:
        """Return whether a tile's positions get a gradient."""
        ...

    def seed(self, tile: TileIndex, extent: Extent, block: Tensor, gradients: Mapping[Kind, Tensor]) -> Tensor:
        """Return the gradient of a tile's block from those of the statistics, (batch, channels) each."""
        ...


def widened(block: Tensor) -> Tensor:
    """Return a block of half precision in single precision."""
    return block.float() if block.dtype in (torch.float16, torch.bfloat16) else block


def over_space(values: Tensor, block: Tensor) -> Tensor:
    """Return (batch, channels) values shaped to be combined with a block, in its type."""
    return values.to(block.dtype).reshape(*values.shape, *(1,) * (block.ndim - 2))


@dataclass(slots=True, kw_only=True)
class Moments:
    """Mean, sum and variance."""

    varies: bool
    """Whether the variance is wanted."""
    count: int = 0
    mean: Tensor | None = None
    squares: Tensor | None = None
    """Sum of squared distances from the mean."""

    def add(self, tile: TileIndex, extent: Extent, block: Tensor) -> None:
        """Take in a block."""
        wide, precise = widened(telling_part(block)), precise_type(block.device)
        axes, count = tuple(range(2, block.ndim)), prod(block.shape[2:])
        mean = wide.mean(axes, dtype=precise)
        squares = wide.var(axes, correction=0).to(precise) * count if self.varies else torch.zeros_like(mean)
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total, apart = self.count + count, mean - self.mean
        self.squares = self.squares + squares + apart.square() * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def value(self, kind: Kind) -> Tensor:
        """Return mean, sum or variance."""
        assert self.mean is not None, "every map has positions"
        assert self.squares is not None, "every map has positions"
        if kind == "count":
            return torch.full_like(self.mean, self.count)
        return {"mean": self.mean, "sum": self.mean * self.count, "variance": self.squares / self.count}[kind]

    def touches(self, tile: TileIndex, extent: Extent, gradients: Mapping[Kind, Tensor]) -> bool:
        """Return whether there is any gradient: it reaches every position."""
        return any(bool(gradients[kind].any()) for kind in ("mean", "sum", "variance") if kind in gradients)

    def seed(self, tile: TileIndex, extent: Extent, block: Tensor, gradients: Mapping[Kind, Tensor]) -> Tensor:
        """Return d mean = 1/N, d sum = 1, d variance = 2 (x - mean) / N, times the gradients."""
        assert self.mean is not None, "every map has positions"
        wide = widened(block)
        same = torch.zeros_like(self.mean)
        if "mean" in gradients:
            same = same + gradients["mean"] / self.count
        if "sum" in gradients:
            same = same + gradients["sum"]
        if "variance" not in gradients:
            return over_space(same, wide).expand_as(block).to(block.dtype)
        slope = over_space(2 * gradients["variance"] / self.count, wide)
        return torch.addcmul(over_space(same, wide), wide - over_space(self.mean, wide), slope).to(block.dtype)


@dataclass(slots=True, kw_only=True)
class Highest:
    """The maximum, with the first place where it is found, as adaptive max-pooling has it."""

    sizes: tuple[int, ...]
    """Full size of the map."""
    best: Tensor | None = None
    place: Tensor | None = None
    """Flat index over the whole map."""

    def add(self, tile: TileIndex, extent: Extent, block: Tensor) -> None:
        """Take in a block."""
        block = telling_part(block)
        best, place = block.flatten(2).max(2)
        index = torch.zeros_like(place)
        for (start, _), size, own in zip(extent, self.sizes, _unravelled(place, block.shape[2:]), strict=True):
            index = index * size + own + start
        if self.best is None or self.place is None:
            self.best, self.place = best, index
            return
        better = (best > self.best) | ((best == self.best) & (index < self.place)) | best.isnan()
        self.best, self.place = torch.where(better, best, self.best), torch.where(better, index, self.place)

    def value(self, kind: Kind) -> Tensor:
        """Return the maximum."""
        assert self.best is not None, "every map has positions"
        return self.best

    def inside(self, extent: Extent) -> tuple[Tensor, Tensor]:
        """Return where the maximum lies in an extent, and at which flat index of the extent."""
        assert self.place is not None, "every map has positions"
        found, index = torch.ones_like(self.place, dtype=torch.bool), torch.zeros_like(self.place)
        for (start, stop), own in zip(extent, _unravelled(self.place, self.sizes), strict=True):
            found = found & (own >= start) & (own < stop)
            index = index * (stop - start) + (own - start).clamp(0, max(stop - start - 1, 0))
        return found, index

    def touches(self, tile: TileIndex, extent: Extent, gradients: Mapping[Kind, Tensor]) -> bool:
        """Return whether a maximum with a gradient lies in the tile."""
        return "max" in gradients and bool((self.inside(extent)[0] & (gradients["max"] != 0)).any())

    def seed(self, tile: TileIndex, extent: Extent, block: Tensor, gradients: Mapping[Kind, Tensor]) -> Tensor:
        """Return the gradient at the places of the maxima, and zeros."""
        found, index = self.inside(extent)
        given = (gradients["max"].to(block.dtype) * found).unsqueeze(2)
        flat = torch.zeros(*block.shape[:2], prod(block.shape[2:]), dtype=block.dtype, device=block.device)
        return flat.scatter_(2, index.unsqueeze(2), given).reshape(block.shape)


def telling_part(block: Tensor) -> Tensor:
    """Return one position of a block that is one constant all over (a flat tile's), and any other block as it is."""
    axes = range(2, block.ndim)
    if any(block.stride(axis) and block.shape[axis] > 1 for axis in axes):
        return block
    for axis in axes:
        block = block.narrow(axis, 0, 1)
    return block


def _unravelled(index: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Return the coordinates of flat indices, one tensor per axis."""
    found: list[Tensor] = []
    for size in reversed(sizes):
        found.insert(0, index % size)
        index = index // size
    return found


@dataclass(slots=True, kw_only=True)
class Ties:
    """The maximum, with the number of places where it is found, as ``torch.amax`` has it.

    Equality is looked for inside a block only, and counts are compared between tiles as they were in the forward pass:
    a value computed again may differ in its last digit.
    """

    best: Tensor | None = None
    of_tiles: dict[TileIndex, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Maximum and its number of places, of each tile that holds a maximum so far."""

    def add(self, tile: TileIndex, extent: Extent, block: Tensor) -> None:
        """Take in a block."""
        flat = block.flatten(2)
        best = flat.amax(2)
        places = (flat == best.unsqueeze(2)).sum(2)
        self.best = best if self.best is None else torch.maximum(self.best, best)
        if bool((best >= self.best).any()):
            self.of_tiles[tile] = best, places

    def value(self, kind: Kind) -> Tensor:
        """Return the maximum; forget the tiles that have none."""
        assert self.best is not None, "every map has positions"
        highest = self.best
        self.of_tiles = {tile: (best, n) for tile, (best, n) in self.of_tiles.items() if bool((best == highest).any())}
        return highest

    def hits(self, tile: TileIndex) -> Tensor | None:
        """Return in how many places of a tile the maximum was found; None for nowhere."""
        if tile not in self.of_tiles:
            return None
        best, places = self.of_tiles[tile]
        return places * (best == self.best)

    def touches(self, tile: TileIndex, extent: Extent, gradients: Mapping[Kind, Tensor]) -> bool:
        """Return whether a maximum with a gradient lies in the tile."""
        hits = self.hits(tile)
        return hits is not None and "amax" in gradients and bool(((hits != 0) & (gradients["amax"] != 0)).any())

    def seed(self, tile: TileIndex, extent: Extent, block: Tensor, gradients: Mapping[Kind, Tensor]) -> Tensor:
        """Return the gradient, divided among all places of the maximum."""
        hits = self.hits(tile)
        assert hits is not None, "only tiles that are touched are asked"
        total = sum((places * (best == self.best) for best, places in self.of_tiles.values()), torch.zeros_like(hits))
        flat = block.flatten(2)
        here = flat == flat.amax(2, keepdim=True)
        share = gradients["amax"] * hits / total / here.sum(2)
        return (here * share.to(block.dtype).unsqueeze(2)).reshape(block.shape)


@dataclass(slots=True)
class Observer:
    """All statistics of one map."""

    parts: Mapping[Kind, Gathered]
    dtype: torch.dtype = torch.float32
    """The map's."""

    @staticmethod
    def of(statistics: Sequence[Statistic], sizes: tuple[int, ...]) -> "Observer":
        """Return the observer for these statistics of a map of this size."""
        wanted = [statistic.kind for statistic in statistics]
        moments = Moments(varies="variance" in wanted)
        makers: dict[Kind, Gathered] = {
            "mean": moments, "sum": moments, "variance": moments, "count": moments,
            "max": Highest(sizes=sizes), "amax": Ties(),
        }  # fmt: skip
        return Observer({kind: makers[kind] for kind in wanted})

    @property
    def distinct(self) -> list[Gathered]:
        """What is gathered, each once."""
        return list({id(part): part for part in self.parts.values()}.values())

    def add(self, tile: TileIndex, extent: Extent, block: Tensor) -> None:
        """Take in the positions of the map that a tile makes."""
        self.dtype = block.dtype
        for part in self.distinct:
            part.add(tile, extent, block)

    def value(self, statistic: Statistic) -> Tensor:
        """Return a statistic, (batch, channels)."""
        value = self.parts[statistic.kind].value(statistic.kind)
        return value if statistic.precise else value.to(self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeder:
    """Turns the gradients of a map's statistics into gradients of its blocks."""

    observer: Observer
    gradients: Mapping[Kind, Tensor]
    """(batch, channels) each."""

    def touches(self, tile: TileIndex, extent: Extent) -> bool:
        """Return whether a tile's positions get a gradient."""
        if any(stop <= start for start, stop in extent):
            return False
        return any(part.touches(tile, extent, self.gradients) for part in self.observer.distinct)

    def seed(self, tile: TileIndex, extent: Extent, block: Tensor) -> Tensor:
        """Return the gradient of a tile's block."""
        parts = [part for part in self.observer.distinct if part.touches(tile, extent, self.gradients)]
        seeds = [part.seed(tile, extent, block, self.gradients) for part in parts]
        return torch.stack(seeds).sum(0) if len(seeds) > 1 else seeds[0]
