"""The probability that there is tumour anywhere on a slide, calibrated, from how suspicious its cells are.

The most suspicious of many harmless cells is rarely harmless to look at, so that the highest cell of a large slide says
little, and a large lesion is known by its many suspicious cells. With the log-odds s of the N cells of tissue, m_k the
mean of the K_k highest of them, the slide's log-odds are

    z = sum_k gain_k m_k + shift + per_doubling log2(N / 1000),        gain_k >= 0,

Platt's scaling (1999) with a term for the size: of independent cells with exponential tails the highest grow with
log N. A cell that becomes more suspicious never lowers the answer. All numbers are fitted on slides whose answer is
known.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOST_HIGHEST = 10_000
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

    num_highest: tuple[int, ...]
    """Cells whose means count (K), ascending; of a slide with fewer cells all of them."""
    gains: tuple[float, ...]
    """What each mean is multiplied by."""
    shift: float
    per_doubling: float
    """Added for every doubling of the tissue."""
    least_cells: int
    """Cells of tissue of the smallest and largest slides that it was fitted on; beyond them it is a guess."""
    most_cells: int

    def __post_init__(self) -> None:
        counts = self.num_highest
        if not counts or list(counts) != sorted(set(counts)) or not 1 <= counts[0] <= counts[-1] <= MOST_HIGHEST:
            raise ValueError(f"slide_answer.num_highest is {counts}; it must be ascending numbers, 1 to {MOST_HIGHEST}")
        if len(self.gains) != len(counts) or min(self.gains) < 0 or max(self.gains) == 0:
            raise ValueError(
                f"slide_answer.gains are {self.gains}; they must be {len(counts)}, none below 0, not all 0"
            )
        if not 1 <= self.least_cells <= self.most_cells:
            raise ValueError("slide_answer needs 1 <= least_cells <= most_cells")

    def logits(self, suspicion_N: "Tensor") -> "Tensor":
        """Return the slide's logits (0, z) from the log-odds of its cells of tissue, (N,), N >= 1; differentiable."""
        num_cells = suspicion_N.shape[0]
        highest = suspicion_N.topk(min(self.num_highest[-1], num_cells)).values
        constant = self.shift + self.per_doubling * math.log2(num_cells / REFERENCE_CELLS)
        z = suspicion_N.new_tensor(constant)
        for count, gain in zip(self.num_highest, self.gains, strict=True):
            z = z + gain * highest[:count].mean()
        return z * suspicion_N.new_tensor([0.0, 1.0])

    def warning(self, num_cells: int) -> str | None:
        """Return why the answer is a guess for a slide of so many cells of tissue; None where it is not."""
        if num_cells == 0 or self.least_cells <= num_cells <= self.most_cells:
            return None
        than = "less" if num_cells < self.least_cells else "more"
        return (
            f"slide's probability: this has {than} tissue ({num_cells} cells) than the slides that it was calibrated "
            f"on ({self.least_cells} to {self.most_cells}); the map is not affected"
        )
