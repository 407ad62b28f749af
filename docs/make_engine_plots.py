"""Makes the plots of the engine: the paper's Figures 2, 3 and 4 again (Pinckaers et al., arXiv:1911.04432).

    python docs/make_engine_plots.py loss --tiles pcam-valid.tar     Figure 4: loss curve, streamed and untiled
    python docs/make_engine_plots.py tile-size                       Figure 2: time and memory over the side of a tile
    python docs/make_engine_plots.py image-size                      Figure 3: the same over the size of the image
    python docs/make_engine_plots.py growth gigapixel-growth.json    cost over 1 to thousands of megapixels

``growth`` draws what ``benchmarks/gigapixel.py growth`` printed. Time is CPU seconds, every figure from a process of
its own; memory is the peak above what was held before.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent / "pictures"
BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "streaming.py"
TILE = 32
BATCH = 32
STEPS = 200
LEARNING_RATE = 0.02


def classifier() -> Any:
    """Return the paper's Table 1 network for small tiles: streamed trunk, last convolution, maximum, linear layer."""
    import torch
    from torch import nn

    from napari_gigaclf.testing.networks import paper_table1_trunk

    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(256, 2)
    )
    model = nn.ModuleDict({"trunk": paper_table1_trunk(), "head": head})
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


def losses(tiles: Path, steps: int, streamed: bool, double: bool) -> list[float]:
    """Train from the fixed initialisation on the same batches and return the loss of every step."""
    import torch
    from torch.nn import functional as F

    from napari_gigaclf.streaming import stream
    from napari_gigaclf.training.tiles import read_tar

    data = read_tar(tiles)
    dtype = torch.float64 if double else torch.float32
    model = classifier().to(dtype)
    trunk = stream(model["trunk"], tile=TILE) if streamed else model["trunk"]
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    rng, found = np.random.default_rng(0), []
    for _ in range(steps):
        chosen = rng.choice(len(data), BATCH, replace=False)
        images = torch.from_numpy(data.images[chosen]).permute(0, 3, 1, 2).to(dtype) / 255
        loss = F.cross_entropy(model["head"](trunk(images)), torch.from_numpy(data.labels[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return found


def draw_losses(tiles: Path, steps: int) -> None:
    """Draw both curves, and by how much they differ in single and double precision."""
    single = [np.array(losses(tiles, steps, streamed, double=False)) for streamed in (False, True)]
    double = [np.array(losses(tiles, steps, streamed, double=True)) for streamed in (False, True)]
    figure, (above, below) = plt.subplots(2, 1, figsize=(6, 5), sharex=True, height_ratios=(2, 1))
    above.plot(single[0], lw=3, color="0.7", label="untiled")
    above.plot(single[1], lw=1, color="C3", label=f"streamed, tiles of {TILE}")
    above.set(ylabel="training loss")
    above.legend(frameon=False)
    below.semilogy(np.maximum(np.abs(single[0] - single[1]), 1e-17), lw=1, label="float32")
    below.semilogy(np.maximum(np.abs(double[0] - double[1]), 1e-17), lw=1, label="float64")
    below.set(xlabel=f"step (SGD, batch {BATCH})", ylabel="difference")
    below.legend(frameon=False)
    save(figure, "engine-loss")
    for name, (one, two) in (("float32", single), ("float64", double)):
        differ = np.abs(one - two).max()
        print(f"{name}: loss {one[:10].mean():.4f} -> {one[-10:].mean():.4f}, largest difference {differ:.1e}")


def measured(network: str, side: int, tile: int | None, step: bool, streamed: bool = True) -> dict[str, float]:
    """Return CPU seconds and MB of one run in a process of its own."""
    command = [sys.executable, str(BENCHMARK), "--one", network, "--side", str(side)]
    command += ["--streamed"] * streamed + ["--step"] * step + (["--tile", str(tile)] if tile else [])
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw_tile_size(side: int) -> None:
    """Draw time and memory of a training step over the side of a tile."""
    tiles = [64, 128, 192, 256, 384, 512, 768, 1024]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for network in ("vgg5", "resnet18"):
        untiled = measured(network, side, None, step=True, streamed=False)
        runs = [measured(network, side, tile, step=True) for tile in tiles]
        for axis, key in zip(axes, ("seconds", "mb"), strict=True):
            axis.plot(tiles, [run[key] / untiled[key] for run in runs], marker="o", label=network)
        print(network, untiled, runs)
    for axis, name in zip(axes, ("time", "memory"), strict=True):
        axis.axhline(1, color="0.7", lw=1)
        axis.set(xlabel="side of a tile, pixels", ylabel=f"{name} of a step / untiled", xscale="log", ylim=(0, None))
        axis.set_xticks(tiles, [str(tile) for tile in tiles], minor=False)
        axis.legend(frameon=False)
    save(figure, "engine-tile-size")


def draw_image_size() -> None:
    """Draw time and memory of a training step over the side of the image."""
    sides = [512, 1024, 1536, 2048, 3072]  # at 4096, PyTorch takes another convolution for VGG, fifteen times slower
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for number, network in enumerate(("vgg5", "resnet18")):
        for streamed, style in ((False, "--"), (True, "-")):
            runs = [measured(network, side, None, step=True, streamed=streamed) for side in sides]
            for axis, key in zip(axes, ("seconds", "mb"), strict=True):
                label = f"{network}, {'streamed' if streamed else 'untiled'}"
                values = [run[key] for run in runs]
                axis.plot([s**2 / 1e6 for s in sides], values, style, marker="o", color=f"C{number}", label=label)
            print(network, streamed, runs)
    for axis, name in zip(axes, ("CPU seconds of a step", "memory of a step, MB"), strict=True):
        axis.set(xlabel="megapixels", ylabel=name)
    axes[0].legend(frameon=False)
    save(figure, "engine-image-size")


def draw_growth(file: Path) -> None:
    """Draw seconds and memory over megapixels, with the slope of a straight line through the seconds."""
    runs = json.loads(file.read_text())
    size = np.array([run["megapixels"] for run in runs])
    seconds = np.array([run["cpu_s"] - run["reading_cpu_s"] for run in runs])
    slope, _ = np.polyfit(np.log(size[1:]), np.log(seconds[1:]), 1)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    axes[0].loglog(size, seconds, marker="o", label="streamed")
    floor = seconds[0] / size[0]
    axes[0].loglog(size, floor * size, "--", color="0.6", label="in proportion to the smallest")
    axes[0].legend(frameon=False, loc="lower right")
    axes[0].set(xlabel="megapixels", ylabel="CPU seconds, forward", title=f"seconds ~ size^{slope:.2f}")
    axes[1].semilogx(size, [run["peak_mb"] for run in runs], marker="o")
    axes[1].set(xlabel="megapixels", ylabel="peak memory of the process, MB", ylim=(0, None))
    save(figure, "engine-growth")
    print(f"slope {slope:.3f}; seconds per megapixel {(seconds / size).round(4).tolist()}")


def save(figure: Any, name: str) -> None:
    """Write a plot as PNG."""
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=110)
    plt.close(figure)


def main() -> None:
    """Make one plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plot", choices=["loss", "tile-size", "image-size", "growth"])
    parser.add_argument("file", type=Path, nargs="?", help="what benchmarks/gigapixel.py growth printed")
    parser.add_argument("--tiles", type=Path, help="archive of labelled tiles, a folder per class")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--side", type=int, default=2048)
    options = parser.parse_args()
    if options.plot == "loss":
        draw_losses(options.tiles, options.steps)
    elif options.plot == "tile-size":
        draw_tile_size(options.side)
    elif options.plot == "image-size":
        draw_image_size()
    else:
        draw_growth(options.file)


if __name__ == "__main__":
    main()
