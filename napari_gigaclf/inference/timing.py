"""How fast this machine runs this network, measured once, so that a run can be announced with its time.

To choose a tile, the network runs untiled on 256 x 256 pixels: streaming has the same arithmetic. To announce a run, it
runs streamed in the tiles of the run: small ones cost more (tiles of 128 pixels twice as much as tiles of 256).
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_gigaclf.streaming import StreamedModule

PROBE_PX = 256
"""Side of the image that is timed."""
TILE_SIDES = (1024, 768, 512, 384, 256, 192, 128)
"""Tiles to choose from, pixels of the input."""
BACKWARD_SHARE = 3.0
"""A backward pass with recomputation, in forward passes."""

_measured: dict[tuple[object, ...], float] = {}
_lock = threading.Lock()


def seconds_per_pixel(network: "nn.Module", device: "torch.device") -> float:
    """Return seconds per input pixel of a forward pass; measured once for networks of the same layers, then remembered.

    Parameters
    ----------
    network
        Images (1, 3, H, W) -> features, on its device.
    device
        Where it runs.
    """
    return _once(network, device, "untiled", lambda: _measure(network, network, device, PROBE_PX, turns=6))


def streamed_seconds_per_pixel(streamed: "StreamedModule", device: "torch.device", tile: int) -> float:
    """Return seconds per input pixel of a forward pass in tiles; measured once for the same layers and tile.

    Parameters
    ----------
    streamed
        The network in tiles of this side.
    device
        Where it runs.
    tile
        Side of a tile in pixels of the input.
    """
    network = streamed.module
    return _once(network, device, tile, lambda: _measure(streamed, network, device, max(2 * tile, PROBE_PX), turns=3))


def _once(network: "nn.Module", device: "torch.device", how: object, measure: Callable[[], float]) -> float:
    """Measure, unless the same layers were measured in this way before."""
    import torch

    layers = str(network), tuple(tuple(value.shape) for value in network.state_dict().values())
    key = (*layers, str(device), torch.get_num_threads(), how)
    with _lock:
        if key not in _measured:
            _measured[key] = measure()
        return _measured[key]


def _measure(
    run: "Callable[[torch.Tensor], torch.Tensor]", network: "nn.Module", device: "torch.device", side: int, turns: int
) -> float:
    """Time forward passes of a square image: the best, after one that warms up."""
    import torch

    parameter = next(network.parameters(), None)
    dtype = torch.float32 if parameter is None else parameter.dtype
    image = torch.rand(1, 3, side, side, device=device, dtype=dtype)
    best = float("inf")
    with torch.no_grad():
        for turn in range(turns):
            start = time.perf_counter()
            run(image).sum().item()  # item() waits for the device
            if turn:
                best = min(best, time.perf_counter() - start)
    return best / image[0, 0].numel()


def responsive_tile(per_pixel: float, stride: int, tile_seconds: float) -> int:
    """Return the largest tile side whose backward pass ends within ``tile_seconds``, a multiple of the stride.

    Examples
    --------
    >>> responsive_tile(1e-7, 32, 0.3), responsive_tile(1e-5, 32, 0.3)
    (768, 128)
    """
    fitting = (side for side in TILE_SIDES if side * side * per_pixel * BACKWARD_SHARE <= tile_seconds)
    side = next(fitting, TILE_SIDES[-1])
    return max(side // stride, 1) * stride
