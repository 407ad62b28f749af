"""Predictions made up with a known quality."""

import numpy as np
import pytest
from scipy.special import softmax

from napari_gigaclf.training.evaluation import Predictions


def made_up(
    num=60, classes=("normal", "itc", "macro"), strength=1.5, seed=0, slides_per_group=2, task="classification"
):
    """Predictions whose logits are noise plus ``strength`` where the truth is."""
    rng = np.random.default_rng(seed)
    slides = tuple(f"s{n:03d}.tif" for n in range(num))
    groups = tuple(f"p{n // slides_per_group:03d}" for n in range(num))
    if task == "regression":
        truth = rng.normal(size=num)
        return Predictions(
            task=task, classes=(), slides=slides, groups=groups, truth=truth, values=truth + rng.normal(size=num)
        )
    if task == "multilabel":
        truth = rng.random((num, len(classes))) < 0.4
        values = 1 / (1 + np.exp(-(strength * (2 * truth - 1) + rng.normal(size=truth.shape))))
    else:
        truth = np.arange(num) % len(classes)
        values = softmax(rng.normal(size=(num, len(classes))) + strength * np.eye(len(classes))[truth], axis=1)
    return Predictions(task=task, classes=classes, slides=slides, groups=groups, truth=truth, values=values)


@pytest.fixture(name="made_up")
def made_up_fixture():
    """The function ``made_up``."""
    return made_up
