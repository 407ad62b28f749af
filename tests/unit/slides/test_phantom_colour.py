"""Colour alone does not give the phantom's tumours away."""

import numpy as np
import pytest

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.slides.tissue import find_tissue

CELL, SIDE = 32, 1280
TRAINING, HELD_OUT = range(300, 312), range(400, 408)


def histograms(cells):
    """Return per-cell histograms of each channel, of its absorbance, and of all three channels jointly."""
    count = len(cells)
    absorbance = -np.log(np.maximum(cells, 1) / 245.0)
    parts = []
    for channel in range(3):
        for binned, bins in (
            (cells[..., channel] >> 4, 16),
            (np.clip((absorbance[..., channel] * 8).astype(int) + 2, 0, 21), 22),
        ):
            parts.append(np.stack([np.bincount(row, minlength=bins) for row in binned.reshape(count, -1)]))
    joint = (cells >> 6).astype(int) @ np.array([16, 4, 1])
    parts.append(np.stack([np.bincount(row, minlength=64) for row in joint.reshape(count, -1)]))
    return np.concatenate(parts, axis=1) / CELL**2


def cells_of(seed):
    """Return histograms and truth of the cells of one slide that are tissue and not on an outline."""
    slide = PhantomSlide(seed, (SIDE, SIDE), 1.0)
    n = SIDE // CELL
    cells = slide.read(0, 0, SIDE, 0, SIDE).reshape(n, CELL, n, CELL, 3).swapaxes(1, 2).reshape(n * n, CELL, CELL, 3)
    grid = PixelGrid(origin=(0.0, 0.0), step=(CELL, CELL), shape=(n, n))
    share = slide.tumour_fraction(grid).ravel()
    kept = find_tissue(slide).sample(grid).ravel() & ((share == 0) | (share > 0.5))
    return histograms(cells[kept]), share[kept] > 0.5


@pytest.mark.slow
def test_a_classifier_of_colour_histograms_stays_below_auc_0_8(record_testsuite_property):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    training, held_out = (
        [np.concatenate(part) for part in zip(*map(cells_of, seeds), strict=True)] for seeds in (TRAINING, HELD_OUT)
    )
    assert training[1].sum() > 300
    aucs = []
    for strength in (0.001, 0.01, 0.1):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=400)).fit(*training)
        aucs.append(roc_auc_score(held_out[1], model.decision_function(held_out[0])))
    record_testsuite_property("phantom_colour_histogram_auc", round(max(aucs), 4))
    assert max(aucs) <= 0.8, f"colour histograms reach AUC {max(aucs):.3f}"
