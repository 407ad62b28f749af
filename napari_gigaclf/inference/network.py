"""A model made ready to stream: a private copy on its device, whose weights need no gradient.

Nothing of the caller's model is touched.
"""

import copy
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.inference.cells import CellAxis
from napari_gigaclf.inference.devices import Device
from napari_gigaclf.inference.timing import PROBE_PX, responsive_tile, seconds_per_pixel, streamed_seconds_per_pixel
from napari_gigaclf.streaming import CellGeometry, StreamedModule, stream

if TYPE_CHECKING:
    from napari_gigaclf.models import Classifier


DEFAULT_TILE = 512
"""Side of a tile in pixels of the input where the caller names neither tile, memory nor time: small enough to skip
glass, large enough to keep borders few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model on a device, streamed."""

    model: "Classifier"
    """Private copy in eval mode."""
    streamed: StreamedModule
    """Its features, streamed."""
    axes: tuple[CellAxis, CellAxis]
    """Cells of the map along y and x."""
    target: torch.device
    """Where it is."""
    tile_is_free: bool
    """Whether neither tile nor memory was asked for."""

    def seconds_per_pixel(self, tile: tuple[int, ...]) -> float:
        """Return the measured time of a forward pass in tiles of this shape; large ones are as fast as smaller ones."""
        side = min(*tile, PROBE_PX)
        return streamed_seconds_per_pixel(self.with_tile(side).streamed, self.target, side)

    def apart(self) -> StreamedModule:
        """Return the same streamed features with plans and a report of their own: a run may be under way with these."""
        return copy.copy(self.streamed)

    def with_tile(self, side: int) -> "Network":
        """Return the same network in tiles of another side, pixels of the input."""
        return dataclasses.replace(self, streamed=stream(self.streamed.module, tile=side))


def make_network(
    model: "Classifier",
    device: Device,
    *,
    tile: int | tuple[int, int] | None,
    memory: int | str | None,
    tile_seconds: float | None,
) -> Network:
    """Copy a model to a device and wrap its features for streaming.

    Parameters
    ----------
    model
        Any classifier; left as it is.
    device
        Where it runs.
    tile
        Side of the tiles in pixels of the input, one or one per axis; None chooses.
    memory
        Budget of the engine, bytes or text; it chooses the tile where ``tile`` is None.
    tile_seconds
        Longest time of a tile, for a window that must answer soon; None takes the same tile on every machine, so that
        a run repeats to the last bit.

    Raises
    ------
    UnsupportedOperation
        The engine cannot stream the model's trunk exactly.
    """
    target = torch.device(device.key)
    private = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    # Weights with channels last make the maps so too: a fifth less time on CPUs, the same arithmetic.
    private = private.to(target).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = private.features
    streamed = stream(features, tile=tile, memory=memory)
    axes = cell_axes(streamed)
    stride = max(axis.stride for axis in axes)
    if tile is None and memory is None:
        side = DEFAULT_TILE
        if tile_seconds is not None:
            side = responsive_tile(seconds_per_pixel(features, target), stride, tile_seconds)
        streamed = stream(features, tile=side)
    return Network(
        model=private,
        streamed=streamed,
        axes=axes,
        target=target,
        tile_is_free=tile is None and memory is None,
    )


def cell_axes(streamed: StreamedModule) -> tuple[CellAxis, CellAxis]:
    """Return how cells lie along y and x.

    Raises
    ------
    UnsupportedOperation
        If the map is up-sampled: its cells are then not all alike, and a crop would have to begin at the right one.
    """
    y, x = (_cell_axis(cell) for cell in streamed.geometry())
    return y, x


def _cell_axis(cell: CellGeometry) -> CellAxis:
    """Return one axis in whole pixels."""
    stride, before, receptive_field = cell.stride, cell.before, cell.receptive_field
    whole = isinstance(stride, int) and isinstance(before, int) and isinstance(receptive_field, int)
    if not whole or cell.period != stride:
        raise UnsupportedOperation(
            "cannot classify with features that are up-sampled: their cells are not all alike; "
            "leave the up-sampling out of the model's features"
        )
    return CellAxis(stride=int(stride), before=int(before), receptive_field=int(receptive_field))
