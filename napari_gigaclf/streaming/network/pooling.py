"""Poolings: the highest value, the mean, or the p-norm of a small window around each place."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.cutting import cut, memory_format
from napari_gigaclf.streaming.network.intervals import Window
from napari_gigaclf.streaming.network.operations import Blocks, NodeRef, Place, Windowed, border_padding


def strided(block: Tensor, axis: int, first: int, count: int, step: int) -> Tensor:
    """Return every ``step``-th position along an axis, as a view."""
    index = [slice(None)] * block.ndim
    index[axis] = slice(first, first + (count - 1) * step + 1, step)
    return block[tuple(index)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPooling(Windowed):
    """The highest value of each window; padding counts as minus infinity."""

    source: NodeRef
    frame: ClassVar[float] = -float("inf")

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the pooled block."""
        padding = border_padding(self.windows, place.wanted, place.given)
        block = cut(blocks[self.source.index], padding, -float("inf"), traced=place.traced)
        if not block.requires_grad and block.device.type == "cpu":
            return self.by_axes(block, place.traced)
        function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(padding) - 1]
        kernel, stride, dilation = zip(*((r.kernel, r.stride, r.dilation) for r in self.windows), strict=True)
        return function(block, kernel, stride, 0, dilation)

    def by_axes(self, block: Tensor, traced: bool) -> Tensor:
        """Return the maximum axis by axis: the same numbers, six times faster without indices."""
        layout = memory_format(block)
        for axis, rule in enumerate(self.windows, start=2):
            count = (block.shape[axis] - rule.reach) // rule.stride + 1
            taps = [strided(block, axis, tap * rule.dilation, count, rule.stride) for tap in range(rule.kernel)]
            if len(taps) == 1:
                block = taps[0]
                continue
            if traced:  # a compiler wants no results written into blocks that are there
                block = reduce(torch.maximum, taps)
                continue
            block = torch.empty(taps[0].shape, dtype=block.dtype, device=block.device, memory_format=layout)
            torch.maximum(taps[0], taps[1], out=block)
            for tap in taps[2:]:
                torch.maximum(block, tap, out=block)
        return block


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePooling(Windowed):
    """The mean of each window, over as many places as PyTorch counts at the border."""

    source: NodeRef
    count_include_pad: bool
    divisor: int | None
    """``divisor_override``: what the window's sum is divided by."""

    def counted(self, rule: Window, wanted: tuple[int, int], num_in: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return how many places along one axis each wanted output's mean runs over."""
        start = np.arange(*wanted) * rule.stride - rule.before
        stop = np.minimum(start + rule.kernel, num_in + rule.before)
        if not self.count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, num_in)
        return stop - start

    def each(self, block: Tensor) -> Tensor:
        """Return what the mean is taken of: the values themselves."""
        return block

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the pooled block: full windows' means, corrected along the border for the places not counted."""
        padding = border_padding(self.windows, place.wanted, place.given)
        block = self.each(cut(blocks[self.source.index], padding, traced=place.traced))
        function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(padding) - 1]
        kernel, stride = zip(*((rule.kernel, rule.stride) for rule in self.windows), strict=True)
        out: Tensor = function(block, kernel, stride)
        if self.divisor is not None:
            return out * (float(np.prod(kernel)) / self.divisor)
        for axis, (rule, span, size) in enumerate(zip(self.windows, place.wanted, place.sizes, strict=True)):
            counts = self.counted(rule, span, size)
            if (counts != rule.kernel).any():
                shape = [1] * out.ndim
                shape[2 + axis] = -1
                out = out * torch.as_tensor(rule.kernel / counts, dtype=out.dtype, device=out.device).reshape(shape)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPooling(AveragePooling):
    """The p-norm of each window, by PyTorch's own formula (``F.lp_pool2d``)."""

    power: float
    """p, above 0: what lies beyond the border is 0, and has to stay 0 when it is raised."""
    held_results: ClassVar[int] = 5
    """Blocks of the result's size that autograd keeps, beside one of the input's size."""

    def each(self, block: Tensor) -> Tensor:
        """Return the values raised to p."""
        return block.pow(self.power)

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the pooled block."""
        mean = AveragePooling.compute(self, blocks, tensors, place)
        places = int(np.prod([rule.kernel for rule in self.windows]))
        return (torch.sign(mean) * torch.relu(torch.abs(mean))).mul(places).pow(1.0 / self.power)
