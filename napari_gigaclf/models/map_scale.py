"""What the numbers of a map are, a probability or a score, and from where to where they are drawn. No torch in here.

Probabilities are drawn from 0 to 1. A regression's scores are drawn over the range of those that it learnt from, where
its config says that, else over the range of the map itself, which is then not the same for all slides.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.models.config import ModelConfig

LEAST_WIDTH = 1e-6
"""Of a range, beside the size of its numbers: float32 tells no more apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapScale:
    """How a map is drawn and spoken of."""

    is_score: bool = False
    """True for a regression, whose numbers are no probabilities."""
    low: float = 0.0
    high: float = 1.0
    is_known: bool = True
    """Whether the model says the range; False: it was taken from a map."""

    @property
    def word(self) -> str:
        """What a number is called: "probability" or "score"."""
        return "score" if self.is_score else "probability"

    def name_of(self, class_name: str) -> str:
        """Return what a map of a class is called."""
        return class_name if self.is_score and class_name == self.word else f"{self.word} of {class_name}"

    def over(self, values: NDArray[Any]) -> "MapScale":
        """Return the scale for a map (any shape, NaN where nothing is); the same where the model says the range."""
        if self.is_known:
            return self
        there = values[np.isfinite(values)]
        if not there.size:
            return self
        low, high = float(there.min()), float(there.max())
        if high - low <= LEAST_WIDTH * max(abs(low), abs(high), 1.0):
            low, high = low - 0.5, high + 0.5
        return MapScale(is_score=self.is_score, low=low, high=high, is_known=False)


PROBABILITY = MapScale()


def map_scale(config: ModelConfig) -> MapScale:
    """Return the scale of a model's maps; where it is not known, as ``over`` finds it in a map."""
    if not config.is_regression:
        return PROBABILITY
    if config.score_range is None:
        return MapScale(is_score=True, is_known=False)
    return MapScale(is_score=True, low=config.score_range[0], high=config.score_range[1])
