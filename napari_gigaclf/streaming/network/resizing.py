"""Padding and cropping by widths that are computed from the sizes of maps."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.network.intervals import Rule, Window
from napari_gigaclf.streaming.network.operations import Argument, Blocks, ConstantPadding, NodeRef, Place
from napari_gigaclf.streaming.network.sizes import ImageFacts, evaluated


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedPadding:
    """A frame of one value whose widths are known once the image's shape is."""

    source: NodeRef
    amounts: tuple[Argument, ...]
    """(before, after) of the last axis, then of the axis before it, and so on, as in ``F.pad``."""
    value: float

    def sized(self, sizes: Sequence[int], image: ImageFacts) -> ConstantPadding:
        """Return the padding by plain numbers."""
        amounts = evaluated(self.amounts, image)
        assert isinstance(amounts, tuple)
        if len(amounts) > 2 * image.num_axes or any(type(amount) is not int for amount in amounts):
            raise UnsupportedOperation(
                f"cannot stream padding by {amounts!r}: it is not two whole numbers for each axis of space"
            )
        pairs = list(zip(amounts[0::2], amounts[1::2], strict=True))[::-1]
        windows = tuple(Window(before=before, after=after) for before, after in pairs)
        return ConstantPadding(source=self.source, windows=windows, value=self.value)

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return the rules as far as they are known without an image: no width."""
        return (Window(),) * num_axes

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Never called: an image's shape is known before anything is computed."""
        raise AssertionError("sizes are put in before a run")
