"""What a network's operations answer to an image that is one constant, far from any border: a run of one pixel.

It tells channels and types of all maps before an image is read, and fills tiles of glass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.intervals import Span
from napari_gigaclf.streaming.network.operations import Operation, Place
from napari_gigaclf.streaming.network.sizes import Sizable
from napari_gigaclf.streaming.network.spaceless import Constant, Spaceless
from napari_gigaclf.streaming.network.statistics import Statistic, precise_type

FAR, HUGE = 1 << 30, 1 << 50
"""A position with no border in sight, whatever the padding, and the size of such a map."""


class Responses:
    """The responses of a network's operations, one after the other.

    Parameters
    ----------
    value
        The constant, (batch, channels).
    constants
        The graph's tensors without space; more may be appended between calls.
    weights
        The module's parameters and buffers, by name.
    num_axes
        Number of spatial axes.
    known
        Tensors without space behind statistics, by index, as far as they are known; for others the statistics of an
        image that is nothing but the constant.
    """

    def __init__(
        self, value: Tensor, constants: Sequence[Constant], weights: Mapping[str, Tensor], num_axes: int,
        known: Mapping[int, Any] | None = None,
    ) -> None:  # fmt: skip
        self.maps: list[Tensor] = [value.reshape(*value.shape, *(1,) * num_axes)]
        # Detached: of weights that want a gradient, autocast would hold on to the rounded copies.
        weights = {name: tensor.detach() for name, tensor in weights.items()}
        self.tensors = Spaceless(constants, weights, known, self._observed)
        self._wanted = ((FAR, FAR + 1),) * num_axes

    def add(self, operation: Operation, inputs: Sequence[int]) -> None:
        """Append the response of the next operation, which reads these maps: (batch, channels, 1, ..., 1)."""
        if isinstance(operation, Sizable):  # interpolations, frames and cuts leave a constant as it is
            self.maps.append(self.maps[inputs[0]])
            return
        rules = operation.rules(len(self._wanted))
        given = tuple(rule.source(Span.of(self._wanted[0]), HUGE).tolist()[0] for rule in rules)
        reach = [stop - start for start, stop in given]
        blocks = {i: self.maps[i].expand(*self.maps[i].shape[:2], *reach) for i in inputs}
        place = Place(wanted=self._wanted, given=given, sizes=(HUGE,) * len(reach))
        self.maps.append(operation.compute(blocks, self.tensors, place))

    def _observed(self, statistic: Statistic) -> Tensor:
        flat = self.maps[statistic.node].flatten(1)
        flat = flat.to(precise_type(flat.device)) if statistic.precise else flat
        fixed = {"variance": 0.0, "count": float(FAR)}
        return torch.full_like(flat, fixed[statistic.kind]) if statistic.kind in fixed else flat
