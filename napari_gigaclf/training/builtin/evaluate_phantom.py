"""Measure "phantom-tumour" on phantoms it has never seen: AUC over all tissue cells of whole slides.

``python -m napari_gigaclf.training.builtin.evaluate_phantom --model phantom-tumour`` writes one line of JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.models import load_model
from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.training.builtin.phantom import EVALUATION_SEEDS, SIDE_CELLS
from napari_gigaclf.training.builtin.phantom_cells import TUMOUR_SHARE, CellImage, cell_image
from napari_gigaclf.training.builtin.record import add_record_option, record
from napari_gigaclf.training.evaluation.ranking import auc


@torch.no_grad()
def cell_probabilities(model: Classifier, cells: CellImage) -> NDArray[np.float64]:
    """Return the probability of tumour per cell of a whole phantom, (rows, columns)."""
    image = torch.from_numpy(np.array(cells.image)).permute(2, 0, 1)[None].float() / 255.0
    features = model.features(image.contiguous(memory_format=torch.channels_last))[0]
    logits = model.cell_logits(features.flatten(1).T)
    probabilities: NDArray[np.float64] = model.probabilities(logits)[:, 1].double().numpy()
    return probabilities.reshape(cells.share.shape)


def evaluate(model: Classifier, seeds: Iterable[int], side_cells: int = SIDE_CELLS) -> dict[str, float]:
    """Return figures over the tissue cells of all slides together.

    ``auc`` calls a cell tumour from a quarter of tumour on, ``auc_half`` from a half, ``auc_any`` from the least bit.
    ``worst_auc`` is that of the slide with the lowest one.
    """
    shares, scores, single = [], [], []
    for seed in seeds:
        cells = cell_image(seed, side_cells, from_finer=seed % 2 == 0, jpeg_quality=85, white_glass=seed % 3 == 0)
        share, score = cells.share[cells.tissue], cell_probabilities(model, cells)[cells.tissue]
        shares.append(share)
        scores.append(score)
        single.append(auc(score, share >= TUMOUR_SHARE))
    share, score = np.concatenate(shares), np.concatenate(scores)
    return {
        "auc": auc(score, share >= TUMOUR_SHARE),
        "auc_half": auc(score, share >= 0.5),
        "auc_any": auc(score, share > 0),
        "worst_auc": float(np.nanmin(single)),
        "accuracy": float(np.mean((score > 0.5) == (share >= TUMOUR_SHARE))),
        "num_cells": float(len(share)),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="phantom-tumour", help="name of a built-in model, or a model folder")
    parser.add_argument("--threads", type=int, default=1)
    add_record_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    figures = evaluate(load_model(options.model), EVALUATION_SEEDS)
    figures = {f"unseen_{name}": round(value, 4) for name, value in figures.items()}
    if options.record:
        record(
            options.record, figures, "python -m napari_gigaclf.training.builtin.evaluate_phantom --model phantom-tumour"
        )
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
