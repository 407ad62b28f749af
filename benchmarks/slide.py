"""Classify a whole slide with saliency, with and without its tissue mask: seconds, memory, share of glass skipped.

    python benchmarks/slide.py SLIDE [--model lymph-node-metastasis] [--slide-um-per-px X]

Each figure comes from its own process; CPU seconds of the process and its peak resident memory are printed beside wall
seconds, since other work on the machine disturbs the latter. ``--raw`` runs a single configuration and prints JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

CONFIGURATIONS = {
    "tissue, with saliency": ("--tissue", "--saliency"),
    "tissue": ("--tissue",),
    "everything, glass too": (),
}


def measure(path: Path, model_name: str, um_per_px: float | None, tissue: bool, saliency: bool) -> dict[str, object]:
    """Run one configuration in this process."""
    from napari_gigaclf import classify, load_model, open_slide

    slide, model = open_slide(path, um_per_px), load_model(model_name)
    wall, cpu = time.perf_counter(), time.process_time()
    prediction = classify(slide, model, tissue=tissue, saliency=model.classes[-1] if saliency else None)
    work, shown = prediction.record.work, prediction.record.input.shape
    return {
        "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "megapixels": round(shown[0] * shown[1] / 1e6, 1),
        "tiles": work.tiles,
        "skipped_glass": round(work.tiles_skipped_flat / work.tiles, 3),
        "skipped_backward": round(work.tiles_skipped_zero / work.tiles, 3) if saliency else None,
    }


def main() -> None:
    """Print a table, one row per configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="lymph-node-metastasis")
    parser.add_argument("--slide-um-per-px", type=float, default=None)
    for flag in ("--raw", "--tissue", "--saliency"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    if options.raw:
        figures = measure(options.slide, options.model, options.slide_um_per_px, options.tissue, options.saliency)
        print(json.dumps(figures))
        return
    rows = []
    for name, flags in CONFIGURATIONS.items():
        scale = [] if options.slide_um_per_px is None else ["--slide-um-per-px", str(options.slide_um_per_px)]
        command = [sys.executable, __file__, str(options.slide), "--model", options.model, *scale, "--raw", *flags]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        rows.append((name, json.loads(done.stdout.splitlines()[-1])))
    keys = list(rows[0][1])
    print("| | " + " | ".join(keys) + " |\n|" + "---|" * (len(keys) + 1))
    for name, figures in rows:
        print(f"| {name} | " + " | ".join("" if figures[key] is None else str(figures[key]) for key in keys) + " |")


if __name__ == "__main__":
    main()
