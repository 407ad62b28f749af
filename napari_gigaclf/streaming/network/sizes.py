"""Sizes that a network's code takes from its maps: ``F.interpolate(x, size=skip.shape[-2:])``.

While the code is read there is no image, so a size stays an expression: whose map's shape, which axis, what is done
with it. Once an image's shape is known the expression has a value, and an operation that depends on it becomes one with
plain numbers (:meth:`~.graph.Graph.sized`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from napari_gigaclf.errors import ImageTooSmallError, UnsupportedOperation
from napari_gigaclf.streaming.network.arrangements import Arrangement, own_axes
from napari_gigaclf.streaming.network.intervals import Rule
from napari_gigaclf.streaming.network.operations import Argument, Operation

LARGE = 2**8 * 3**2 * 5 * 7
"""Pixels per axis of an image on which sizes are tried before there is one: many strides divide it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of an image before it is read."""

    shape: tuple[int, ...]
    """(batch, channels, *space), pixels."""
    double: bool
    """Whether it is in float64."""

    @property
    def num_axes(self) -> int:
        """Spatial axes."""
        return len(self.shape) - 2

    @property
    def large(self) -> "ImageFacts":
        """An image of the same kind on which rounding of sizes hardly shows."""
        return ImageFacts(shape=(*self.shape[:2], *(LARGE,) * self.num_axes), double=self.double)


@runtime_checkable
class Sizable(Protocol):
    """An operation that depends on the image's shape or type."""

    def sized(self, sizes: Sequence[int], image: ImageFacts) -> Operation:
        """Return the operation with plain numbers, for this image and these sizes of its input map."""
        ...


class _Unknown:
    """Stands for a number of channels that is not known."""

    def __repr__(self) -> str:
        return "a number of channels"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapShape:
    """The shape of a map, (batch, channels, *space)."""

    path: tuple[Operation, ...]
    """The operations that lead from the image to the map."""
    channels: int | None = None
    """Where that is known."""
    seen: Arrangement | None = None
    """How the code sees the map's axes."""

    def value(self, image: ImageFacts) -> tuple[object, ...]:
        """Return the shape as the code sees it; channels that are not known are no number."""
        space = sizes_along(self.path, image)
        sizes = None if self.seen is None else self.seen.sizes
        parts = (_Unknown() if self.channels is None else self.channels,) if sizes is None else sizes
        axes = own_axes(len(space)) if self.seen is None else self.seen.axes
        return tuple(parts[-axis - 1] if axis < 0 else space[axis - 1] if axis else image.shape[0] for axis in axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeExpression:
    """A function of shapes, called when the image's shape is known."""

    function: Callable[..., object]
    args: tuple[Argument, ...]

    def value(self, image: ImageFacts) -> object:
        """Return the function's value."""
        return self.function(*(evaluated(item, image) for item in self.args))


Symbolic = MapShape | SizeExpression
"""A value that is known once the image's shape is."""


def is_symbolic(template: Argument) -> bool:
    """Return whether an argument holds a value that is not known yet."""
    if isinstance(template, tuple | list):
        return any(is_symbolic(item) for item in template)
    if isinstance(template, dict):
        return any(is_symbolic(item) for item in template.values())
    if isinstance(template, slice):
        return is_symbolic((template.start, template.stop, template.step))
    return isinstance(template, MapShape | SizeExpression)


def evaluated(template: Argument, image: ImageFacts) -> object:
    """Return an argument with its symbolic values replaced by numbers."""
    if isinstance(template, MapShape | SizeExpression):
        return template.value(image)
    if isinstance(template, tuple | list):
        return tuple(evaluated(item, image) for item in template)
    if isinstance(template, slice):
        return slice(*(evaluated(item, image) for item in (template.start, template.stop, template.step)))
    return template


def sizes_of(value: object, num_axes: int) -> tuple[int, ...]:
    """Return a value as one positive size per axis.

    Raises
    ------
    UnsupportedOperation
        If it is anything else.
    """
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * num_axes
    sizes = tuple(size for size in given if isinstance(size, int) and size > 0)
    if not len(given) == len(sizes) == num_axes:
        raise UnsupportedOperation(
            f"cannot stream an operation to the size {value!r}: it is not one positive number for each of {num_axes} "
            "axes of space; take the size from a map's shape, as in size=skip.shape[2:]"
        )
    return sizes


def sizes_along(path: Sequence[Operation], image: ImageFacts) -> tuple[int, ...]:
    """Return the size per axis of the map at the end of a path of operations; at least 1, so that errors come later."""
    sizes = image.shape[2:]
    for operation in path:
        sizes = next_sizes(operation, sizes, image)
    return tuple(sizes)


def next_sizes(operation: Operation, sizes: Sequence[int], image: ImageFacts) -> tuple[int, ...]:
    """Return the sizes of an operation's output; at least 1: the plan raises for what vanishes or does not fit.

    Sizes are also asked of images which nobody gave, to learn what code means: a map of them need not fit.
    """
    if isinstance(operation, Sizable):
        operation = operation.sized(sizes, image)
    rules = operation.rules(image.num_axes)
    return tuple(max(_size(rule, size), 1) for rule, size in zip(rules, sizes, strict=True))


def _size(rule: Rule, size: int) -> int:
    try:
        return rule.size(size)
    except ImageTooSmallError:
        return int(size / rule.step)
