"""A linear layer over the channels of every place, as in ConvNeXt: its maps are seen with channels last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from napari_gigaclf.streaming.network.intervals import Rule, Window
from napari_gigaclf.streaming.network.operations import Extent, NodeRef, TensorRef, put_back, seen_in


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLinear:
    """``F.linear`` over channels, place by place."""

    source: NodeRef
    weight: TensorRef
    """(channels out, channels in)."""
    bias: TensorRef | None
    """(channels out,)."""
    order: tuple[int, ...]
    """The order of axes in which the layer sees its map: channels last."""
    macs_per_output: int
    """Multiply-accumulates per output position, all channels."""

    def rules(self, num_axes: int) -> tuple[Rule, ...]:
        """Return one identity per axis."""
        return (Window(),) * num_axes

    def compute(
        self,
        blocks: Mapping[int, Tensor],
        tensors: Sequence[Tensor],
        wanted: Extent,
        given: Extent,
        num_in: Sequence[int],
    ) -> Tensor:
        """Return (batch, channels out, *space), in memory with channels last."""
        bias = None if self.bias is None else tensors[self.bias.index]
        seen = seen_in(blocks[self.source.index], self.order)
        return put_back(F.linear(seen, tensors[self.weight.index], bias), self.order)
