"""Parts of space: ``x[:, :, 1:-1, 1:-1]``, a skip connection cropped to a smaller map, every second place."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.cutting import cut
from napari_gigaclf.streaming.network.intervals import Rule, Window
from napari_gigaclf.streaming.network.operations import Blocks, NodeRef, Place, border_padding
from napari_gigaclf.streaming.network.sizes import ImageFacts, evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class SpacePart:
    """Every so many places of a map from one place to another: a window of one tap, with negative padding."""

    source: NodeRef
    windows: tuple[Window, ...]
    """One per axis of space."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the windows of one tap."""
        return self.windows

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return the places of the block that are taken."""
        padding = border_padding(self.windows, place.wanted, place.given)
        block = cut(blocks[self.source.index], padding, traced=place.traced)
        for axis, rule in enumerate(self.windows, start=2):
            if rule.stride > 1:
                block = block[(slice(None),) * axis + (slice(None, None, rule.stride),)]
        return block


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedPart:
    """A part of space whose ends are known once the image's shape is."""

    source: NodeRef
    ranges: tuple[slice, ...]
    """As the code has them: ends may be numbers, expressions of sizes, or None."""
    first: int
    """The axis of space that the first of them belongs to; negative: counted from the last axis."""

    def sized(self, sizes: Sequence[int], image: ImageFacts) -> SpacePart:
        """Return the part by plain numbers."""
        first = self.first % image.num_axes if self.first >= -image.num_axes else image.num_axes
        if first + len(self.ranges) > image.num_axes:
            raise UnsupportedOperation(
                f"cannot stream a part of {len(self.ranges)} axes of a map with {image.num_axes} axes of space: it "
                "would be one of channels or samples; name the channels' range by its place, as in x[:, 0:4]"
            )
        windows = [Window()] * image.num_axes
        for axis, taken in enumerate(self.ranges, start=first):
            windows[axis] = _window(evaluated(taken, image), sizes[axis])
        return SpacePart(source=self.source, windows=tuple(windows))

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the rules as far as they are known without an image."""
        return (Window(),) * num_axes

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Never called: an image's shape is known before anything is computed."""
        raise AssertionError("sizes are put in before a run")


def _window(taken: object, size: int) -> Window:
    """Return the window that takes a range of an axis of so many places, as Python counts them."""
    assert isinstance(taken, slice)
    ends = (taken.start, taken.stop, taken.step)
    if any(type(end) not in (int, type(None)) for end in ends) or (taken.step or 1) < 1:
        raise UnsupportedOperation(
            f"cannot stream a part of space from {taken.start} to {taken.stop} in steps of {taken.step}: give whole "
            "numbers, or sizes of maps computed with + - * // %"
        )
    start, stop, step = taken.indices(size)
    return Window(stride=step, before=-start, after=stop - size)
