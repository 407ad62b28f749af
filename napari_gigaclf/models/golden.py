"""Synthetic images whose logits travel with the weights: if a machine gives other numbers, something is wrong there."""

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.models.classifier import Classifier
from napari_gigaclf.models.config import GoldenOutput

PATTERNS: tuple[tuple[int, int], ...] = ((0, 96), (1, 128), (2, 200))
"""Pattern number and side in pixels of the stored outputs."""
TOLERANCE = 1e-3
"""Difference allowed in a logit: float32 sums in another order."""


def pattern(number: int, side_px: int) -> NDArray[np.uint8]:
    """Return a synthetic pink and violet image (side, side, 3), the same on every machine: integers only."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.int64)
    waves = (x * x + (2 * number + 3) * y * y + (number + 1) * x * y) // (7 + number) + 5 * x + 3 * y
    blobs = ((x // 5 * 7919 + y // 5 * 104729 + number * 1299709) % 97) // 2
    channels = [230 - (waves * step) % 61 - blobs * weight for step, weight in ((1, 2), (2, 3), (3, 1))]
    image: NDArray[np.uint8] = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    return image


def golden_outputs(model: Classifier) -> tuple[GoldenOutput, ...]:
    """Return what the model gives for each pattern, in eval mode."""
    return tuple(
        GoldenOutput(
            pattern=number, side_px=side, logits=tuple(round(value, 6) for value in _logits(model, number, side))
        )
        for number, side in PATTERNS
    )


def golden_difference(model: Classifier) -> float:
    """Return the largest difference between the stored and the present logits (0 if none are stored)."""
    differences = [
        max(abs(a - b) for a, b in zip(stored.logits, _logits(model, stored.pattern, stored.side_px), strict=True))
        for stored in model.config.golden
    ]
    return max(differences, default=0.0)


def _logits(model: Classifier, number: int, side_px: int) -> list[float]:
    image = torch.from_numpy(pattern(number, side_px)).permute(2, 0, 1)[None]
    training = model.training
    model.eval()
    with torch.no_grad():
        logits: list[float] = model(image)[0].double().tolist()
    model.train(training)
    return logits
