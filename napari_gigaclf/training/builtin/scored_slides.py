"""What a cell classifier says of mosaics: what its slides' answer is fitted on, and how good it is on other tiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.slide_answer import REFERENCE_CELLS, SlideAnswer
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.builtin.on_slides import slide_log_odds
from napari_gigaclf.training.mosaics import MosaicSettings, TilePool, plan_slide
from napari_gigaclf.training.mosaics.settings import LESION_TILES, Lesion, Split

SIDES_PX = (1024, 1536, 2048)
"""Sides of the slides that an answer is fitted and measured on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredSlides:
    """Mosaics and the mean of their highest log-odds; N slides."""

    highest: NDArray[np.float64]
    """(N,) mean of the highest log-odds."""
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
        return answer.gain * self.highest + answer.shift + answer.per_doubling * size


def joined(parts: Sequence[ScoredSlides]) -> ScoredSlides:
    """Return several sets of slides as one."""
    return ScoredSlides(
        highest=np.concatenate([part.highest for part in parts]),
        num_cells=np.concatenate([part.num_cells for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        lesions=tuple(lesion for part in parts for lesion in part.lesions),
        groups=tuple(f"{number} {group}" for number, part in enumerate(parts) for group in part.groups),
    )


@torch.no_grad()
def score_slides(
    model: Classifier, pool: TilePool, *, split: Split, num_each: int, num_highest: int, seed: int,
    sides_px: Sequence[int] = SIDES_PX, lesions: tuple[Lesion, ...] = tuple(LESION_TILES),
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
    num_highest
        Cells whose mean counts.
    seed
        Of the slides.
    sides_px
        Their sides.
    lesions
        Size classes, in turn.
    """
    streamed = stream(model.features)
    highest, num_cells, plans = [], [], []
    for side_px in sides_px:
        settings = MosaicSettings(side_px=side_px, lesions=lesions)
        for number in range(num_each):
            plan = plan_slide(settings, pool, seed=seed, split=split, number=number)
            with slide_log_odds(model, streamed, plan, pool) as odds:
                highest.append(float(odds.topk(num_highest).values.mean()))
                num_cells.append(len(odds))
            plans.append(plan)
    return ScoredSlides(
        highest=np.array(highest),
        num_cells=np.array(num_cells, np.int64),
        labels=np.array([plan.label for plan in plans], np.int64),
        lesions=tuple(plan.lesion for plan in plans if plan.lesion is not None),
        groups=tuple(f"{plan.side_px} {plan.group}" for plan in plans),
    )


def fitted_answer(slides: ScoredSlides, num_highest: int) -> SlideAnswer:
    """Return the answer of least log loss on some slides (Platt 1999, with a term for their size)."""
    size = np.log2(slides.num_cells / REFERENCE_CELLS)
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(np.column_stack([slides.highest, size]), slides.labels)
    gain, per_doubling = (float(value) for value in fitted.coef_[0])
    return SlideAnswer(
        num_highest=num_highest,
        gain=gain,
        shift=float(fitted.intercept_[0]),
        per_doubling=per_doubling,
        least_cells=int(slides.num_cells.min()),
        most_cells=int(slides.num_cells.max()),
    )
