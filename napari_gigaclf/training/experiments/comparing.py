"""Figures of arms over seeds, with intervals that rebuild slides, and paired tests between arms.

An interval over slides alone is too narrow: slides share tiles. So half of the test tiles are drawn without
replacement, slides are made anew of them, every arm scores them, and so on; the variance of means over half samples is
that of the bootstrap over tiles (McCarthy 1969). With R rebuilds and s the standard deviation of their AUCs,

    interval = AUC +- t(0.975, R - 1) s.

It is rather too wide, since a rebuild has fewer slides than the test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import rankdata, t

from napari_gigaclf.training.evaluation import Interval, Predictions, bootstrap, holm, paired_permutation
from napari_gigaclf.training.evaluation.figures import ranking_figures
from napari_gigaclf.training.experiments.results import Result, Scored

_CLASSES: Final = ("0", "1")
_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """What an arm came to: AUC, or of regressions Spearman's rho."""

    arm: str
    by_seed: tuple[float, ...]
    """Of each seed on the test slides."""
    rebuilt: Interval
    """Mean over seeds, with the interval over tiles; its ends are nan where nothing was rebuilt."""
    twins: Interval
    """Of the seeds' mean rank, with the interval over twins alone."""


def figures_of_arm(results: Sequence[Result]) -> ArmFigures:
    """Return the figures of one arm's results, one per seed."""
    by_seed = tuple(result.test.figure for result in results)
    value = float(np.mean(by_seed))
    rebuilds = min(len(result.rebuilt) for result in results)  # a run that was stopped has them for some seeds only
    drawn = np.array([[part.figure for part in result.rebuilt[:rebuilds]] for result in results]).mean(0)
    half = float(t.ppf(0.975, len(drawn) - 1) * drawn.std(ddof=1)) if len(drawn) > 1 else float("nan")
    low, high = np.clip([value - half, value + half], 0.0, 1.0).tolist()
    ranks = ranked([result.test for result in results])
    return ArmFigures(
        arm=results[0].arm,
        by_seed=by_seed,
        rebuilt=Interval(value=value, low=low, high=high),
        twins=bootstrap(ranks, draws=_DRAWS, seed=0, figures=ranking_figures)[_figure_of(ranks)],
    )


def compared(first: Sequence[Result], others: Sequence[Sequence[Result]]) -> dict[str, tuple[float, float]]:
    """Return p and Holm's p, by arm, of permutation tests of an arm against others: twins swap their ranks together."""
    of_first = ranked([result.test for result in first])
    p = {}
    for results in others:
        test = paired_permutation(
            of_first, ranked([result.test for result in results]), draws=_DRAWS, seed=0, unit="group"
        )
        p[results[0].arm] = test[_figure_of(of_first)].p
    corrected = holm(p)
    return {arm: (p[arm], corrected[arm]) for arm in p}


def ranked(parts: Sequence[Scored]) -> Predictions:
    """Return the mean over seeds of each slide's rank, as predictions: ranks know nothing of an arm's scale."""
    first = parts[0]
    ranks = np.mean([rankdata(part.scores) / (len(part.scores) + 1) for part in parts], axis=0)
    return Predictions(
        task="regression" if first.is_regression else "classification",
        classes=() if first.is_regression else _CLASSES,
        slides=tuple(f"{group} {label}" for group, label in zip(first.groups, first.labels, strict=True)),
        groups=first.groups,
        truth=np.array(first.labels, np.float64 if first.is_regression else np.int64),
        values=ranks if first.is_regression else np.column_stack([1 - ranks, ranks]),
    )


def _figure_of(predictions: Predictions) -> str:
    return "spearman" if predictions.task == "regression" else f"auc:{_CLASSES[1]}"
