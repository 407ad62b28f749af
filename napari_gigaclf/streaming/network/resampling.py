"""``F.interpolate`` piece by piece: nearest, linear and cubic, by any factor or to any size.

Along one axis an interpolation is a table: the few inputs each output reads, and their weights. The table is made for
the whole axis at once (:func:`taps`), so that positions which depend on the full size, and PyTorch's clamping at the
true border, come out right whatever the tiles. Several axes are interpolated one after the other, which is what
PyTorch's formula comes to. Where the factor is a small whole number, positions inside a block are those inside the
image up to a shift, and PyTorch's own kernel runs on the block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from math import ceil, floor
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.intervals import Integers, Span
from napari_gigaclf.streaming.network.operations import Argument, Blocks, NodeRef, Place
from napari_gigaclf.streaming.network.sizes import ImageFacts, evaluated, is_symbolic, sizes_of

Mode = Literal["nearest", "nearest-exact", "linear", "cubic"]
"""What an interpolation does along one axis."""

KERNEL_MODES: dict[Mode, tuple[str, str, str]] = {
    "nearest": ("nearest",) * 3,
    "nearest-exact": ("nearest-exact",) * 3,
    "linear": ("linear", "bilinear", "trilinear"),
    "cubic": ("", "bicubic", ""),
}
"""PyTorch's names for 1, 2 and 3 axes."""

LARGEST_PLAIN_FACTOR = 40
"""Factors up to this give the same nearest input in float32 as in exact arithmetic (from 41 on PyTorch's differs)."""

SIMPLE = 32
"""Largest denominator of what a network can mean by a ratio of sizes."""

CUBIC_A = -0.75
"""PyTorch's coefficient of cubic convolution (Keys, 1981)."""

Taps = tuple[Integers, NDArray[np.float64]]
"""Inputs and weights, each (taps, outputs)."""


@lru_cache(maxsize=64)
def taps(mode: Mode, num_in: int, num_out: int, scale: float | None, align_corners: bool, double: bool) -> Taps:
    """Return which inputs each output reads, and with what weights, as PyTorch has it.

    Parameters
    ----------
    mode
        What is done along the axis.
    num_in, num_out
        Full sizes.
    scale
        Factor that PyTorch takes positions from; None: ``num_out / num_in``.
    align_corners
        Whether the first and last positions fall together, instead of the outer edges.
    double
        Whether the map is in float64: PyTorch finds the nearest input in the map's own precision, and rounding decides
        for some odd ratios.
    """
    if mode in ("nearest", "nearest-exact"):
        numbers = torch.arange(num_in, dtype=torch.float64 if double or num_in > 1 << 24 else torch.float32)
        options = {"size": num_out} if scale is None else {"scale_factor": scale}
        found = F.interpolate(numbers[None, None], mode=mode, **options)
        return found[0].long().numpy(), np.ones((1, num_out))
    outputs = np.arange(num_out, dtype=np.float64)
    if align_corners:
        places = outputs * ((num_in - 1) / (num_out - 1) if num_out > 1 else 0.0)
    else:
        places = (outputs + 0.5) * (num_in / num_out if scale is None else 1 / scale) - 0.5
    if mode == "linear":
        places = outputs if num_in == num_out else np.clip(places, 0, None)
        low = np.minimum(np.floor(places).astype(np.int64), num_in - 1)
        share = np.clip(places - low, 0, 1)
        high = np.where(share > 0, np.minimum(low + 1, num_in - 1), low)
        return np.stack([low, high]), np.stack([1 - share, share])
    low = np.floor(places).astype(np.int64)
    share = places - low
    inputs = np.stack([np.clip(low + offset, 0, num_in - 1) for offset in (-1, 0, 1, 2)])
    return inputs, np.stack([_far(share + 1), _near(share), _near(1 - share), _far(2 - share)])


def _near(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1


def _far(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((CUBIC_A * x - 5 * CUBIC_A) * x + 8 * CUBIC_A) * x - 4 * CUBIC_A


@cache
def _hull(mode: Mode, step: Fraction, loose: bool) -> tuple[Fraction, Fraction]:
    """Return by how much inputs start before, and end behind, ``output * step``, over all outputs far from borders."""
    before, behind = Fraction(0), Fraction(0)
    for output in range(step.denominator):
        if mode == "nearest":
            low = high = floor(output * step)
        elif mode == "nearest-exact":
            low = high = floor((output + Fraction(1, 2)) * step)
        else:
            place = (output + Fraction(1, 2)) * step - Fraction(1, 2)
            low, high = floor(place), ceil(place)
            if mode == "cubic":
                low, high = low - 1, low + 2
        before, behind = max(before, output * step - low), max(behind, high + 1 - output * step)
    return before + loose, behind + loose


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample:
    """Interpolation along one axis.

    Examples
    --------
    >>> double = Resample(mode="linear", scale=2.0, nominal=Fraction(1, 2))
    >>> double.size(5), double.ready(np.array([2, 5]), 5).tolist(), double.source(Span.of((1, 4)), 5).tolist()
    (10, [3, 10], [(0, 3)])
    """

    mode: Mode
    nominal: Fraction
    """Input positions per output, as the network means it (a size that is odd makes it a little more or less)."""
    scale: float | None = None
    """The factor asked for; None: ``num_out`` decides."""
    num_out: int | None = None
    """The size asked for; None: ``scale`` decides."""
    same_ratio: bool = True
    """Whether positions follow ``scale``; False: the ratio of sizes (``recompute_scale_factor=True``)."""
    align_corners: bool = False
    double: bool = False
    """Whether the maps are in float64."""

    @property
    def step(self) -> Fraction:
        """Input positions from one output to the next."""
        return self.nominal

    @property
    def loose(self) -> bool:
        """Whether positions drift against ``output * step``, by less than one input over the whole axis."""
        return self.align_corners or self.scale is None or not self.same_ratio

    @property
    def lead(self) -> Fraction:
        """Positions by which inputs may start before ``output * step``."""
        return _hull(self.mode, self.nominal, self.loose)[0]

    @property
    def reach(self) -> Fraction:
        """Positions that hold an output's inputs."""
        return sum(_hull(self.mode, self.nominal, self.loose), Fraction(0))

    def size(self, num_in: int) -> int:
        """Return the number of outputs, by PyTorch's rule."""
        if self.scale is None:
            assert self.num_out is not None, "a size or a factor is given"
            return self.num_out
        return int(num_in * self.scale)

    def taps(self, num_in: int) -> Taps:
        """Return which inputs each output reads, and with what weights."""
        scale = self.scale if self.same_ratio else None
        return taps(self.mode, num_in, self.size(num_in), scale, self.align_corners, self.double)

    def ready(self, in_end: Integers, num_in: int) -> Integers:
        """Return how many outputs can be computed once ``in_end`` inputs are known."""
        count: Integers = np.searchsorted(self.taps(num_in)[0][-1], in_end, side="left").astype(np.int64)
        return count

    def source(self, span: Span, num_in: int) -> Span:
        """Return the inputs which the outputs of the span read."""
        inputs = self.taps(num_in)[0]
        last = inputs.shape[1] - 1
        start, stop = inputs[0][np.clip(span.start, 0, last)], inputs[-1][np.clip(span.stop - 1, 0, last)] + 1
        return Span(start, stop).only(span.filled)

    def inner(self, start: int, stop: int, num_in: int) -> tuple[int, int]:
        """Return the outputs that read nothing but the inputs ``[start, stop)``; clamping at the border is harmless."""
        inputs = self.taps(num_in)[0]
        return int(np.searchsorted(inputs[0], start, side="left")), int(np.searchsorted(inputs[-1], stop, side="left"))

    def factor(self, num_in: int) -> int | None:
        """Return the small whole factor by which PyTorch's kernel may run on a block; None where it may not."""
        factor = self.size(num_in) // num_in
        plain = factor * num_in == self.size(num_in) and 1 <= factor <= LARGEST_PLAIN_FACTOR
        if not plain or self.align_corners or (self.scale is not None and self.scale != factor):
            return None
        return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpolation:
    """``F.interpolate`` over all axes."""

    source: NodeRef
    mode: Mode
    axes: tuple[Resample, ...]
    """One per axis, or one for all."""
    num_axes: int | None
    """Spatial axes it is meant for; None: any number."""

    size: Argument = None
    """The size asked for, in numbers or as expressions of shapes; None: factors are given."""

    def rules(self, num_axes: int) -> tuple[Resample, ...]:
        """Return the axes' rules."""
        return self.axes * (num_axes if len(self.axes) == 1 else 1)

    @property
    def is_fixed(self) -> bool:
        """Whether the output has the same size for every image."""
        return self.size is not None and not is_symbolic(self.size)

    def sized(self, sizes: Sequence[int], image: ImageFacts) -> "Interpolation":
        """Return the operation for maps of this precision, with the sizes asked for in numbers."""
        rules = self.rules(image.num_axes)
        if self.size is None:
            return replace(self, axes=tuple(replace(rule, double=image.double) for rule in rules))
        asked = sizes_of(evaluated(self.size, image), image.num_axes)
        axes = [
            replace(rule, num_out=num_out, nominal=Fraction(num_in, num_out), double=image.double)
            for rule, num_in, num_out in zip(rules, sizes, asked, strict=True)
        ]
        return replace(self, axes=tuple(axes))

    def meaning(self, usual: "Interpolation") -> "Interpolation":
        """Return the operation with the factor that its size comes to in an image where rounding hardly shows."""
        if self.size is None or self.is_fixed:
            return self
        nominal = [rule.nominal.limit_denominator(SIMPLE) for rule in usual.axes]
        return replace(
            self, axes=tuple(replace(r, nominal=n or r.nominal) for r, n in zip(self.axes, nominal, strict=True))
        )

    def beside(
        self,
        num_in: Sequence[int],
        step: Sequence[Fraction],
        steps: Mapping[tuple[int | None, ...], Sequence[Fraction]],
    ) -> "Interpolation":
        """Return the operation to a size in numbers with the factor that a map of that size before it tells.

        Parameters
        ----------
        num_in
            The size of its input, per axis.
        step
            Pixels of the image from one position of its input to the next, per axis.
        steps
            The same of maps before it, by their sizes.
        """
        asked = tuple(rule.num_out for rule in self.axes)
        if not self.is_fixed or asked not in steps:
            return self
        nominal = [other / own for other, own in zip(steps[asked], step, strict=True)]
        drifts = [abs(rule.size(size) * n - size) for rule, size, n in zip(self.axes, num_in, nominal, strict=True)]
        if max(drifts) >= 1:
            return self  # as large by chance: rules allow positions to drift by less than one input
        return replace(self, axes=tuple(replace(r, nominal=n) for r, n in zip(self.axes, nominal, strict=True)))

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the interpolated block."""
        block = blocks[self.source.index]
        rules = self.rules(len(place.wanted))
        factors = [rule.factor(size) for rule, size in zip(rules, place.sizes, strict=True)]
        mode = KERNEL_MODES[self.mode][len(place.wanted) - 1]
        whole = [factor for factor in factors if factor is not None]
        if mode and len(whole) == len(factors):
            out: Tensor = F.interpolate(block, scale_factor=[float(factor) for factor in whole], mode=mode)
            for axis, ((start, stop), (first, _), factor) in enumerate(
                zip(place.wanted, place.given, whole, strict=True), start=2
            ):
                out = out.narrow(axis, start - first * factor, stop - start)
            return out
        exact = block.float() if block.dtype in (torch.float16, torch.bfloat16) else block
        for axis, rule in enumerate(rules):
            exact = _gathered(exact, 2 + axis, rule.taps(place.sizes[axis]), place.wanted[axis], place.given[axis][0])
        return exact.to(block.dtype)


def _gathered(block: Tensor, axis: int, table: Taps, wanted: tuple[int, int], first: int) -> Tensor:
    """Return the weighted sums of inputs along one axis."""
    inputs, weights = (rows[:, wanted[0] : wanted[1]] for rows in table)
    shape = [1] * block.ndim
    shape[axis] = -1
    total: Tensor | None = None
    for places, shares in zip(inputs, weights, strict=True):
        part = block.index_select(axis, torch.as_tensor(places - first, device=block.device))
        if len(inputs) > 1:
            part = part * torch.as_tensor(shares, dtype=block.dtype, device=block.device).reshape(shape)
        total = part if total is None else total + part
    assert total is not None, "every output reads an input"
    return total
