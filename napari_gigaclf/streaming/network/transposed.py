"""Transposed convolution: each input is spread over the outputs that its kernel reaches.

Along one axis, output o takes part of input i through tap k where ``o = i stride - padding + k dilation``. Its inputs
are ``ceil((o + padding - dilation (kernel - 1)) / stride) .. floor((o + padding) / stride)``: a window that moves on by
one input every ``stride`` outputs. PyTorch's kernel runs on the block without padding, and the outputs that lack
neighbours, or that the true border's padding cuts away, are cut off; those which no input reaches (kernels shorter than
the stride, ``output_padding``) are the bias alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.intervals import Integers, Rule, Span
from napari_gigaclf.streaming.network.operations import Blocks, NodeRef, Place, TensorRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Transposed:
    """A transposed convolution along one axis.

    Examples
    --------
    >>> double = Transposed(kernel=4, stride=2, padding=1)
    >>> double.size(5), double.ready(np.array([2, 5]), 5).tolist(), double.source(Span.of((2, 5)), 5).tolist()
    (10, [3, 10], [(0, 3)])
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    """Outputs cut away at both ends."""
    output_padding: int = 0
    """Outputs added at the far end."""
    dilation: int = 1

    @property
    def spread(self) -> int:
        """Outputs from an input's first to one past its last tap."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def step(self) -> Fraction:
        """Input positions from one output to the next."""
        return Fraction(1, self.stride)

    @property
    def lead(self) -> Fraction:
        """Positions by which inputs may start before ``output * step``."""
        return Fraction(self.spread - 1 - self.padding, self.stride)

    @property
    def reach(self) -> Fraction:
        """Positions that hold an output's inputs, whatever its phase."""
        return 1 + Fraction(self.spread - 1, self.stride)

    def size(self, num_in: int) -> int:
        """Return the number of outputs, by PyTorch's rule."""
        return (num_in - 1) * self.stride - 2 * self.padding + self.spread + self.output_padding

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        size = self.size(num_in)
        count = np.clip(in_end * self.stride - self.padding, 0, size)
        return np.where(in_end >= num_in, size, np.where(in_end <= 0, 0, count))

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs which the outputs of the span read: at least one where there are any."""
        last_tap = (span.start + self.padding) // self.stride  # of the first output
        start = np.minimum(-((self.spread - 1 - self.padding - span.start) // self.stride), last_tap)
        start = np.clip(start, 0, num_in - 1)
        stop = np.clip((span.stop - 1 + self.padding) // self.stride + 1, start + 1, np.maximum(start + 1, num_in))
        return Span(start, stop).only(span.filled)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs whose inputs, were the image endless, all lie in ``[start, stop)``."""
        return start * self.stride - self.padding + self.spread - 1, stop * self.stride - self.padding


@dataclass(frozen=True, slots=True, kw_only=True)
class TransposedConvolution:
    """A transposed convolution over 1, 2 or 3 axes."""

    source: NodeRef
    weight: TensorRef
    """(C_in, C_out / groups, *kernel)."""
    bias: TensorRef | None
    axes: tuple[Transposed, ...]
    groups: int
    macs_per_input: int
    """Multiply-accumulates per input position, all channels."""

    @property
    def macs_per_output(self) -> int:
        """Multiply-accumulates per output position, on average."""
        return self.macs_per_input // prod(rule.stride for rule in self.axes)

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the axes' rules."""
        return self.axes

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the block, without the outputs that lack neighbours."""
        first = [start * rule.stride - rule.padding for rule, (start, _) in zip(self.axes, place.given, strict=True)]
        cut = [start - begin for (start, _), begin in zip(place.wanted, first, strict=True)]
        made = [(b - a - 1) * rule.stride + rule.spread for rule, (a, b) in zip(self.axes, place.given, strict=True)]
        added = [
            max(stop - begin - have, 0) for (_, stop), begin, have in zip(place.wanted, first, made, strict=True)
        ]  # outputs behind the last tap: what output_padding is for
        out = self.spread_out(blocks[self.source.index], tensors, added)
        for axis, (before, (start, stop)) in enumerate(zip(cut, place.wanted, strict=True), start=2):
            out = out.narrow(axis, before, stop - start)
        return out

    def spread_out(self, block: Tensor, tensors: Sequence[Tensor], added: Sequence[int]) -> Tensor:
        """Return PyTorch's transposed convolution of a block without padding."""
        bias = None if self.bias is None else tensors[self.bias.index]
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(self.axes) - 1]
        stride, dilation = [rule.stride for rule in self.axes], [rule.dilation for rule in self.axes]
        return function(block, tensors[self.weight.index], bias, stride, 0, list(added), self.groups, dilation)

    def pattern(self, response: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """Return one period of the response to a constant map: ``stride`` outputs along each axis, far from borders."""
        far = 1 << 30
        wanted = tuple((far * rule.stride, (far + 1) * rule.stride) for rule in self.axes)
        given = tuple(
            rule.source(Span.of(span), 2 * far).tolist()[0] for rule, span in zip(self.axes, wanted, strict=True)
        )
        block = response.expand(*response.shape[:2], *(stop - start for start, stop in given))
        place = Place(wanted=wanted, given=given, sizes=(2 * far,) * len(given))
        return self.compute({self.source.index: block}, tensors, place)
