"""How long work says how far it is, and how it is asked to stop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report of a running job."""

    done: int
    """Units finished so far."""
    total: int
    """Units in all."""
    unit: str
    """What is counted, in the singular: ``"tile"``, ``"slide"``."""
    phase: str
    """What is being done, for a person: ``"classifying"``, ``"saliency"``."""
    seconds: float
    """Seconds since the phase began."""
    note: str = ""
    """What else there is to say, such as the loss so far."""

    @property
    def rate(self) -> float | None:
        """Units per second so far; None before anything is done."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None

    @property
    def remaining_seconds(self) -> float | None:
        """Expected seconds until the phase ends; None before anything is done."""
        return (self.total - self.done) / self.rate if self.rate else None


ProgressCallback = Callable[[Progress], object]
"""Called with each report, on the thread that does the work."""


class CancelToken(Protocol):
    """Asks running work to stop at its next tile; a ``threading.Event`` fits."""

    def is_set(self) -> bool:
        """Return True once the work should stop."""
        ...
