"""What can be known of maps while the code is read: how many channels they have, and what shape a function gives.

An image of one pixel is run through the operations found so far, with the module's own weights
(:mod:`..network.responding`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from napari_gigaclf.streaming.network.graph import Node
from napari_gigaclf.streaming.network.operations import Argument, Convolution, fill_in
from napari_gigaclf.streaming.network.responding import Responses
from napari_gigaclf.streaming.network.sizes import LARGE, ImageFacts
from napari_gigaclf.streaming.network.spaceless import Constant

_ANY_IMAGE = (3, 1, LARGE, 2 * LARGE, 4 * LARGE)
"""A shape whose sizes are told apart, and divisible by most strides."""


class Scout:
    """Looks at maps that the code has made so far.

    Parameters
    ----------
    nodes, constants
        Of the graph; more are appended while the code is read.
    values
        Present values of the tensors without space, None for those behind statistics.
    weights
        The module's parameters and buffers, by name.
    image
        The shape of an image that the code takes, (batch, channels, *space); None where none is known.
    channels
        Of the image, where no more of its shape is known; None: as many as the first convolution takes.
    """

    def __init__(
        self, nodes: Sequence[Node], constants: Sequence[Constant], values: Sequence[Any],
        weights: Mapping[str, Tensor], image: tuple[int, ...] | None, channels: int | None = None,
    ) -> None:  # fmt: skip
        self._nodes, self._constants, self._values, self._weights = nodes, constants, values, weights
        self._image, self._channels = image, channels
        self.assumed: int | None = None
        """Channels of the image which the answers hold for; None where no answer depends on them."""
        self._responses: Responses | None = None

    def facts(self, num_axes: int) -> ImageFacts:
        """Return an image on which sizes that the code takes from maps can be tried."""
        return ImageFacts(shape=self._image or _ANY_IMAGE[: num_axes + 2], double=False)

    def channels(self, index: int, num_axes: int | None) -> int | None:
        """Return how many channels a map has; None where that is not known yet."""
        responses = self._run(num_axes)
        return None if responses is None else responses.maps[index].shape[1]

    def shape(
        self, function: Callable[..., Tensor], args: Argument, kwargs: Mapping[str, Argument], num_axes: int | None
    ) -> tuple[int, ...] | None:
        """Return the shape a function gives for maps of one place; None where that is not known yet."""
        responses = self._run(num_axes)
        if responses is None:
            return None
        blocks = dict(enumerate(responses.maps))
        with torch.no_grad():
            given = fill_in(args, blocks, responses.tensors)
            assert isinstance(given, tuple)
            named = {key: fill_in(item, blocks, responses.tensors) for key, item in kwargs.items()}
            return tuple(function(*given, **named).shape)

    def _run(self, num_axes: int | None) -> Responses | None:
        """Return the responses of all operations so far; None where there are none to be had."""
        if num_axes is None:
            return None
        try:
            with torch.no_grad():
                responses = self._responses or self._begun(num_axes)
                while responses is not None and len(responses.maps) < len(self._nodes):
                    node = self._nodes[len(responses.maps)]
                    responses.add(node.operation, node.inputs)
        except (RuntimeError, ValueError, TypeError, LookupError):  # whatever is wrong, a real image will tell
            return None
        self._responses = responses
        return responses

    def _begun(self, num_axes: int) -> Responses | None:
        """Return the response of the image itself."""
        channels = self._image[1] if self._image else self._channels or self._channels_taken()
        if channels is None:
            return None
        self.assumed = channels
        like = next((weight for weight in self._weights.values() if weight.is_floating_point()), torch.zeros(()))
        batch = self._image[0] if self._image else 1  # arithmetic on statistics may name it
        value = torch.zeros((batch, channels), dtype=like.dtype, device=like.device)
        return Responses(value, self._constants, self._weights, num_axes)

    def _channels_taken(self) -> int | None:
        for node in self._nodes:
            if isinstance(node.operation, Convolution):
                weight = self._values[node.operation.weight.index]
                return int(weight.shape[1] * node.operation.groups)
        return None
