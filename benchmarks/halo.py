"""Streamed against overlapping tiles: CPU seconds and memory of a training step, in one run.

The halo scheme reads, for every tile of output cells, the cells' whole receptive field, and propagates the gradient of
the tile's own cells back through it. It is exact, too (the gradient's norm is printed beside), but computes the overlap
again and again. Each tile size is a process of its own; compare the row whose memory is nearest to the streamed one.

    python benchmarks/halo.py [--side 2048] [--networks vgg5 resnet18] [--tiles 256 512 768 1024]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from streaming import ENVIRONMENT, NETWORKS, peak_kib, reset_peak


def halo_step(module: Any, image: Any, tile: int) -> None:  # noqa: ANN401 - torch is imported late
    """Run one step with overlapping tiles: forward without gradients, loss, every tile again and back."""
    import torch

    from napari_gigaclf.streaming import stream

    geometry = stream(module).geometry()
    shape = stream(module).plan(tuple(image.shape[1:])).output_shape

    def spans(axis: int) -> list[tuple[slice, slice, slice]]:
        """Return per tile: its cells, the pixels they depend on, and its cells within the crop's own map."""
        g, cells, pixels = geometry[axis], shape[2 + axis], image.shape[2 + axis]
        own = max(tile // g.stride, 1)
        found = []
        for first in range(0, cells, own):
            last = min(first + own, cells)
            start = max((first * g.stride - g.before) // g.stride * g.stride, 0)  # whole strides, so that grids agree
            stop = min((last - 1) * g.stride - g.before + g.receptive_field, pixels)
            skip = first - start // g.stride
            found.append((slice(first, last), slice(start, stop), slice(skip, skip + last - first)))
        return found

    tiles = [(rows, columns) for rows in spans(0) for columns in spans(1)]
    out = torch.empty(shape, dtype=image.dtype)
    with torch.no_grad():
        for (rows, y, inner_y), (columns, x, inner_x) in tiles:
            out[:, :, rows, columns] = module(image[:, :, y, x])[:, :, inner_y, inner_x]
    out.requires_grad_()
    (gradient,) = torch.autograd.grad(out.square().mean(), out)
    for (rows, y, inner_y), (columns, x, inner_x) in tiles:
        module(image[:, :, y, x])[:, :, inner_y, inner_x].backward(gradient[:, :, rows, columns])


def measure(network: str, side: int, tile: int) -> dict[str, float]:
    """Run a step in this process; tile 0 is the streamed network with the plan's own tile."""
    import torch

    from napari_gigaclf.streaming import stream

    torch.manual_seed(0)
    module = NETWORKS[network]().eval()  # type: ignore[attr-defined]
    image = torch.rand(1, 3, side, side)
    with torch.no_grad():
        module(image[:, :, :64, :64])
    baseline, start = reset_peak(), time.process_time()
    if tile:
        halo_step(module, image, tile)
    else:
        stream(module)(image).square().mean().backward()
    norm = sum(float(p.grad.double().square().sum()) for p in module.parameters()) ** 0.5
    return {"seconds": time.process_time() - start, "mb": (peak_kib() - baseline) / 1024, "gradient_norm": norm}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 768, 1024])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], options.side, int(options.one[1]))))
        return
    print("| network | scheme | CPU s | over streamed | MB | gradient norm |\n|---|---|---|---|---|---|")
    for network in options.networks:
        streamed = None
        for tile in [0, *options.tiles]:
            command = [sys.executable, str(Path(__file__).resolve()), "--side", str(options.side)]
            command += ["--one", network, str(tile)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env={**os.environ, **ENVIRONMENT}
            )
            found = json.loads(done.stdout.splitlines()[-1])
            streamed = streamed or found["seconds"]
            scheme = f"halo, tile {tile}" if tile else "streamed"
            print(
                f"| {network} | {scheme} | {found['seconds']:.1f} | {found['seconds'] / streamed:.2f} | "
                f"{found['mb']:.0f} | {found['gradient_norm']:.6g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
