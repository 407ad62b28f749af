"""How good a network is on the tuning slides, each seen whole and unchanged, as ``classify`` would see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.evaluation import auc
from napari_gigaclf.training.slides.losses import Loss
from napari_gigaclf.training.slides.network import SlideNetwork
from napari_gigaclf.training.slides.slides import Slides


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Logits of the tuning slides."""

    cohort: Cohort
    """The slides."""
    logits: NDArray[np.float64]
    """(slides, classes)."""
    losses: NDArray[np.float64]
    """(slides,)."""

    @property
    def figures(self) -> dict[str, float]:
        """Return the loss, and the mean AUC over classes (one against the rest) or Spearman's rho; those that exist."""
        found = {"loss": float(self.losses.mean())}
        targets = self.cohort.targets
        if self.cohort.task == "regression":
            rho = float(spearmanr(self.logits[:, 0], targets).statistic) if len(targets) > 1 else float("nan")
            return found if np.isnan(rho) else {**found, "spearman": rho}
        if self.cohort.task == "classification":
            shifted = self.logits - self.logits.max(axis=1, keepdims=True)
            scores = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
            is_of = targets[:, None] == np.arange(len(self.cohort.classes))
        else:
            scores, is_of = self.logits, targets
        each = [auc(scores[:, number], is_of[:, number]) for number in range(is_of.shape[1])]
        known = [value for value in each if not np.isnan(value)]
        return {**found, "auc": float(np.mean(known))} if known else found

    def rank(self, select_by: str) -> float:
        """Return what is compared between epochs; more is better."""
        figures = self.figures
        if select_by == "loss":
            return -figures["loss"]
        return figures.get("auc", figures.get("spearman", -figures["loss"]))


@torch.no_grad()
def tune(
    network: SlideNetwork, slides: Slides, rows: Sequence[CohortRow], loss: Loss, cancel: CancelToken | None = None
) -> list[tuple[int, list[float], float]]:
    """Return row number, logits and loss of slides.

    Parameters
    ----------
    rows
        The slides that this process looks at.
    """
    network.train(mode=False)
    found = []
    for row in slides.readable(rows, cancel):
        source = slides.whole(row)
        cells = slides.view(row).cells(network.axes, network.map_shape(source.shape))
        logits = network.logits(source, cells, cancel)
        found.append((row.number, logits.double().tolist(), float(loss(logits, row))))
    return found


def joined(cohort: Cohort, parts: Sequence[list[tuple[int, list[float], float]]]) -> Tuning:
    """Return what all processes found."""
    by_row = {number: (logits, loss) for part in parts for number, logits, loss in part}
    present = cohort.with_rows(row for row in cohort.rows if row.number in by_row)
    return Tuning(
        cohort=present,
        logits=np.array([by_row[row.number][0] for row in present.rows], dtype=np.float64),
        losses=np.array([by_row[row.number][1] for row in present.rows], dtype=np.float64),
    )
