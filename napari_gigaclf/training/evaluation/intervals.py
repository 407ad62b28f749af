"""How far a figure could be off by chance: 95 % percentile intervals of a bootstrap over patients.

Slides of one patient resemble each other, so patients (groups) are drawn with replacement, each with all its slides
(Field and Welsh 2007, cluster bootstrap). Where a class is in so few groups that draws would miss it, groups are drawn
within strata of equal sets of classes; the interval then knows less of how many patients a class has, and a stratum of
one patient never varies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.training.evaluation.figures import Figures, all_figures
from napari_gigaclf.training.evaluation.predictions import Predictions
from napari_gigaclf.training.evaluation.ranking import auc

LEVEL = (2.5, 97.5)
"""Percentiles of the ends of an interval."""
FEW_GROUPS = 8
"""With fewer groups of a class, more than exp(-8) of all draws would hold none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95 % interval; nan where it cannot be told."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    predictions: Predictions, *, draws: int, seed: int, figures: Figures = all_figures
) -> dict[str, Interval]:
    """Return figures of predictions with intervals.

    Parameters
    ----------
    predictions
        At least one slide.
    draws
        How many times groups are drawn.
    seed
        Of the drawing.
    figures
        What is computed of each draw.
    """
    truth, values = predictions.truth, predictions.values
    whole = figures(predictions.task, predictions.classes, truth, values)
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    strata = _strata(predictions)
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        chosen = np.concatenate([_draw(members, generator) for members in strata])
        for name, value in figures(predictions.task, predictions.classes, truth[chosen], values[chosen]).items():
            drawn[name].append(value)
    return {name: _interval(value, drawn[name]) for name, value in whole.items()}


def bootstrap_interval(
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
    figure: Callable[[NDArray[np.float64], NDArray[np.int64]], float] = auc,
    places: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a figure (of scores and labels) over tiles drawn with replacement.

    Tiles that overlap are drawn together if ``places``, (N,), says which do (see
    :func:`~napari_gigaclf.training.tiles.same_place`). Tiles of one slide resemble each other beyond that; where slides
    are unknown the true interval is wider than this one.
    """
    generator = np.random.default_rng(seed)
    number = np.unique(np.arange(len(labels)) if places is None else places, return_inverse=True)[1]
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    values = []
    for _ in range(draws):
        chosen = _draw(members, generator)
        values.append(figure(scores[chosen], labels[chosen]))
    low, high = np.nanpercentile(values, LEVEL)
    return float(low), float(high)


def _draw(members: list[NDArray[np.intp]], generator: np.random.Generator) -> NDArray[np.intp]:
    """Return the members of as many groups as there are, drawn with replacement."""
    return np.concatenate([members[number] for number in generator.integers(0, len(members), len(members))])


def _strata(predictions: Predictions) -> list[list[NDArray[np.intp]]]:
    """Return strata of groups of slides: one stratum, unless a class is in few groups."""
    order = sorted(range(len(predictions)), key=lambda place: (predictions.groups[place], predictions.slides[place]))
    slides_of: dict[str, list[int]] = {}
    for place in order:  # an order of its own: that of the table changes nothing
        slides_of.setdefault(predictions.groups[place], []).append(place)
    members = {group: np.array(places, dtype=np.intp) for group, places in slides_of.items()}
    if predictions.task == "regression":
        return [list(members.values())]
    present = {group: _answers(predictions.truth[places]) for group, places in members.items()}
    kinds = {answer for answers in present.values() for answer in answers}
    if all(sum(kind in answers for answers in present.values()) >= FEW_GROUPS for kind in kinds):
        return [list(members.values())]
    strata: dict[frozenset[tuple[int, ...]], list[NDArray[np.intp]]] = {}
    for group, places in members.items():
        strata.setdefault(present[group], []).append(places)
    return list(strata.values())


def _answers(truth: NDArray[Any]) -> frozenset[tuple[int, ...]]:
    """Return which classes a group has: (class,), and for multilabel (class, yes or no)."""
    if truth.ndim == 1:
        return frozenset((int(number),) for number in truth)
    return frozenset((c, int(answer)) for row in truth for c, answer in enumerate(row))


def _interval(value: float, drawn: list[float]) -> Interval:
    found = np.array([x for x in drawn if np.isfinite(x)])
    low, high = np.percentile(found, LEVEL) if len(found) else (np.nan, np.nan)
    return Interval(value=value, low=float(low), high=float(high))
