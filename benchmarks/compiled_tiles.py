"""Tiles that ``stream(compile=True)`` compiles, against the same tiles uncompiled: CPU milliseconds of one tile.

Both run in one process, in turns, over the same image in the same tiles; between two reports of progress lies one tile.
Of all runs but the first, in which libraries prepare themselves and the compiler is at work, the median over the tiles
that are compiled. Also printed: what the first run took longer because of the compiler.

    python benchmarks/compiled_tiles.py [--side 1280] [--tile 256] [--rounds 3] [--networks vgg5 resnet18] [--bf16]
"""

import argparse
import statistics
import time
from itertools import product

import torch

from napari_gigaclf.progress import Progress
from napari_gigaclf.streaming import StreamedModule, stream
from napari_gigaclf.streaming.planning.likeness import alike_tiles
from napari_gigaclf.testing.networks import ResNet18Trunk, paper_table2_trunk

NETWORKS = {"vgg5": lambda: paper_table2_trunk(num_pairs=5), "resnet18": ResNet18Trunk}


def tile_seconds(streamed: StreamedModule, image: torch.Tensor, bf16: bool) -> dict[str, list[float]]:
    """Return the CPU seconds of every tile, forward and backward, in raster order."""
    found: dict[str, list[float]] = {"forward": [], "backward": []}
    last = time.process_time()

    def take(progress: Progress) -> None:
        nonlocal last
        now = time.process_time()
        found[progress.phase].append(now - last)
        last = now

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        out = streamed.stream(image, progress=take)
    last = time.process_time()
    out.float().square().mean().backward()
    return {"forward": found["forward"], "backward": found["backward"][::-1]}


def compare(name: str, options: argparse.Namespace) -> None:
    """Print the lines of one network."""
    torch.manual_seed(0)
    module, layout = NETWORKS[name]().eval(), torch.channels_last if options.bf16 else torch.contiguous_format
    module = module.to(memory_format=layout)
    image = torch.rand(1, 3, options.side, options.side).to(memory_format=layout)
    ways = {wish: stream(module, tile=options.tile, compile=wish) for wish in (False, True)}
    plan = ways[True].plan(image.shape)
    alike = alike_tiles(ways[True]._graph(), plan)
    if alike is None:
        raise SystemExit(f"{name}: no two tiles of {options.tile} px are alike; give a larger --side")
    inside = [n for n, tile in enumerate(product(*map(range, plan.grid))) if tile in alike]
    runs: dict[bool, list[dict[str, list[float]]]] = {False: [], True: []}
    for _, wish in product(range(options.rounds), ways):
        runs[wish].append(tile_seconds(ways[wish], image, options.bf16))
        module.zero_grad()
    first = [sum(map(sum, runs[wish][0].values())) for wish in (False, True)]
    for phase in ("forward", "backward"):
        plain, compiled = (
            1000 * statistics.median(run[phase][n] for run in runs[wish][1:] for n in inside) for wish in (False, True)
        )
        print(f"| {name} | {phase} | {len(inside)} of {plan.num_tiles} | {plain:.0f} | {compiled:.0f} | "
              f"**{compiled / plain:.2f}** | {first[1] - first[0]:.0f} |", flush=True)  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1280)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast and channels last")
    options = parser.parse_args()
    print("| network | pass | compiled tiles | CPU ms per tile | compiled | ratio | CPU s of compiling |")
    print("|---|---|---|---|---|---|---|")
    for name in options.networks:
        compare(name, options)


if __name__ == "__main__":
    main()
