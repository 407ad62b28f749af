"""A linear layer over the channels of every place, as in ConvNeXt: its maps are seen with channels last."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.arrangements import Arrangement, shown, stored
from napari_gigaclf.streaming.network.operations import (
    Blocks,
    NodeRef,
    Place,
    PlaceByPlace,
    TensorRef,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLinear(PlaceByPlace):
    """``F.linear`` over channels, place by place."""

    source: NodeRef
    weight: TensorRef
    """(channels out, channels in)."""
    bias: TensorRef | None
    """(channels out,)."""
    seen: Arrangement
    """How the layer's value is to be seen: channels last, as it sees its map."""
    macs_per_output: int
    """Multiply-accumulates per output position, all channels."""

    def compute(self, blocks: Blocks, tensors: Sequence[Tensor], place: Place) -> Tensor:
        """Return (batch, channels out, *space), in memory with channels last."""
        bias = None if self.bias is None else tensors[self.bias.index]
        block = shown(blocks[self.source.index], self.source.seen)
        return stored(F.linear(block, tensors[self.weight.index], bias), self.seen)
