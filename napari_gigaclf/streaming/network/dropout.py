"""Dropout whose mask depends on where a value lies, and on nothing else.

A tile is run again in the backward pass, and values at its border may be computed in several tiles: a mask drawn from a
generator would differ each time. Here whether a value is kept is a function of (seed, operation, sample, channel,
absolute position), a counter-based generator: the counter is the value's index in the whole map, and it is mixed by
splitmix64 (Steele, Lea and Flood, OOPSLA 2014), which passes BigCrush. The seed is drawn once per forward call from
PyTorch's default generator, so that ``torch.manual_seed`` reproduces it.

Integers of 64 bits wrap around, as PyTorch's do on every device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.arrangements import Arrangement
from napari_gigaclf.streaming.network.operations import Blocks, Extent, NodeRef, Place, PlaceByPlace, TensorRef

SEED = "seed of dropout, drawn once per forward call"
"""Name under which the seed stands among a run's weights; no parameter has such a name."""

PRECISION = 53
"""Bits of the fraction that is compared with the probability, those of a float64."""

MOST_COUNTERS = 1 << 18
"""Values whose mask is computed at once, give or take a row: 2 MB for each step of the mixing."""

Alike = Literal["value", "channel", "sample", "batch"]
"""What is kept or dropped together: nothing (each value by itself), a sample's channel, a sample, the whole batch."""


def signed(number: int) -> int:
    """Return a number of 64 bits as PyTorch's int64 has it."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number


GOLDEN, FIRST, SECOND = (signed(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def shifted(bits: Tensor, count: int) -> Tensor:
    """Return int64 shifted to the right with zeros from the left (PyTorch's own shift repeats the sign)."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def mixed(counters: Tensor) -> Tensor:
    """Return splitmix64's output for each counter, int64.

    Examples
    --------
    >>> [hex(int(value) & (1 << 64) - 1) for value in mixed(torch.tensor([1, 2]))]
    ['0xe220a8397b1dcdaf', '0x6e789e6aa1b965f4']
    """
    bits = counters * GOLDEN
    bits = (bits ^ shifted(bits, 30)) * FIRST
    bits = (bits ^ shifted(bits, 27)) * SECOND
    return bits ^ shifted(bits, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(PlaceByPlace):
    """Sets values to zero with probability p and divides the others by 1 - p."""

    source: NodeRef
    seed: TensorRef
    p: float
    alike: Alike
    number: int
    """Of the call in the module's code: every call has a mask of its own."""
    scaled: bool = True
    """Whether what is kept is divided by 1 - p."""
    num_axes: int | None = None
    """Spatial axes, where the call names them (``Dropout2d``)."""
    seen: Arrangement | None = None
    """How the code sees the map; the mask does not depend on it."""

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the block with its dropped values set to zero."""
        block = blocks[self.source.index]
        dropped = self.dropped(tensors[self.seed.index].to(block.device), block.shape[:2], place.wanted, place.sizes)
        scale = 1 / (1 - self.p) if self.scaled and self.p < 1 else 1.0
        return block.masked_fill(dropped, 0.0) * scale

    def dropped(self, seed: Tensor, leading: Sequence[int], wanted: Extent, sizes: Sequence[int]) -> Tensor:
        """Return the mask of what is dropped, (batch, channels, *block), of length 1 along axes which share it.

        Parameters
        ----------
        seed
            int64, one number.
        leading
            Samples and channels.
        wanted
            Where the block lies.
        sizes
            The map's full size per axis.
        """
        key = mixed(mixed(seed + self.number))
        threshold = round(self.p * (1 << PRECISION))
        shared = {"value": 0, "channel": len(sizes), "sample": len(sizes) + 1, "batch": len(sizes) + 2}[self.alike]
        spans = [*((0, count) for count in leading), *wanted]
        spans = spans[: len(spans) - shared] + [(0, 1)] * shared
        full = [*leading, *sizes]
        mask = torch.empty([stop - start for start, stop in spans], dtype=torch.bool, device=seed.device)
        channels = max(1, MOST_COUNTERS // mask[0, 0].numel())
        rows = max(1, MOST_COUNTERS // mask[0, 0, 0].numel())
        for sample, channel, row in product(
            range(mask.shape[0]), range(0, mask.shape[1], channels), range(0, mask.shape[2], rows)
        ):
            part = mask[sample : sample + 1, channel : channel + channels, row : row + rows]
            starts = (sample, channel, spans[2][0] + row, *(start for start, _ in spans[3:]))
            index = torch.zeros((), dtype=torch.int64, device=seed.device)
            for axis, (start, length, size) in enumerate(zip(starts, part.shape, full, strict=True)):
                places = torch.arange(start, start + length, device=seed.device)
                index = index * size + places.reshape([-1 if other == axis else 1 for other in range(mask.ndim)])
            part.copy_(shifted(mixed(index ^ key), 64 - PRECISION) < threshold)
        return mask
