"""What a network does to a block of the picture: convolve, pool, pad, and combine values place by place.

Each operation is a frozen value with its rules per axis (:mod:`.intervals`) and a ``compute`` that turns blocks of its
inputs into one block of its output with ordinary PyTorch, so that autograd and autocast do the rest. Nothing of
convolution is implemented here: at the true border of the image the block is padded, and everywhere else the operation
runs unpadded on a block that already holds its neighbours.

Blocks are (batch, channels, *space). Where in its map a block lies, an operation is told by a :class:`Place`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.arrangements import Arrangement, shown, stored
from napari_gigaclf.streaming.network.cutting import cut
from napari_gigaclf.streaming.network.intervals import Mirror, Rule, Window

Extent = tuple[tuple[int, int], ...]
"""One (start, stop) per spatial axis, absolute positions."""


@dataclass(frozen=True, slots=True)
class NodeRef:
    """Stands in an argument list for the block of a node (a map over space), by the node's index."""

    index: int
    seen: Arrangement | None = None
    """How the code, or the function that is called, sees the map; None: as it lies in memory."""


@dataclass(frozen=True, slots=True)
class TensorRef:
    """Stands in an argument list for a tensor without space (a weight, a buffer, a constant), by its index."""

    index: int


Argument = object
"""An argument of a call: a literal, a NodeRef, a TensorRef, or tuples, lists and dicts of them."""


def fill_in(template: Argument, blocks: Mapping[int, Tensor], tensors: Sequence[Tensor]) -> Argument:
    """Return an argument with its references replaced by tensors, seen as the references say."""
    if isinstance(template, NodeRef):
        return shown(blocks[template.index], template.seen)
    if isinstance(template, TensorRef):
        return tensors[template.index]
    if isinstance(template, tuple | list):
        return type(template)(fill_in(item, blocks, tensors) for item in template)
    if isinstance(template, dict):
        return {key: fill_in(item, blocks, tensors) for key, item in template.items()}
    return template


def references(template: Argument) -> Iterator[NodeRef | TensorRef]:
    """Yield every reference inside an argument."""
    if isinstance(template, NodeRef | TensorRef):
        yield template
    elif isinstance(template, tuple | list):
        for item in template:
            yield from references(item)
    elif isinstance(template, dict):
        for item in template.values():
            yield from references(item)


def references_of(operation: "Operation") -> Iterator[NodeRef | TensorRef]:
    """Yield every map and tensor that an operation reads."""
    for field in fields(operation):  # type: ignore[arg-type]
        yield from references(getattr(operation, field.name))


Moved = Callable[[NodeRef | TensorRef], Argument]
"""Says what stands in for a reference."""


def replaced(template: Argument, moved: Moved) -> Argument:
    """Return an argument with every reference replaced."""
    if isinstance(template, NodeRef | TensorRef):
        return moved(template)
    if isinstance(template, tuple | list):
        return type(template)(replaced(item, moved) for item in template)
    if isinstance(template, dict):
        return {key: replaced(item, moved) for key, item in template.items()}
    return template


def with_references(operation: "Operation", moved: Moved) -> "Operation":
    """Return an operation with every reference replaced."""
    changes = {field.name: replaced(getattr(operation, field.name), moved) for field in fields(operation)}  # type: ignore[arg-type]
    return replace(operation, **changes)  # type: ignore[type-var]


Blocks = Mapping[int, Tensor]
"""Blocks of the maps which an operation reads, by node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which block is computed, from which; positions are absolute."""

    wanted: Extent
    """Of the output."""
    given: Extent
    """Of the input: what the input blocks cover. Exactly what is read, or, for an operation that cuts, more."""
    sizes: tuple[int, ...]
    """The input map's full size per axis."""
    overwrite: bool = False
    """Whether the first argument's block may be reused for the result."""
    traced: bool = False
    """Whether PyTorch follows the operations to compile them."""


class Operation(Protocol):
    """One node's work."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return how each spatial axis is used."""
        ...

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the output block at a place."""
        ...


def border_padding(rules: Sequence[Window], wanted: Extent, given: Extent) -> list[tuple[int, int]]:
    """Return per axis how many positions of padding the windows of ``wanted`` see before and after ``given``."""
    return [
        (
            start - (out_start * rule.stride - rule.before),
            (out_stop - 1) * rule.stride - rule.before + rule.reach - stop,
        )
        for rule, (out_start, out_stop), (start, stop) in zip(rules, wanted, given, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceByPlace:
    """Uses the input at the output's own position and nowhere else."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return one identity per axis."""
        return (Window(),) * num_axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed:
    """Slides a window along every axis, and cuts what it reads out of larger blocks itself, padded where it has to."""

    windows: tuple[Window, ...]
    frame: ClassVar[float] = 0.0
    """The value of what it sees beyond the image's border."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the windows."""
        return self.windows

    def pads_itself(self, padding: Sequence[tuple[int, int]], given: Extent) -> bool:
        """Return whether PyTorch pads a block that covers ``given`` so while it reads it, without a copy."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(PlaceByPlace):
    """The image itself."""

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Never called: the image is read, not computed."""
        raise AssertionError("the input is read from its source")


def macs_of(operation: Operation) -> int:
    """Return an operation's multiply-accumulates per output position, all channels; 0 where none are counted."""
    return int(getattr(operation, "macs_per_output", 0))


def alike(arguments: Sequence[Argument]) -> bool:
    """Return whether all arguments are tensors of one shape and type, so that the first can hold the result."""
    tensors = [item for item in arguments if isinstance(item, Tensor)]
    return len(tensors) == len(arguments) and len({(item.shape, item.dtype) for item in tensors}) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise(PlaceByPlace):
    """A function of the values at one place: activation, sum, product, concatenation, eval-mode batch norm."""

    function: Callable[..., Tensor]
    """Called with the filled-in arguments."""
    args: tuple[Argument, ...]
    """Positional arguments, with references."""
    kwargs: Mapping[str, Argument]
    """Keyword arguments, with references."""
    in_place: Callable[..., Tensor] | None = None
    """The same function overwriting its first argument, where that is possible without changing a gradient."""
    seen: Arrangement | None = None
    """How the function's value is to be seen; None: as (batch, channels, *space)."""

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the function's value."""
        args = [fill_in(item, blocks, tensors) for item in self.args]
        kwargs = {key: fill_in(item, blocks, tensors) for key, item in self.kwargs.items()}
        if place.overwrite and self.in_place is not None and alike(args):
            return stored(self.in_place(*args, **kwargs), self.seen)
        return stored(self.function(*args, **kwargs), self.seen)


RECTIFIERS = (torch.relu, F.relu, torch.Tensor.relu)


def rectifies(operation: Operation) -> bool:
    """Return whether an operation is a ReLU of one map."""
    if not isinstance(operation, Pointwise) or operation.function not in RECTIFIERS or operation.kwargs:
        return False
    (first, *more) = operation.args
    return isinstance(first, NodeRef) and first.seen == operation.seen and not more


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Windowed):
    """A convolution over 1, 2 or 3 axes with zero padding."""

    source: NodeRef
    weight: TensorRef
    bias: TensorRef | None
    groups: int
    macs_per_output: int
    """Multiply-accumulates per output position, all channels."""

    def pads_itself(self, padding: Sequence[tuple[int, int]], given: Extent) -> bool:
        """Return whether PyTorch's convolution can read a block as it is."""
        return self.even_padding(padding, given) is not None

    def even_padding(self, padding: Sequence[tuple[int, int]], given: Extent) -> list[int] | None:
        """Return padding, per axis the same before and after, with which the outputs are the same; None without.

        Strides jump over what is put on or left on behind the last window, as long as it is too short for another one.
        """
        found = []
        for rule, (before, after), (start, stop) in zip(self.windows, padding, given, strict=True):
            last = (stop - start + before + after - rule.reach) // rule.stride
            if before < max(after, 0) or (stop - start + 2 * before - rule.reach) // rule.stride != last:
                return None
            found.append(before)
        return found

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the convolution, padded only where the block reaches over the image's border."""
        block, weight = blocks[self.source.index], tensors[self.weight.index]
        bias = None if self.bias is None else tensors[self.bias.index]
        padding = border_padding(self.windows, place.wanted, place.given)
        even = self.even_padding(padding, place.given)
        if even is None:
            block, even = cut(block, padding, dense=True, traced=place.traced), [0] * len(padding)
        function = (F.conv1d, F.conv2d, F.conv3d)[len(padding) - 1]
        stride = [rule.stride for rule in self.windows]
        dilation = [rule.dilation for rule in self.windows]
        return function(block, weight, bias, stride, even, dilation, self.groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantPadding:
    """A frame of one value around the image; negative widths crop."""

    source: NodeRef
    windows: tuple[Window, ...]
    """The last axes' frames; axes before them have none."""
    value: float

    def rules(self, num_axes: int) -> tuple[Window, ...]:
        """Return the windows of one tap."""
        return (Window(),) * (num_axes - len(self.windows)) + self.windows

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the block with its frame, where it lies at the border."""
        padding = border_padding(self.rules(len(place.wanted)), place.wanted, place.given)
        return cut(blocks[self.source.index], padding, self.value, traced=place.traced)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPadding:
    """A frame around the image that repeats or reflects what is inside."""

    source: NodeRef
    mirrors: tuple[Mirror, ...]
    """The last axes' frames; axes before them have none."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the mirrors."""
        return (Window(),) * (num_axes - len(self.mirrors)) + self.mirrors

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the block with its frame, gathered axis by axis."""
        out = blocks[self.source.index]
        first = len(place.wanted) - len(self.mirrors)
        for axis, rule in enumerate(self.mirrors, start=first):
            places = rule.positions(np.arange(*place.wanted[axis]), place.sizes[axis]) - place.given[axis][0]
            if len(places) != out.shape[2 + axis] or (np.diff(places) != 1).any():
                out = out.index_select(2 + axis, torch.as_tensor(places, device=out.device))
        return out
