"""What a person asked for in the widget, as one frozen record; comparing records tells what is out of date."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from napari_gigaclf.geometry import Box

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


class RegionChoice(Enum):
    """Where to look."""

    TISSUE = "tissue"
    SLIDE = "whole slide"
    VIEW = "what is in view"
    SHAPE = "selected shape"


NO_SALIENCY = "none"
PREDICTED = "predicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """A run as it was asked for."""

    model: str
    """Name of a built-in model, or a model folder."""
    level: int | Literal["auto"] = "auto"
    choice: RegionChoice = RegionChoice.TISSUE
    area: "Box | BaseGeometry | None" = None
    """What ``VIEW`` and ``SHAPE`` mean, level-0 pixels; None for the others."""
    device: str = "auto"
    saliency: str = PREDICTED
    """A class name, ``"predicted"`` or ``"none"``."""
    memory: str | None = None
    threads: int = 0

    @property
    def wanted_saliency(self) -> str | None:
        """What ``classify`` is given."""
        return None if self.saliency == NO_SALIENCY else self.saliency

    @property
    def uses_tissue(self) -> bool:
        """True unless the whole slide is asked for, glass and all."""
        return self.choice is not RegionChoice.SLIDE

    @property
    def question_key(self) -> tuple[object, ...]:
        """What of it matters for a question about a place: plans of equal keys answer alike."""
        return (self.model, self.level, self.uses_tissue, self.device, self.memory, self.threads)
