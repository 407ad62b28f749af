"""What stands in a model folder's ``config.json``: parsed strictly once, so that everything behind it can trust it.

Unknown keys, missing keys, wrong types and numbers that are not finite are refused with the place in the file. No torch
in here: listing models must be quick.
"""

import json
import re
from dataclasses import dataclass
from typing import Literal

from napari_gigaclf.models.card import ModelCard
from napari_gigaclf.models.records import ConfigError, parse, plain
from napari_gigaclf.models.slide_answer import SlideAnswer

FORMAT = "napari-gigaclf model 1"
Activation = Literal["softmax", "sigmoid", "identity"]
"""How logits become what is shown: one of several classes, any of them, or a score as it is (regression)."""
NetworkName = Literal[
    "cell-net",
    "cell-net-context",
    "cell-net-fine",
    "cell-net-fine-context",
    "paper-table1",
    "paper-table2-22",
    "paper-table2-25",
    "paper-table2-28",
    "resnet18",
    "resnet34",
]
Pooling = Literal["max", "mean", "attention", "highest"]
MAX_CLASSES = 1000
LEAST_UM_PER_PX, MOST_UM_PER_PX = 0.01, 1000
"""Scales that a network may have."""
MIN_SIDE_PX: dict[str, int] = {
    "cell-net": 32,
    "cell-net-context": 32,
    "cell-net-fine": 32,
    "cell-net-fine-context": 32,
    "paper-table1": 160,
    "paper-table2-22": 32,
    "paper-table2-25": 64,
    "paper-table2-28": 128,
    "resnet18": 1,
    "resnet34": 1,
}
"""Smallest image side for which a network's map has a cell."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenOutput:
    """Logits that the weights must give for a synthetic image, so that a changed or misread weight is noticed."""

    pattern: int
    """Which image of ``models.golden.pattern``."""
    side_px: int
    """Its height and width."""
    logits: tuple[float, ...]
    """What the model gave when it was saved."""

    def __post_init__(self) -> None:
        if not 1 <= self.side_px <= 1024 or not 0 <= self.pattern <= 1000:
            raise ConfigError("side_px must be 1 to 1024 and pattern 0 to 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Everything about a model but its weights."""

    name: str
    version: str
    classes: tuple[str, ...]
    um_per_px: float | None
    """Scale of the images, micrometres per pixel; None if the model has none."""
    activation: Activation
    network: NetworkName
    pooling: Pooling
    spread: tuple[float, ...]
    """Per channel: what ``x - 1`` is divided by (see ``models.normalise``)."""
    card: ModelCard
    score_range: tuple[float, float] | None = None
    """Least and largest score that a regression learnt from, for maps; None: unknown, or no regression."""
    slide_answer: SlideAnswer | None = None
    """How a slide's probability follows from its cells; None: from the pooled cells, as a region's does."""
    golden: tuple[GoldenOutput, ...] = ()
    format: str = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigError(f"format is {self.format!r}; this version reads {FORMAT!r}")
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"name {self.name[:100]!r} may hold letters, digits, space, '.', '_' and '-' only")
        if not 1 <= len(self.classes) <= MAX_CLASSES or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes must be 1 to {MAX_CLASSES} different names")
        if self.um_per_px is not None and not LEAST_UM_PER_PX <= self.um_per_px <= MOST_UM_PER_PX:
            raise ConfigError(
                f"um_per_px is {self.um_per_px}; it must lie between {LEAST_UM_PER_PX} and {MOST_UM_PER_PX}"
            )
        if len(self.spread) != 3 or min(self.spread) <= 0:
            raise ConfigError("spread must be three positive numbers")
        if self.card.positive_class and self.card.positive_class not in self.classes:
            raise ConfigError(f"card.positive_class {self.card.positive_class!r} is not among the classes")
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            raise ConfigError(f"score_range is {self.score_range}; the first number must be below the second")
        fits = len(self.classes) == 2 and self.activation == "softmax" and self.pooling == "highest"
        if self.slide_answer is not None and not fits:
            raise ConfigError(
                "slide_answer is for two classes, softmax and pooling 'highest', with the weights it was fitted on: "
                "leave it out (None)"
            )
        if any(len(golden.logits) != len(self.classes) for golden in self.golden):
            raise ConfigError("each golden output needs one logit per class")

    @property
    def is_regression(self) -> bool:
        """Whether its numbers are scores, not probabilities."""
        return self.activation == "identity"

    @property
    def min_side_px(self) -> int:
        """Smallest image side that gives a cell; smaller images are filled up with white."""
        return MIN_SIDE_PX[self.network]


def parse_config(text: str) -> ModelConfig:
    """Parse ``config.json``.

    Raises
    ------
    ConfigError
        Naming the place and what is wrong with it.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not valid JSON ({error})") from error
    config = parse(ModelConfig, raw, "config")
    assert isinstance(config, ModelConfig)
    return config


def dump_config(config: ModelConfig) -> str:
    """Return the JSON text of a config; ``parse_config`` gives it back."""
    return json.dumps(plain(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
