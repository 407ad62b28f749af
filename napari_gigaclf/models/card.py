"""What a model is, on what it was trained, what it is not for, and how good it was measured to be. No torch in here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for diagnosis."


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """The field that one click asks about."""

    cells: int = 1
    """Side of the field in cells of the map."""
    px: int = 96
    """Side of what the network sees for it, in pixels at the model's scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourStatistics:
    """Colour of the training tissue, to tell when a slide looks different.

    Optical density is ``-log10((I + 1) / 256)`` for I in 0..255; tissue pixels are those whose mean density over
    channels exceeds ``tissue_density``.
    """

    mean: tuple[float, float, float]
    """Mean optical density of tissue pixels in red, green, blue."""
    std: tuple[float, float, float]
    """Standard deviation of it over all tissue pixels."""
    between: tuple[float, float, float]
    """Standard deviation of the tiles' mean densities: how far tissue from one place is from that of another."""
    tissue_density: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model card: everything a person should read before trusting a number."""

    title: str
    summary: str
    intended_tissue: str
    stain: str
    intended_use: str
    not_for: str
    training_data: str
    licence: str
    citation: tuple[str, ...]
    weaknesses: tuple[str, ...] = ()
    """What is known to go wrong, one sentence each."""
    research_use_only: str = RESEARCH_USE_ONLY
    measured: Mapping[str, float]
    """Figures by name; ``measured_with`` says which command makes them."""
    measured_with: str = ""
    field: FieldSpec = FieldSpec()
    slide_score: str = "highest place, uncalibrated"
    """What the slide's number is, in words for a person; empty where it needs none."""
    positive_class: str = ""
    """The class to look for (shown first, saliency by default); empty if no class is special."""
    colour_statistics: ColourStatistics | None = None

    def __post_init__(self) -> None:
        for name, value in self.measured.items():
            if not math.isfinite(value):
                raise ValueError(f"measured figure {name!r} is not finite")
