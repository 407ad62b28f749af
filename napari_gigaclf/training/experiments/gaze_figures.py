"""Where networks look, over slides: means with intervals, as rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from napari_gigaclf.training.evaluation import Interval
from napari_gigaclf.training.experiments.looking import Gaze

_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class GazeFigures:
    """Where a network looks: means over slides, with the bootstrap interval over slides."""

    slides: int
    chance: Interval
    probability: Interval
    saliency: Interval
    hits: float
    """Slides whose cell of highest probability lies in the lesion, mean over seeds of training."""


def gaze_figures(by_seed: Sequence[Sequence[Gaze]]) -> GazeFigures:
    """Return the figures of a network, trained with one or several seeds, each of them on the same slides."""
    return GazeFigures(
        slides=len(by_seed[0]),
        chance=_over_slides([[one.chance for one in gazes] for gazes in by_seed]),
        probability=_over_slides([[one.probability for one in gazes] for gazes in by_seed]),
        saliency=_over_slides([[one.saliency for one in gazes] for gazes in by_seed]),
        hits=float(np.mean([sum(one.hit for one in gazes) for gazes in by_seed])),
    )


def gaze_table(head: str, figures: Mapping[str, GazeFigures]) -> list[str]:
    """Return the lines of a table; ``head`` names what the keys are, columns divided by '|'."""
    first = "|---" * (head.count("|") + 1)
    lines = [
        "Share of the top 1 % of tissue cells that lies in the lesion, mean over slides (interval over slides):", "",
        f"| {head} | slides | chance | of highest probability | of highest saliency | highest cell inside |",
        f"{first}|---|---|---|---|---|",
    ]  # fmt: skip
    for name, one in figures.items():
        means = " | ".join(_text(each) for each in (one.chance, one.probability, one.saliency))
        lines.append(f"| {name} | {one.slides} | {means} | {one.hits:.3g} |")
    return lines


def _over_slides(values: Sequence[Sequence[float]]) -> Interval:
    """Return the mean over slides of each slide's mean over seeds; ``values`` by seed and slide."""
    of_slide = np.mean(values, axis=0)
    drawn = np.random.default_rng(0).choice(of_slide, (_DRAWS, len(of_slide))).mean(1)
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    return Interval(value=float(of_slide.mean()), low=low, high=high)


def _text(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
