"""What a run will cost, said before it starts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.masking import MaskedImage
from napari_gigaclf.inference.network import Network
from napari_gigaclf.inference.resample import Image
from napari_gigaclf.inference.scale import InputScale
from napari_gigaclf.inference.storage import IN_MEMORY_BYTES
from napari_gigaclf.inference.timing import BACKWARD_SHARE
from napari_gigaclf.streaming import StreamPlan
from napari_gigaclf.streaming.running.heap import ALLOWANCE

FLOAT_BYTES, INDEX_BYTES = 4, 8
MEMORY_SHARE = 0.4
"""Share of the free memory that the engine may take where the caller does not say."""
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
    """Expected memory of the forward pass beyond the program itself."""
    saliency_memory_bytes: int
    """Expected memory on top of that for a saliency map."""
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
    flat, live_pixels = _flat_tiles(source, plan.tile)
    start = time.perf_counter()
    y, x = (source.box.y0 + source.box.y1 - READ_PX) // 2, (source.box.x0 + source.box.x1 - READ_PX) // 2
    pixels = read(Box(y, y + READ_PX, x, x + READ_PX))
    read_per_pixel = (time.perf_counter() - start) / pixels[0].size
    per_pixel = network.seconds_per_pixel(plan.tile)
    forward = live_pixels * (per_pixel + read_per_pixel)
    channels, rows, columns = plan.output_shape[-3:]
    features = num_cells * channels * FLOAT_BYTES
    maps = rows * columns * (INDEX_BYTES + len(network.model.classes) * FLOAT_BYTES)
    raster = source.shape[1] * source.shape[2] * FLOAT_BYTES
    engine = network.streamed.plan(source.shape, backward=False).peak_bytes
    return RunEstimate(
        tiles=plan.num_tiles,
        tiles_flat=flat,
        cells=num_cells,
        seconds=forward if num_cells else 0.0,
        saliency_seconds=BACKWARD_SHARE * live_pixels * per_pixel + live_pixels * read_per_pixel,
        # What gathers on the heap; features as the engine hands them on, and as they are stored: large ones on disk.
        memory_bytes=engine + ALLOWANCE + features + min(features, IN_MEMORY_BYTES) + maps,
        saliency_memory_bytes=max(engine_bytes(plan, flat) - engine, 0) + features + min(raster, IN_MEMORY_BYTES),
        level=scale.level,
        um_per_px=scale.um_per_px,
    )


def engine_bytes(plan: StreamPlan, tiles_flat: int) -> int:
    """Return what the engine holds for a forward and a backward pass: borders of glass take no memory."""
    live = 1 - tiles_flat / plan.num_tiles
    return int(plan.peak_bytes - plan.carry_bytes * (1 - live))


def fit_memory(network: Network, source: MaskedImage, free_bytes: int | None) -> Network:
    """Return the network in tiles large enough that their borders fit into memory.

    A backward pass needs the borders of all tiles, the more the smaller the tiles: for an input of 25 800 x 25 800
    pixels the built-in network needs 7.4 GB in tiles of 256 and 2.4 GB in tiles of 1024. Only where the caller asked
    for neither tile nor memory.

    Parameters
    ----------
    network
        With the tile chosen for its time.
    source
        What it will run on.
    free_bytes
        Free memory of the device; None where unknown.
    """
    if not network.tile_is_free or free_bytes is None:
        return network
    best, best_bytes = network, _need(network, source)
    while best_bytes > MEMORY_SHARE * free_bytes:
        larger = best.with_tile(2 * max(best.streamed.plan(source.shape).tile))
        larger_bytes = _need(larger, source)
        if larger_bytes >= best_bytes:
            break
        best, best_bytes = larger, larger_bytes
    return best


def _need(network: Network, source: MaskedImage) -> int:
    """Return the engine's bytes for a source."""
    plan = network.streamed.plan(source.shape)
    return engine_bytes(plan, _flat_tiles(source, plan.tile)[0])


def _flat_tiles(source: MaskedImage, tile: tuple[int, ...]) -> tuple[int, int]:
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
