"""Whether one model is better than another on the same slides, or only luckier.

If both were equally good, it would not matter which of them gave which answer: per slide the two answers are swapped at
random, and the difference of a figure is compared with that of many such swaps (Pinckaers, van Ginneken and Litjens
2020, "Streaming convolutional neural networks for end-to-end learning with multi-megapixel images", Table 5):

    p = (1 + number of swaps with a difference at least as large) / (1 + number of swaps)        two-sided

Known weakness: answers are swapped as they are, so that two models of unlike calibration are told apart by their scale
too. Several tests are corrected after Holm (1979).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.evaluation.figures import Figures, ranking_figures
from napari_gigaclf.training.evaluation.predictions import Predictions

ROUNDING = 1e-12
"""Differences that are equal but for rounding count as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """One figure of two models on the same slides."""

    first: float
    second: float
    difference: float
    """First minus second."""
    p: float
    p_holm: float
    """Corrected for all figures that were tested together."""


def paired_permutation(
    first: Predictions,
    second: Predictions,
    *,
    draws: int,
    seed: int,
    figures: Figures = ranking_figures,
    unit: Literal["slide", "group"] = "slide",
) -> dict[str, PairedTest]:
    """Test whether two models differ.

    Parameters
    ----------
    first, second
        Of the same slides in the same order.
    draws
        How many times answers are swapped.
    seed
        Of the swapping.
    figures
        What is compared.
    unit
        ``"slide"`` swaps each slide by itself, as in the paper; ``"group"`` all slides of a patient together, which is
        right where slides of a patient are alike.

    Raises
    ------
    CohortError
        The slides, their truth or the classes are not the same.
    """
    same = (first.task, first.classes, first.slides) == (second.task, second.classes, second.slides)
    if not same or not np.array_equal(first.truth, second.truth):
        raise CohortError("two models can only be compared on the same slides with the same classes")
    task, classes, truth = first.task, first.classes, first.truth
    of_first, of_second = (figures(task, classes, truth, model.values) for model in (first, second))
    seen = {name: of_first[name] - of_second[name] for name in of_first}
    count = dict.fromkeys(seen, 0)
    _, units = np.unique(first.slides if unit == "slide" else first.groups, return_inverse=True)
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        swap = generator.random(int(units.max()) + 1)[units] < 0.5
        swap = swap if task == "regression" else swap[:, None]
        one = figures(task, classes, truth, np.where(swap, second.values, first.values))
        other = figures(task, classes, truth, np.where(swap, first.values, second.values))
        for name, difference in seen.items():
            count[name] += abs(one[name] - other[name]) >= abs(difference) - ROUNDING
    p = {name: (1 + count[name]) / (1 + draws) if np.isfinite(seen[name]) else float("nan") for name in seen}
    corrected = holm(p)
    return {
        name: PairedTest(
            first=of_first[name], second=of_second[name], difference=seen[name], p=p[name], p_holm=corrected[name]
        )
        for name in seen
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for being several, after Holm (1979); nan stays nan and is not counted.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    tested = sorted((p, name) for name, p in p_values.items() if np.isfinite(p))
    corrected = dict.fromkeys(p_values, float("nan"))
    largest = 0.0
    for place, (p, name) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - place)))
        corrected[name] = largest
    return corrected
