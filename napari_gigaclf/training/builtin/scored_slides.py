"""What a cell classifier says of mosaics: what its slides' answer is fitted on, and how good it is on other tiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.slide_answer import REFERENCE_CELLS, SlideAnswer
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.builtin.on_slides import slide_log_odds
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
from napari_gigaclf.training.mosaics.settings import LESION_TILES, Lesion, Split

NUM_HIGHEST = (3, 10, 50, 300)
"""Cells whose means count: about those of a lesion of one to three tiles, of ten, and of fifty."""
PULL = 1e-3
"""How much squared gains cost, against the log loss: means of neighbouring counts are much alike."""
SIDES_PX = (1024, 1536, 2048)
"""Sides of the slides that an answer is fitted and measured on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredSlides:
    """Mosaics and the means of their highest log-odds; N slides."""

    means: NDArray[np.float64]
    """(N, K) means of the 3, 10, ... highest log-odds, as ``num_highest`` says."""
    num_highest: tuple[int, ...]
    """(K,)."""
    num_cells: NDArray[np.int64]
    """(N,) cells of tissue."""
    labels: NDArray[np.int64]
    """(N,) 1 with tumour."""
    lesions: tuple[Lesion, ...]
    """Size class of the tumour, or of the sham."""
    groups: tuple[str, ...]
    """Twins share one."""

    def of(self, lesion: Lesion) -> NDArray[np.bool_]:
        """Return which slides have a lesion of a size, (N,)."""
        return np.array([found == lesion for found in self.lesions])

    def log_odds(self, answer: SlideAnswer) -> NDArray[np.float64]:
        """Return a calibrated answer's log-odds of the slides, (N,)."""
        size = np.log2(self.num_cells / REFERENCE_CELLS)
        found: NDArray[np.float64] = self.means @ np.array(answer.gains) + answer.shift + answer.per_doubling * size
        return found


@torch.no_grad()
def score_slides(
    model: Classifier, pool: TilePool, *, split: Split, num_each: int, seed: int,
    num_highest: Sequence[int] = NUM_HIGHEST, sides_px: Sequence[int] = SIDES_PX,
    lesions: tuple[Lesion, ...] = tuple(LESION_TILES),
) -> ScoredSlides:  # fmt: skip
    """Return what a model says of mosaics of several sizes, lesions of all sizes in turn.

    Parameters
    ----------
    model
        A cell classifier of two classes.
    pool, split
        What the slides are made of.
    num_each
        Slides of each side; an even number.
    seed
        Of the slides.
    num_highest
        How many of the highest log-odds each mean is of; of a slide with fewer cells all.
    sides_px
        Their sides.
    lesions
        Size classes, in turn.
    """
    streamed = stream(model.features)
    means, num_cells, plans = [], [], []
    for side_px in sides_px:
        settings = MosaicSettings(side_px=side_px, lesions=lesions)
        for number in range(num_each):
            plan = plan_slide(settings, pool, seed=seed, split=split, number=number)
            with slide_log_odds(model, streamed, plan, pool) as odds:
                highest = odds.sort(descending=True).values
                means.append([float(highest[:count].mean()) for count in num_highest])
                num_cells.append(len(odds))
            plans.append(plan)
    return ScoredSlides(
        means=np.array(means),
        num_highest=tuple(num_highest),
        num_cells=np.array(num_cells, np.int64),
        labels=np.array([plan.label for plan in plans], np.int64),
        lesions=tuple(plan.lesion for plan in plans if plan.lesion is not None),
        groups=tuple(f"{plan.side_px} {plan.group}" for plan in plans),
    )


def fitted_answer(slides: ScoredSlides) -> SlideAnswer:
    """Return the answer of least log loss on some slides, gains not negative, with a slight pull of gains to 0."""
    size = np.log2(slides.num_cells / REFERENCE_CELLS)
    inputs = np.column_stack([slides.means, np.ones(len(size)), size])
    signs = np.where(slides.labels == 1, 1.0, -1.0)
    count = slides.means.shape[1]

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = signs * (inputs @ numbers)
        pulled = np.append(numbers[:count], [0.0, 0.0])
        slope = -(signs * expit(-margins)) @ inputs / len(signs) + 2 * PULL * pulled
        return float(np.logaddexp(0.0, -margins).mean() + PULL * (pulled**2).sum()), slope

    bounds = [(0.0, None)] * count + [(None, None)] * 2
    found = minimize(loss, np.append(np.full(count, 0.1), [0.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return SlideAnswer(
        num_highest=slides.num_highest,
        gains=tuple(float(gain) for gain in found[:count]),
        shift=float(found[count]),
        per_doubling=float(found[count + 1]),
        least_cells=int(slides.num_cells.min()),
        most_cells=int(slides.num_cells.max()),
    )
