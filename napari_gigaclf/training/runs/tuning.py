"""How good a network is on what is kept aside to choose the epoch by: the slides or tiles of split "tune"."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_gigaclf.training.cohort import Cohort
from napari_gigaclf.training.evaluation import auc


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Logits of the tuning slides or tiles."""

    cohort: Cohort
    """What was looked at."""
    logits: NDArray[np.float64]
    """(rows, classes)."""
    losses: NDArray[np.float64]
    """(rows,)."""

    @property
    def figures(self) -> dict[str, float]:
        """Return the loss, and the mean AUC over classes (one against the rest) or Spearman's rho; those that exist."""
        found = {"loss": float(self.losses.mean())}
        targets = self.cohort.targets
        if self.cohort.task == "regression":
            rho = float(spearmanr(self.logits[:, 0], targets).statistic) if len(targets) > 1 else float("nan")
            return found if np.isnan(rho) else {**found, "spearman": rho}
        scores, is_of = self._by_class(targets)
        each = [auc(scores[:, number], is_of[:, number]) for number in range(is_of.shape[1])]
        known = [value for value in each if not np.isnan(value)]
        return {**found, "auc": float(np.mean(known))} if known else found

    def _by_class(self, targets: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return scores and what is true, each (rows, classes)."""
        if self.cohort.task == "multilabel":
            return self.logits, targets
        shifted = self.logits - self.logits.max(axis=1, keepdims=True)
        scores = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        return scores, targets[:, None] == np.arange(len(self.cohort.classes))

    @property
    def first_bad(self) -> str | None:
        """Return the name of the first row whose loss is not finite; None if all are."""
        bad = np.flatnonzero(~np.isfinite(self.losses))
        return self.cohort.rows[int(bad[0])].name if len(bad) else None

    def rank(self, select_by: str) -> float:
        """Return what is compared between epochs; more is better."""
        figures = self.figures
        if select_by == "loss":
            return -figures["loss"]
        return figures.get("auc", figures.get("spearman", -figures["loss"]))
