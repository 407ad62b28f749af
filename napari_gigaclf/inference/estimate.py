"""What a run will cost, said before it starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.masking import MaskedImage
from napari_gigaclf.inference.network import Network
from napari_gigaclf.inference.resample import Image
from napari_gigaclf.inference.scale import InputScale
from napari_gigaclf.inference.timing import BACKWARD_SHARE

FLOAT_BYTES = 4
HALF_BYTES = 2
READ_PX = 256
"""Side of the region whose reading is timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEstimate:
    """What a run will cost."""

    tiles: int
    """Tiles in all."""
    tiles_flat: int
    """Those known to be glass, which are skipped."""
    cells: int
    """Cells of the map that will be computed."""
    seconds: float | None
    """Expected seconds of the forward pass, reading included; None where it cannot be told."""
    saliency_seconds: float | None
    """Expected seconds of the saliency map if every tile carries gradient; often far less."""
    memory_bytes: int
    """Expected memory beyond the program itself."""
    level: int
    """Level that is read."""
    um_per_px: tuple[float, float] | None
    """Micrometres per pixel of the network's input, (y, x)."""


def estimate_run(
    network: Network, source: MaskedImage, scale: InputScale, num_cells: int, read: Callable[[Box], Image]
) -> RunEstimate:
    """Estimate a run from the engine's plan, the measured speed of the network and of one read.

    Parameters
    ----------
    network
        What runs.
    source
        What it runs on.
    scale
        At which scale.
    num_cells
        Cells that will be kept.
    read
        Reads a box of the input; timed once in its middle.
    """
    plan = network.streamed.plan(source.shape)
    flat, live_pixels = _flat_tiles(source, _tile_sides(plan.tile))
    start = time.perf_counter()
    y, x = (source.box.y0 + source.box.y1 - READ_PX) // 2, (source.box.x0 + source.box.x1 - READ_PX) // 2
    pixels = read(Box(y, y + READ_PX, x, x + READ_PX))
    read_per_pixel = (time.perf_counter() - start) / pixels[0].size
    forward = live_pixels * (network.seconds_per_pixel + read_per_pixel)
    channels, rows, columns = plan.output_shape[-3:]
    feature_map = channels * rows * columns * FLOAT_BYTES
    kept = num_cells * channels * (HALF_BYTES + FLOAT_BYTES)
    saliency = source.shape[1] * source.shape[2] * FLOAT_BYTES
    return RunEstimate(
        tiles=plan.num_tiles,
        tiles_flat=flat,
        cells=num_cells,
        seconds=forward if num_cells else 0.0,
        saliency_seconds=BACKWARD_SHARE * live_pixels * network.seconds_per_pixel + live_pixels * read_per_pixel,
        memory_bytes=int(plan.peak_bytes + 2 * feature_map + kept + saliency),
        level=scale.level,
        um_per_px=scale.um_per_px,
    )


def _tile_sides(tile: int | tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a tile."""
    return (tile, tile) if isinstance(tile, int) else (int(tile[0]), int(tile[1]))


def _flat_tiles(source: MaskedImage, tile: tuple[int, int]) -> tuple[int, int]:
    """Return the number of tiles known to be glass, and the number of pixels in the others."""
    _, height, width = source.shape
    flat, live = 0, 0
    for y in range(0, height, tile[0]):
        for x in range(0, width, tile[1]):
            rows, columns = slice(y, min(y + tile[0], height)), slice(x, min(x + tile[1], width))
            if source.flat_value is not None and source.is_flat(rows, columns):
                flat += 1
            else:
                live += (rows.stop - y) * (columns.stop - x)
    return flat, live
