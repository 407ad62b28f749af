"""Streamed against untiled: process CPU seconds and peak memory of forward and of a training step, as ratios.

Untiled and streamed alternate, each in processes of its own; two threads, ``OMP_WAIT_POLICY=PASSIVE``. A process runs
twice, since libraries prepare themselves for every new shape in the first run, which training does once. Seconds are
CPU seconds of the process (other work on the machine disturbs them little), the least of all runs; memory is the peak
of the resident set over both runs, above what it was before the first image, parameters and libraries included in that
baseline; the least of the processes.

    python benchmarks/streaming.py [--side 2048] [--repeats 2] [--networks vgg5 resnet18] [--bf16] [--budget 0.6]
        [--tile 256] [--compile]

``--bf16`` runs both under bfloat16 autocast, channels last. ``--budget`` gives the streamed step that share of the
untiled step's peak as its memory. ``--compile`` compiles both, the untiled network and the streamed one's tiles away
from the border; compiling belongs to the first run of a process, whose seconds do not count (its memory does).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}


def vgg5() -> "object":
    """Return the first five pairs of the paper's Table 2 (3x3 convolutions, 32 to 512 channels), without batch norm."""
    from napari_gigaclf.testing.networks import paper_table2_trunk

    return paper_table2_trunk(num_pairs=5)


def resnet18() -> "object":
    """Return the trunk of ResNet-18."""
    from napari_gigaclf.testing.networks import ResNet18Trunk

    return ResNet18Trunk()


NETWORKS: dict[str, Callable[[], object]] = {"vgg5": vgg5, "resnet18": resnet18}


def peak_kib() -> int:
    """Return the highest resident set since the last reset, KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak() -> int:
    """Make the present resident set the peak, where the system allows it, and return it in KiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # no Linux, or not permitted: the peak of the start-up stays in the baseline
        return peak_kib()
    return peak_kib()


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run one configuration in this process and return CPU seconds and peak memory in MB."""
    import torch

    from napari_gigaclf.streaming import stream

    torch.manual_seed(0)
    module = NETWORKS[options.one]().eval()  # type: ignore[attr-defined]
    layout = torch.channels_last if options.bf16 else torch.contiguous_format
    module = module.to(memory_format=layout)
    image = torch.rand(1, 3, options.side, options.side).to(memory_format=layout)
    if options.streamed:
        run = stream(module, tile=options.tile, memory=options.memory, compile=options.compile)
    else:
        run = torch.compile(module, dynamic=False) if options.compile else module
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
        with torch.no_grad():
            (module if options.compile else run)(image[:, :, :64, :64])  # first calls load libraries
        baseline, seconds = reset_peak(), []
        for _ in range(2):
            start = time.process_time()
            with torch.set_grad_enabled(options.step):
                out = run(image)
            if options.step:
                with torch.autocast("cpu", enabled=False):
                    out.float().square().mean().backward()
            seconds.append(time.process_time() - start)
            del out
            module.zero_grad()
    return {"seconds": min(seconds), "mb": (peak_kib() - baseline) / 1024}


def in_process(arguments: list[str]) -> dict[str, float]:
    """Run this script for one figure in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **ENVIRONMENT})
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def compare(options: argparse.Namespace, network: str) -> str:
    """Return one row per pass of the table."""
    rows = []
    for step in (True,) if options.budget else (False, True):
        best: dict[bool, dict[str, float]] = {}
        for _ in range(options.repeats):
            for streamed in (False, True):
                arguments = ["--one", network, "--side", str(options.side)]
                arguments += ["--streamed"] * streamed + ["--step"] * step + ["--bf16"] * options.bf16
                arguments += ["--compile"] * options.compile
                arguments += ["--tile", str(options.tile)] if options.tile else []
                if options.budget and streamed:
                    arguments += ["--memory", str(int(options.budget * best[False]["mb"] * 2**20))]
                found = in_process(arguments)
                old = best.get(streamed, found)
                best[streamed] = {key: min(found[key], old[key]) for key in found}
        one, two = best[False], best[True]
        time_ratio, memory_ratio = two["seconds"] / one["seconds"], two["mb"] / one["mb"]
        rows.append(
            f"| {network} | {'step' if step else 'forward'} | {one['seconds']:.1f} | {two['seconds']:.1f} | "
            f"**{time_ratio:.2f}** | {one['mb']:.0f} | {two['mb']:.0f} | **{memory_ratio:.2f}** |"
        )
    return "\n".join(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast and channels last on both sides")
    parser.add_argument("--budget", type=float, help="memory of the streamed step, as a share of the untiled peak")
    parser.add_argument("--compile", action="store_true", help="torch.compile on both sides")
    parser.add_argument("--tile", type=int, help="side of a tile; default: the plan's choice")
    parser.add_argument("--one", choices=list(NETWORKS), help=argparse.SUPPRESS)
    parser.add_argument("--streamed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        found = measure(options)
        print(json.dumps(found))
        return
    kind = ("bfloat16, channels last" if options.bf16 else "float32") + ", compiled" * options.compile
    print(f"Image 3 x {options.side} x {options.side}, {kind}.\n")
    print("| network | pass | untiled CPU s | streamed CPU s | ratio | untiled MB | streamed MB | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for network in options.networks:
        print(compare(options, network), flush=True)


if __name__ == "__main__":
    main()
