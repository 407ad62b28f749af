"""What an epoch of training came to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What an epoch came to, for a plot."""

    number: int
    """From 1."""
    train_loss: float
    tuning: dict[str, float]
    """Figures on the tuning slides or tiles; empty without any."""
    is_best: bool
    seconds: float
    """Since the run began, without the time between its parts."""
