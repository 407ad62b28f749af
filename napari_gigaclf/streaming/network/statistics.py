"""Numbers of a whole map: mean, sum, variance and maximum over space, one per sample and channel.

A network may use them again on maps (squeeze-and-excitation, norms). They are known only when the map has been streamed
from end to end, so whatever reads them belongs to a later stage (:mod:`..planning.stages`).
"""

from dataclasses import dataclass
from typing import Literal

import torch

Kind = Literal["mean", "sum", "variance", "count", "max", "amax"]
"""What is taken over space.

``"variance"`` is centred and divided by the number of positions, which is ``"count"``. The gradient of ``"max"`` goes
to the first of several equal maxima, as in adaptive max-pooling; that of ``"amax"`` is spread evenly over them, as
``torch.amax`` does.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A statistic of one map: (batch, channels)."""

    node: int
    """The map."""
    kind: Kind
    precise: bool
    """Given in float64, for further arithmetic, instead of the map's own type."""


def precise_type(device: torch.device) -> torch.dtype:
    """Return the type in which statistics are summed: double, but where a device has none."""
    return torch.float32 if device.type == "mps" else torch.float64
