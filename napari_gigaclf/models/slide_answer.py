"""The probability that there is tumour anywhere on a slide, fitted to how suspicious its cells are.

The most suspicious of many harmless cells is rarely harmless to look at, so that the highest cell of a large slide says
little. With the log-odds s of the N cells of tissue, the K highest of which have the mean m, the slide's log-odds are

    z = gain m + shift + per_doubling log2(N / 1000),

Platt's scaling (1999) with a term for the size: of independent cells with exponential tails the highest grow with
log N. All numbers are fitted on slides whose answer is known. No torch in here but in the function that takes tensors.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

REFERENCE_CELLS = 1000
"""Cells of tissue for which the size says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideAnswer:
    """How the log-odds of a model's cells become those of a slide.

    Raises
    ------
    ValueError
        Numbers that fit no slide.
    """

    num_highest: int
    """Cells that count (K)."""
    gain: float
    shift: float
    per_doubling: float
    """Added for every doubling of the tissue."""
    least_cells: int
    """Cells of tissue of the smallest and largest slides that it was fitted on; beyond them it is a guess."""
    most_cells: int

    def __post_init__(self) -> None:
        if not 1 <= self.num_highest <= 1000 or not 1 <= self.least_cells <= self.most_cells:
            raise ValueError("slide_answer needs num_highest from 1 to 1000 and 1 <= least_cells <= most_cells")
        if self.gain <= 0:
            raise ValueError(f"slide_answer.gain is {self.gain}; it must be above 0")

    def logits(self, suspicion_N: "Tensor") -> "Tensor":
        """Return the slide's logits (0, z) from the log-odds of its cells of tissue, (N,), N >= 1; differentiable."""
        num_cells = suspicion_N.shape[0]
        highest = suspicion_N.topk(min(self.num_highest, num_cells)).values.mean()
        size = self.per_doubling * math.log2(num_cells / REFERENCE_CELLS)
        return (self.gain * highest + self.shift + size) * suspicion_N.new_tensor([0.0, 1.0])

    def warning(self, num_cells: int) -> str | None:
        """Return why the answer is a guess for a slide of so many cells of tissue; None where it is not."""
        if num_cells == 0 or self.least_cells <= num_cells <= self.most_cells:
            return None
        than = "less" if num_cells < self.least_cells else "more"
        return (
            f"slide's probability: this has {than} tissue ({num_cells} cells) than the slides that it was fitted "
            f"on ({self.least_cells} to {self.most_cells}); the map is not affected"
        )
