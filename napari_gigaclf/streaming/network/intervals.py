"""Which part of a picture an operation needs, and how far it can work ahead: exact integer arithmetic, one axis.

Everything the engine decides about space is decided here, per axis, in integers. An operation along one axis is a
*rule* with three questions:

- ``ready(in_end, num_in)``: how many outputs can be computed once the inputs ``0 .. in_end - 1`` are known;
- ``source(span, num_in)``: which inputs the outputs of a span read (inside the image; padding is no input);
- ``size(num_in)``: how many outputs there are in all.

The questions are asked for all tiles at once: a :class:`Span` holds one half-open interval per tile, as two integer
arrays. For the zero-padded window with kernel k, stride s, padding p and dilation d::

    ready(e)  = clamp((e - 1 + p - d (k - 1)) // s + 1, 0, size),  and size once e = num_in
    source(o) = [o s - p, o s - p + d (k - 1) + 1)

Source of the scheme: Pinckaers, van Ginneken, Litjens (TPAMI 2020, arXiv:1911.04432) for streaming as such; the carried
borders instead of overlapping tiles are this package's own. Known weakness: rules are per axis, so an operation whose
need is not a box (a hexagonal kernel, say) would be rounded up to its box.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

Ratio = int | Fraction
"""An exact number of positions: whole, but for what is finer than its input."""

FAR = 1 << 60
"""Larger than any position; marks the ends of an empty interval so that a hull ignores it."""


@dataclass(frozen=True, slots=True)
class Span:
    """One half-open interval of positions per tile; empty where ``stop <= start``."""

    start: Integers
    stop: Integers

    @staticmethod
    def of(*pairs: tuple[int, int]) -> "Span":
        """Build a span from (start, stop) pairs, one per tile."""
        table = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        return Span(table[:, 0], table[:, 1])

    @staticmethod
    def nothing(num_tiles: int) -> "Span":
        """Return empty intervals, neutral in a hull."""
        return Span(np.full(num_tiles, FAR), np.full(num_tiles, -FAR))

    @property
    def filled(self) -> NDArray[np.bool_]:
        """True for the tiles whose interval holds a position."""
        return self.stop > self.start

    @property
    def lengths(self) -> Integers:
        """Number of positions per tile."""
        lengths: Integers = np.maximum(self.stop - self.start, 0)
        return lengths

    def hull(self, other: "Span") -> "Span":
        """Return the smallest intervals which hold both; empty intervals of FAR ends are ignored."""
        return Span(np.minimum(self.start, other.start), np.maximum(self.stop, other.stop))

    def only(self, where: NDArray[np.bool_]) -> "Span":
        """Return the intervals where the condition holds, and neutral empty ones elsewhere."""
        return Span(np.where(where, self.start, FAR), np.where(where, self.stop, -FAR))

    def tolist(self) -> list[tuple[int, int]]:
        """Return (start, stop) pairs; empty intervals as (0, 0)."""
        filled = self.filled
        starts, stops = np.where(filled, self.start, 0), np.where(filled, self.stop, 0)
        return list(zip(starts.tolist(), stops.tolist(), strict=True))


class Rule(Protocol):
    """How one operation uses one axis of space."""

    @property
    def step(self) -> Ratio:
        """Input positions from one output to the next; a fraction where outputs are finer than inputs."""
        ...

    @property
    def lead(self) -> Ratio:
        """Positions by which windows start before ``output * step``, at most (for windows: padding)."""
        ...

    @property
    def reach(self) -> Ratio:
        """Positions such that ``[output * step - lead, output * step - lead + reach)`` holds every output's inputs."""
        ...

    def size(self, num_in: int) -> int:
        """Return the number of outputs; zero or less where the image is too small."""
        ...

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        ...

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs, inside the image, which the outputs of the span read: at least one where there are any."""
        ...

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs whose whole window lies in the inputs ``[start, stop)``; they may exceed the map."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A convolution, a pooling, or padding with a constant, along one axis.

    Examples
    --------
    >>> conv = Window(kernel=3, stride=2, before=1, after=1)
    >>> conv.size(9), conv.ready(np.array([4, 9]), 9).tolist()
    (5, [2, 5])
    >>> conv.source(Span.of((0, 2), (2, 5)), 9).tolist()
    [(0, 4), (3, 9)]
    """

    kernel: int = 1
    """Taps."""
    stride: int = 1
    """Input positions between outputs."""
    before: int = 0
    """Padding before the first input; negative crops."""
    after: int = 0
    """Padding after the last input; negative crops."""
    dilation: int = 1
    """Input positions between taps."""
    ceil_mode: bool = False
    """Whether a last window may hang over the padded end (poolings)."""

    @property
    def step(self) -> int:
        """Input positions from one output to the next."""
        return self.stride

    @property
    def lead(self) -> int:
        """Positions by which output 0's window starts before input 0."""
        return self.before

    @property
    def reach(self) -> int:
        """Input positions from a window's first to one past its last tap."""
        return self.dilation * (self.kernel - 1) + 1

    def size(self, num_in: int) -> int:
        """Return the number of outputs, by PyTorch's rule for convolutions and poolings."""
        room = num_in + self.before + self.after - self.reach
        count = (room + (self.stride - 1 if self.ceil_mode else 0)) // self.stride + 1
        if self.ceil_mode and (count - 1) * self.stride >= num_in + self.before:
            count -= 1  # a window may hang over the end, but must start inside the image or its left padding
        return count

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        size = self.size(num_in)
        count = np.clip((in_end - self.reach + self.before) // self.stride + 1, 0, size)
        return np.where(in_end >= num_in, size, np.where(in_end <= 0, 0, count))

    def unclipped(self, span: Span) -> Span:
        """Return the positions, padding included, which the outputs of the span read."""
        return Span(span.start * self.stride - self.before, (span.stop - 1) * self.stride - self.before + self.reach)

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs, inside the image, which the outputs of the span read: at least one where there are any."""
        wanted = self.unclipped(span)
        start = np.clip(wanted.start, 0, num_in - 1)
        stop = np.maximum(np.clip(wanted.stop, 0, num_in), start + 1)
        return Span(start, stop).only(span.filled)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs whose whole window lies in the inputs ``[start, stop)``; they may exceed the map."""
        return -(-(start + self.before) // self.stride), (stop + self.before - self.reach) // self.stride + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Padding by reflection or by repeating the border, along one axis.

    Examples
    --------
    >>> Mirror(before=2, after=0, mode="reflect").ready(np.array([2, 3]), 9).tolist()
    [0, 5]
    >>> Mirror(before=2, after=0, mode="reflect").source(Span.of((0, 1), (0, 3)), 9).tolist()
    [(2, 3), (0, 3)]
    """

    before: int
    """Positions added before the first input."""
    after: int
    """Positions added after the last input."""
    mode: Literal["reflect", "replicate"]
    """As in ``torch.nn.functional.pad``."""

    @property
    def step(self) -> int:
        """Input positions from one output to the next."""
        return 1

    @property
    def lead(self) -> int:
        """Positions by which output 0 lies before input 0."""
        return self.before

    @property
    def reach(self) -> int:
        """Inputs per output."""
        return 1

    def size(self, num_in: int) -> int:
        """Return the number of outputs; zero where a reflection would need more inputs than there are."""
        if self.mode == "reflect" and max(self.before, self.after) >= num_in:
            return 0
        return num_in + self.before + self.after

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        needed_first = self.before if self.mode == "reflect" else 0  # output 0 reads this input
        count = np.where(in_end > needed_first, in_end + self.before, 0)
        return np.where(in_end >= num_in, self.size(num_in), count)

    def positions(self, outputs: Integers, num_in: int) -> Integers:
        """Return the input which each output reads."""
        places = outputs - self.before
        if self.mode == "replicate":
            places = np.clip(places, 0, num_in - 1)
        folded: Integers = (num_in - 1) - np.abs((num_in - 1) - np.abs(places))
        return folded

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs which the outputs of the span read.

        The way from output to input is piecewise monotone, with turns at the first and the last input: the hull is
        reached at the span's ends or at a turn inside it.
        """
        first, last = span.start, span.stop - 1
        corners = [self.positions(first, num_in), self.positions(last, num_in)]
        for turn in (self.before, self.before + num_in - 1):
            at_turn = np.clip(turn, first, np.maximum(last, first))
            corners.append(self.positions(at_turn, num_in))
        return Span(np.minimum.reduce(corners), np.maximum.reduce(corners) + 1).only(span.filled)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs inside the frame that lie over the inputs ``[start, stop)``."""
        return start + self.before, stop + self.before
