"""Images of a gigapixel and beyond through the paper's Table 1 network: seconds, memory, tiles run and skipped.

    python benchmarks/gigapixel.py forward  [--side 100000] [--share 0.1]   the phantom, mostly glass, read lazily
    python benchmarks/gigapixel.py step     [--side 31623]   a training step with global max-pooling, tissue everywhere
    python benchmarks/gigapixel.py gradient [--side 31623]   the gradient of every pixel, into a zarr array on disk
    python benchmarks/gigapixel.py growth   [--sides 1000 3162 10000 31623]   forward, tissue everywhere

Every figure comes from its own process and is printed as JSON. Seconds are CPU seconds of the process; memory is the
peak resident set of the whole process, libraries included. The untiled cost per megapixel comes from the same network
on 2048 x 2048 in a process of its own, in the same run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
SEED = 7
GRAIN = 128
"""Level-0 pixels per position of the raster that says where tissue is (the phantom's coarsest level)."""
UNTILED_SIDE = 2048
PATCH = 1024
WHITE = 1.0


class PhantomSource:
    """The phantom's finest level, of which a share is kept as tissue; the rest is one declared white."""

    dtype = np.dtype(np.float32)

    def __init__(self, side: int, share: float) -> None:
        from napari_gigaclf.slides.phantom import PhantomSlide

        self.slide = PhantomSlide(SEED, (side, side))
        self.shape = (3, side, side)
        self.flat_value = np.full(3, WHITE, dtype=np.float32)
        self.tissue = chosen_tissue(self.slide, share)
        self.total = np.zeros(tuple(n + 1 for n in self.tissue.shape), dtype=np.int64)
        self.total[1:, 1:] = self.tissue.cumsum(0).cumsum(1)
        self.seconds = 0.0
        """CPU seconds of reading, on whichever thread it happened."""

    def is_flat(self, rows: slice, columns: slice) -> bool:
        """Return whether a region holds no tissue."""
        y0, y1 = rows.start // GRAIN, -(-rows.stop // GRAIN)
        x0, x1 = columns.start // GRAIN, -(-columns.stop // GRAIN)
        total = self.total
        return bool(total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0] == 0)

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return (3, y, x) in [0, 1], white where there is no tissue."""
        begin = time.thread_time()
        block = np.full((3, rows.stop - rows.start, columns.stop - columns.start), WHITE, dtype=np.float32)
        if not self.is_flat(rows, columns):
            pixels = self.slide.read(0, rows.start, rows.stop, columns.start, columns.stop)
            y, x = (np.arange(part.start, part.stop) // GRAIN for part in (rows, columns))
            shown = self.tissue[np.ix_(y, x)]
            np.multiply(pixels.transpose(2, 0, 1), np.float32(1 / 255), out=block, where=shown)
        self.seconds += time.thread_time() - begin
        return block


def chosen_tissue(slide: Any, share: float) -> NDArray[np.bool_]:  # noqa: ANN401 - the phantom
    """Return where tissue is kept, one position per GRAIN pixels: islands from the top until they cover the share."""
    coarsest = slide.levels[-1]
    side = -(-slide.levels[0].height // GRAIN)
    assert coarsest.height == side, "the coarsest level is the raster"
    pixels = slide.read(len(slide.levels) - 1, 0, side, 0, side).astype(np.int16)
    stained = pixels.max(axis=2) - pixels.min(axis=2) > 30
    rows = stained.mean(axis=1).cumsum() / side
    stained[int(np.searchsorted(rows, share)) :] = False
    return stained


class TissueSource:
    """Tissue everywhere: a patch of the phantom again and again, under a light that differs from place to place."""

    dtype = np.dtype(np.float32)

    def __init__(self, side: int) -> None:
        from napari_gigaclf.slides.phantom import PhantomSlide

        pixels = PhantomSlide(SEED, (100_000, 100_000)).read(0, 30_000, 30_000 + PATCH, 40_000, 40_000 + PATCH)
        self.patch = pixels.transpose(2, 0, 1).astype(np.float32) / 255
        self.shape = (3, side, side)
        self.seconds = 0.0

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return (3, y, x) in [0, 1]."""
        begin = time.thread_time()
        y, x = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
        light = 0.9 + 0.1 * np.sin(y * 1e-4 + 1)[:, None] * np.sin(x * 1.1e-4 + 2)[None, :]
        block: NDArray[np.float32] = self.patch[:, (y % PATCH)[:, None], x % PATCH] * light.astype(np.float32)
        self.seconds += time.thread_time() - begin
        return block


def network() -> Any:  # noqa: ANN401 - torch is imported late
    """Return the streamed part of the paper's Table 1 network, same weights every time."""
    import torch

    from napari_gigaclf.testing.networks import paper_table1_trunk

    torch.manual_seed(SEED)
    return paper_table1_trunk()


def classifier() -> Any:  # noqa: ANN401 - torch is imported late
    """Return the network with global max-pooling and a linear layer, as in the paper."""
    from torch import nn

    return nn.Sequential(network(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(128, 2))


def peak_mb() -> int:
    """Return the peak resident set of this process, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return both."""
        return {
            "cpu_s": round(time.process_time() - self.cpu, 1),
            "wall_s": round(time.perf_counter() - self.wall, 1),
        }


def work_of(report: Any) -> dict[str, object]:  # noqa: ANN401 - a StreamReport
    """Return the counts of a run."""
    return {
        "tiles": report.tiles,
        "tiles_run": report.tiles_run,
        "skipped_flat": report.tiles_skipped_flat,
        "run_backward": report.tiles_run_backward,
        "carry_mb": round(report.peak_carry_bytes / 1e6),
    }


def run_untiled() -> dict[str, object]:
    """Return CPU seconds per megapixel of the untiled forward pass and step."""
    import torch

    source = TissueSource(UNTILED_SIDE)
    image = torch.from_numpy(source.read(slice(0, UNTILED_SIDE), slice(0, UNTILED_SIDE))).unsqueeze(0)
    net, megapixels = network(), UNTILED_SIDE**2 / 1e6
    with torch.no_grad():
        net(image[..., :128, :128])
        clock = Clock()
        net(image)
        forward = clock.read()["cpu_s"]
    clock = Clock()
    net(image).amax((2, 3)).sum().backward()
    return {"forward_s_per_mp": forward / megapixels, "step_s_per_mp": clock.read()["cpu_s"] / megapixels}


def run_forward(side: int, share: float, memory: str, tile: int | None) -> dict[str, object]:
    """Run the phantom forward, to the answer for the slide: the features of all tissue alone would take 2 GB."""
    import torch

    from napari_gigaclf.streaming import stream

    source, net = PhantomSource(side, share), stream(classifier(), memory=memory, tile=tile)
    clock = Clock()
    with torch.no_grad():
        net.stream(source)
    seconds = clock.read()
    return {
        **seconds, "reading_cpu_s": round(source.seconds, 1), "tissue_share": round(float(source.tissue.mean()), 4),
        "megapixels": side**2 / 1e6, "peak_mb": peak_mb(), **work_of(net.last_report),
    }  # fmt: skip


def run_everywhere(side: int, memory: str) -> dict[str, object]:
    """Run forward over tissue everywhere, to the answer: the features of a gigapixel alone would take 2 GB."""
    import torch

    from napari_gigaclf.streaming import stream

    source, net = TissueSource(side), stream(classifier(), memory=memory)
    clock = Clock()
    with torch.no_grad():
        net.stream(source)
    return {
        **clock.read(), "reading_cpu_s": round(source.seconds, 1), "megapixels": side**2 / 1e6, "peak_mb": peak_mb(),
        **work_of(net.last_report),
    }  # fmt: skip


def run_step(side: int, memory: str) -> dict[str, object]:
    """Run a training step: global max-pooling, a linear head, a loss, backward."""
    import torch
    from torch import nn

    from napari_gigaclf.streaming import stream

    source, net = TissueSource(side), stream(classifier(), memory=memory)
    clock = Clock()
    logits = net.stream(source)
    forward = clock.read()
    nn.functional.cross_entropy(logits, torch.tensor([1])).backward()
    seconds = clock.read()
    report = net.last_report
    return {
        **seconds, "forward_cpu_s": forward["cpu_s"],
        "step_over_forward": round(seconds["cpu_s"] / forward["cpu_s"], 3),
        "expected": round(1 + 3 * report.tiles_run_backward / report.tiles_run, 3),
        "reading_cpu_s": round(source.seconds, 1), "megapixels": side**2 / 1e6, "peak_mb": peak_mb(), **work_of(report),
    }  # fmt: skip


def run_gradient(side: int, memory: str, folder: Path) -> dict[str, object]:
    """Write the gradient of the mean feature with respect to every pixel to disk."""
    import zarr

    from napari_gigaclf.streaming import stream

    source, net = TissueSource(side), stream(network(), memory=memory)
    net.requires_grad_(False)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        sink = zarr.create_array(
            place / "gradient.zarr", shape=source.shape, chunks=(3, PATCH, PATCH), dtype="float32", compressors=None
        )
        clock = Clock()
        net.stream(source, sink=sink).mean().backward()
        seconds = clock.read()
        middle = np.asarray(sink[:, side // 2 : side // 2 + 64, side // 2 : side // 2 + 64])
        assert np.abs(middle).max() > 0, "the gradient was written"
    finally:
        shutil.rmtree(place)
    return {
        **seconds, "megapixels": side**2 / 1e6, "written_gb": round(4 * 3 * side**2 / 1e9, 1), "peak_mb": peak_mb(),
        **work_of(net.last_report),
    }  # fmt: skip


def in_process(*arguments: str) -> dict[str, Any]:
    """Run one figure in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "one", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT})
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def forward(options: argparse.Namespace) -> dict[str, object]:
    """Compare the phantom's run with tissue share x untiled cost + reading."""
    untiled = in_process("untiled")
    found = in_process(
        "forward", "--side", str(options.side or 100_000), "--share", str(options.share), *memory(options)
    )
    floor = found["tissue_share"] * found["megapixels"] * untiled["forward_s_per_mp"] + found["reading_cpu_s"]
    return {**untiled, **found, "floor_cpu_s": round(floor, 1), "over_floor": round(found["cpu_s"] / floor, 3)}


def memory(options: argparse.Namespace) -> list[str]:
    """Return the budget as arguments."""
    return ["--memory", options.memory, *([] if options.tile is None else ["--tile", str(options.tile)])]


def run_one(options: argparse.Namespace) -> dict[str, object]:
    """Run one figure in this process."""
    if options.what == "untiled":
        return run_untiled()
    if options.what == "forward":
        return run_forward(options.side, options.share, options.memory, options.tile)
    if options.what == "step":
        return run_step(options.side, options.memory)
    if options.what == "gradient":
        return run_gradient(options.side, options.memory, options.folder)
    return run_everywhere(options.side, options.memory)


def main() -> None:
    """Run one measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["forward", "step", "gradient", "growth", "one"])
    parser.add_argument("what", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int)
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 3162, 10_000, 31_623])
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--memory", default="400MB", help="budget of the engine")
    parser.add_argument("--tile", type=int, help="side of a tile of the forward run; default: the plan's choice")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the gradient is written"
    )
    options = parser.parse_args()
    if options.command == "one":
        result: object = run_one(options)
    elif options.command == "forward":
        result = forward(options)
    elif options.command == "growth":
        result = [in_process("everywhere", "--side", str(side), *memory(options)) for side in options.sides]
    else:
        extra = ["--folder", str(options.folder), *memory(options)]
        result = {**in_process("untiled"), **in_process(options.command, "--side", str(options.side or 31_623), *extra)}
    print(json.dumps(result, indent=None if options.command == "one" else 1))


if __name__ == "__main__":
    main()
