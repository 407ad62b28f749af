"""How good the taught head is on examples it has not seen: each is left out in its turn, and asked.

Up to ``LEAVE_ONE_OUT`` examples one is left out at a time, beyond that a tenth of each class. An example that is the
only one of its class cannot be asked. Known weakness: examples that lie side by side vouch for each other; the number
says how the examples agree, not how good the map is on a slide that none was taken from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import Cancelled
from napari_gigaclf.inference.teaching.fitting import fit_softmax
from napari_gigaclf.inference.teaching.learning import STRENGTH, Evidence
from napari_gigaclf.inference.teaching.lesson import Example, TaughtClass
from napari_gigaclf.progress import CancelToken

LEAVE_ONE_OUT = 40
FOLDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """An example that the others speak against."""

    example: Example
    said: TaughtClass
    """What it was given."""
    found: TaughtClass
    """What a head taught by the others makes of it."""
    probability: float
    """What that head gives to ``found``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What cross-validation says."""

    num_asked: int
    """Examples that were asked."""
    num_right: int
    folds: int
    """Heads that were taught for it; as many as examples asked where one is left out at a time."""
    contested: tuple[Contested, ...]
    """Examples that were asked and not right, those with the highest probability for another class first."""

    @property
    def accuracy(self) -> float | None:
        """Share of those asked that were right; None where none could be asked."""
        return self.num_right / self.num_asked if self.num_asked else None


def cross_validate(evidence: Evidence, cancel: CancelToken | None = None) -> Check:
    """Ask each example a head that was taught by others.

    Parameters
    ----------
    evidence
        The examples.
    cancel
        Looked at before each head is taught.

    Raises
    ------
    Cancelled
        It was asked to stop.
    TrainingError
        The features cannot be learnt from.
    """
    groups = folds_of(evidence.labels)
    x, labels = evidence.standardised, evidence.labels
    contested: list[Contested] = []
    asked = 0
    for left_out in groups:
        if cancel is not None and cancel.is_set():
            raise Cancelled("stopped")
        rest = np.setdiff1d(np.arange(len(labels)), left_out)
        weights, bias = fit_softmax(x[rest], labels[rest], len(evidence.classes), STRENGTH)
        logits = x[left_out] @ weights.T + bias
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        asked += len(left_out)
        for row, share in zip(left_out, shares, strict=True):
            best = int(share.argmax())
            if best != labels[row]:
                contested.append(
                    Contested(
                        example=evidence.examples[row],
                        said=evidence.classes[labels[row]],
                        found=evidence.classes[best],
                        probability=float(share[best]),
                    )
                )
    contested.sort(key=lambda each: (-each.probability, each.example.key))
    return Check(num_asked=asked, num_right=asked - len(contested), folds=len(groups), contested=tuple(contested))


def folds_of(labels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return which examples are left out together; classes are spread evenly, and never left out whole.

    Examples
    --------
    >>> [fold.tolist() for fold in folds_of(np.array([0, 1, 0, 1, 2]))]
    [[0], [1], [2], [3]]
    """
    counts = np.bincount(labels)
    if np.count_nonzero(counts) < 2:
        return []
    able = np.flatnonzero(counts[labels] >= 2)
    if len(able) <= LEAVE_ONE_OUT:
        return [able[i : i + 1] for i in range(len(able))]
    fold = np.zeros(len(labels), dtype=np.intp)
    for kind in np.unique(labels):
        rows = np.flatnonzero(labels == kind)
        fold[rows] = np.arange(len(rows)) % FOLDS
    found = [able[fold[able] == number] for number in range(FOLDS)]
    return [each for each in found if len(each)]
