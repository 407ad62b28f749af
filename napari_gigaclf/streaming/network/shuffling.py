"""Channels become space and space becomes channels: ``pixel_shuffle`` and ``pixel_unshuffle``."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.errors import ImageTooSmallError
from napari_gigaclf.streaming.network.intervals import Integers, Rule, Span, Window
from napari_gigaclf.streaming.network.operations import Blocks, NodeRef, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Finer:
    """Each input becomes ``factor`` outputs, along one axis.

    Examples
    --------
    >>> finer = Finer(factor=3)
    >>> finer.size(4), finer.ready(np.array([2]), 4).tolist(), finer.source(Span.of((2, 4)), 4).tolist()
    (12, [6], [(0, 2)])
    """

    factor: int

    @property
    def step(self) -> Fraction:
        """Input positions from one output to the next."""
        return Fraction(1, self.factor)

    @property
    def lead(self) -> Fraction:
        """Positions by which an output's input may start before ``output * step``."""
        return Fraction(self.factor - 1, self.factor)

    @property
    def reach(self) -> Fraction:
        """Positions that hold an output's input, whichever of the ``factor`` it is."""
        return 1 + self.lead

    def size(self, num_in: int) -> int:
        """Return the number of outputs."""
        return num_in * self.factor

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        count: Integers = np.clip(in_end, 0, num_in) * self.factor
        return count

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs which the outputs of the span read."""
        return Span(span.start // self.factor, (span.stop - 1) // self.factor + 1).only(span.filled)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs whose input lies in ``[start, stop)``."""
        return start * self.factor, stop * self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Coarser:
    """Each ``factor`` inputs become one output, along one axis, and none may be left over.

    The questions are those of a window as wide as its stride; only ``size`` is stricter.
    """

    factor: int

    @property
    def window(self) -> Window:
        """The window that reads the same inputs."""
        return Window(kernel=self.factor, stride=self.factor)

    @property
    def step(self) -> int:
        """Input positions from one output to the next."""
        return self.factor

    @property
    def lead(self) -> int:
        """Nothing lies before input 0."""
        return 0

    @property
    def reach(self) -> int:
        """Inputs per output."""
        return self.factor

    def size(self, num_in: int) -> int:
        """Return the number of outputs.

        Raises
        ------
        ImageTooSmallError
            If inputs would be left over, as PyTorch raises.
        """
        if num_in % self.factor:
            raise ImageTooSmallError(
                f"pixel_unshuffle takes {self.factor} positions at a time, and a map has {num_in} along one axis; "
                f"pad or crop the image so that {self.factor} divides it"
            )
        return num_in // self.factor

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        return self.window.ready(in_end, num_in)

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs which the outputs of the span read."""
        return self.window.source(span, num_in)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs whose inputs lie in ``[start, stop)``."""
        return self.window.inner(start, stop, num_in)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelShuffle:
    """(B, C f f, H, W) becomes (B, C, H f, W f), or back."""

    source: NodeRef
    factor: int
    inverse: bool
    """True: space becomes channels."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the same rule for both axes."""
        rule = Coarser(factor=self.factor) if self.inverse else Finer(factor=self.factor)
        return (rule,) * num_axes

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the shuffled block, without what the place leaves of its first and last inputs."""
        block = blocks[self.source.index]
        if self.inverse:
            return F.pixel_unshuffle(block, self.factor)
        out = F.pixel_shuffle(block, self.factor)
        for axis, ((start, stop), (first, _)) in enumerate(zip(place.wanted, place.given, strict=True), start=2):
            out = out.narrow(axis, start - first * self.factor, stop - start)
        return out

    def pattern(self, response: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """Return one period of the response to a constant map."""
        if self.inverse:
            return response.repeat_interleave(self.factor**2, 1)
        return F.pixel_shuffle(response, self.factor)
