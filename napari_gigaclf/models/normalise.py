"""White glass is where nothing is: it becomes zero before the network sees it, so that padding with zeros adds glass.

With x in [0, 1] and a spread per channel, y = (x - 1) / spread.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WHITE = 1.0
"""Value of glass in every channel of a brightfield image in [0, 1]."""


class Normalise(nn.Module):
    """Map float images in [0, 1] to the network's range; white becomes exactly 0.

    Parameters
    ----------
    spread
        One positive number per channel (usually the standard deviation over tissue), in units of [0, 1].
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, spread: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("centre", torch.full((len(spread), 1, 1), WHITE))
        self.register_buffer("scale", 1.0 / torch.tensor(list(spread)).reshape(-1, 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the normalised images, (B, C, H, W)."""
        return (x_BCHW - self.centre) * self.scale
