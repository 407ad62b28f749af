"""Say what a cell classifier does where it was not made for: other tissue, glass, pen marks, fluorescence.

``python -m napari_gigaclf.training.builtin.evaluate_outside --model lymph-node-metastasis --slides A.svs B.tif`` writes
one line of JSON: of each slide, the share of its tissue that is called tumour (probability at least one half), the
share of its empty glass, and the number of warnings that come with the answer; and the shares of made-up glass and pen
marks. A slide which is refused, such as fluorescence, is counted as refused. Of other tissue nobody knows the truth
here: the shares say what to expect, not what is right.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference import classify
from napari_gigaclf.models import load_model
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.slides import open_slide
from napari_gigaclf.training.builtin.distractors import empty_glass, pen_mark
from napari_gigaclf.training.builtin.loop import tile_network
from napari_gigaclf.training.builtin.record import add_record_option, record

NUM_MADE = 1000
"""Made-up tiles of each kind."""
SEED = 1_000_003
"""Of the made-up tiles; training draws its own from other seeds."""


def on_slide(model: Classifier, path: Path, um_per_px: float | None) -> dict[str, float]:
    """Return shares called tumour of a slide's tissue and glass, and how many warnings came with the answer.

    Parameters
    ----------
    model
        Two classes; the second is looked for.
    path
        Slide.
    um_per_px
        Its scale, where it does not say; None: what it says.
    """
    with open_slide(path, um_per_px) as slide:
        try:
            tissue = classify(slide, model, saliency=None)
        except ModelError:
            return {"refused": 1.0}
        everything = classify(slide, model, saliency=None, tissue=False)
    called = np.asarray(everything.probability_map)[1] >= 0.5
    is_tissue = np.isfinite(np.asarray(tissue.probability_map)[1])
    glass = ~binary_dilation(is_tissue, np.ones((3, 3)))  # a cell sees its neighbours
    return {
        "tissue_called": _share(np.asarray(tissue.probability_map)[1][is_tissue] >= 0.5),
        "glass_called": _share(called[glass]),
        "tissue_cells": float(is_tissue.sum()),
        "glass_cells": float(glass.sum()),
        "warnings": float(len(tissue.record.warnings)),
    }


def _share(called: NDArray[np.bool_]) -> float:
    return float(called.mean()) if called.size else 0.0


@torch.no_grad()
def on_made_up(model: Classifier, make: Callable[[int, torch.Generator], Tensor], side_px: int = 96) -> float:
    """Return the share of made-up tiles that is called tumour."""
    generator = torch.Generator().manual_seed(SEED)
    tiles = torch.stack([make(side_px, generator) for _ in range(NUM_MADE)])
    return float(model.probabilities(tile_network(model)(tiles))[:, 1].ge(0.5).double().mean())


def evaluate(model: Classifier, slides: dict[Path, float | None]) -> dict[str, float]:
    """Return the figures of all slides (with their scale where they do not say it), and of made-up tiles."""
    figures = {
        f"{path.stem}_{name}": value
        for path, scale in slides.items()
        for name, value in on_slide(model, path, scale).items()
    }
    figures["made_glass_called"] = on_made_up(model, empty_glass)
    figures["made_pen_called"] = on_made_up(model, pen_mark)
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="name of a built-in model, or a model folder")
    parser.add_argument(
        "--slides", nargs="*", default=[], metavar="FILE[@UM]", help="slides, with um/px where they do not say it"
    )
    parser.add_argument("--threads", type=int, default=1)
    add_record_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = load_model(options.model)
    figures = {f"outside_{name}": round(value, 4) for name, value in evaluate(model, _slides(options.slides)).items()}
    if options.record:
        names = " ".join(slide.rsplit("/", 1)[-1] for slide in options.slides)
        command = f"python -m napari_gigaclf.training.builtin.evaluate_outside --model {model.name} --slides {names}"
        record(options.record, figures, command)
    sys.stdout.write(json.dumps(figures) + "\n")


def _slides(texts: list[str]) -> dict[Path, float | None]:
    """Take ``FILE@UM`` apart."""
    parts = [text.rpartition("@") if "@" in text else (text, "", "") for text in texts]
    return {Path(path): float(scale) if scale else None for path, _, scale in parts}


if __name__ == "__main__":
    main()
