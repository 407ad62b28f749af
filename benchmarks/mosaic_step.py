"""A training step on a whole mosaic of tissue, streamed and untiled: peak memory and CPU seconds at every size.

The paper's 25-layer network (Table 2) with global max-pooling and one label, as ``napari-gigaclf train`` runs it, on
mosaics which are painted where they are read; each step in a process of its own, with two threads. Memory is the peak
of the resident set above what was held before the slide was read. Tiles of tissue repeat within large slides. Untiled
steps stop at ``--untiled-up-to``.

    python benchmarks/mosaic_step.py --tiles pcam-train.tar [--sides 1024 2048 4096 8192] [--untiled-up-to 2048]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from streaming import ENVIRONMENT, peak_kib, reset_peak

NETWORK = "paper-table2-25"
FEW = 1200
"""Tumour tiles and normal tiles that slides are made of; the archive's first ones."""


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run a step in this process and return its CPU seconds, peak memory and what the plan says, MB."""
    import torch

    from napari_gigaclf.models.networks import build
    from napari_gigaclf.streaming import stream
    from napari_gigaclf.training.experiments.painted import painted
    from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
    from napari_gigaclf.training.tiles import read_tar

    tiles = read_tar(options.tiles, cache=options.cache)
    tumour, normal = ((tiles.labels == label).nonzero()[0][:FEW] for label in (1, 0))
    pool = TilePool(images=tiles.images, tumour=tumour[:100], sham=normal[:100], background=normal[100:])
    settings = MosaicSettings(side_px=options.one, lesions=("macro",), repeat_tiles=True)
    plan = plan_slide(settings, pool, seed=1, split="train", number=0)
    torch.manual_seed(0)
    network = build(NETWORK, num_classes=2)
    trunk, tail, head = network.trunk.eval(), network.tail, network.head
    assert tail is not None
    with painted(plan, pool) as view:
        before = reset_peak()
        start = time.process_time()
        if options.untiled:
            image = torch.from_numpy(view.whole.read(slice(0, options.one), slice(0, options.one)))
            features, planned = trunk(image[None]), 0
        else:
            streamed = stream(trunk)
            planned = streamed.plan(view.whole.shape, backward=True).peak_bytes
            features = streamed.stream(view.whole)
        logits = head(tail(features).amax(dim=(-2, -1)))
        torch.nn.functional.cross_entropy(logits, torch.tensor([1])).backward()
        seconds = time.process_time() - start
    return {"seconds": seconds, "mb": (peak_kib() - before) / 1024, "planned_mb": planned / 1e6}


def in_a_process(options: argparse.Namespace, side: int, *, untiled: bool) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--tiles", str(options.tiles), "--one", str(side)]
    command += ["--cache", str(options.cache)] if options.cache else []
    command += ["--untiled"] if untiled else []
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=Path, required=True, help="tar archive of tiles (pcam-train.tar)")
    parser.add_argument("--cache", type=Path, help="folder for the decoded tiles")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--untiled-up-to", type=int, default=2048, help="largest side of an untiled step")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--untiled", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(measure(options)))
        return
    print("| image | untiled CPU s | streamed CPU s | untiled MB | streamed MB | plan MB | saved |")
    print("|---|---|---|---|---|---|---|")
    for side in options.sides:
        streamed = in_a_process(options, side, untiled=False)
        whole = in_a_process(options, side, untiled=True) if side <= options.untiled_up_to else None
        seconds, held, saved = ("", "", "")
        if whole is not None:
            seconds, held = f"{whole['seconds']:.1f}", f"{whole['mb']:.0f}"
            saved = f"{1 - streamed['mb'] / whole['mb']:.0%}"
        now, mb, planned = streamed["seconds"], streamed["mb"], streamed["planned_mb"]
        print(f"| {side} x {side} | {seconds} | {now:.1f} | {held} | {mb:.0f} | {planned:.0f} | {saved} |", flush=True)


if __name__ == "__main__":
    main()
