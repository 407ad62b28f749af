"""Networks for one field of view at several resolutions: each halving of the pixels takes away the first block.

Blocks are a 3 x 3 convolution, batch norm, ReLU and 2 x 2 max-pooling; b of them have stride 2^b and see

    1 + sum_{l<b} 3 * 2^l = 3 * 2^b - 2 pixels,

so that a cell stands for 31 um and sees about 90 um at every resolution (94, 46 and 22 px, the whole, half and a
quarter of the resolution). As in Pinckaers, van Ginneken and Litjens (2020, Table 5) the network for coarser slides is
shallower. The blocks that are taken away are small ones: half the resolution has 97 % and a quarter 83 % of the
parameters of the whole.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from napari_gigaclf.models.normalise import Normalise

CHANNELS: Final = (16, 32, 64, 64, 128)
"""Of the blocks at full resolution."""
SPREAD: Final = (0.25, 0.25, 0.25)
NUM_HIGHEST: Final = 10
Task = Literal["tumour", "share"]
"""Whether there is tumour in a slide, or which share of it is tumour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A resolution and its network."""

    halvings: int
    """Of the slide's resolution."""
    channels: tuple[int, ...]

    @property
    def factor(self) -> int:
        """Pixels of the slide per pixel of the input, along each axis."""
        return int(2**self.halvings)

    @property
    def stride_px(self) -> int:
        """Pixels of the input per cell."""
        return int(2 ** len(self.channels))


RUNGS: Final = {
    "quarter": Rung(halvings=2, channels=CHANNELS[2:]),
    "quarter, as many parameters": Rung(halvings=2, channels=(70, 70, 140)),
    "half": Rung(halvings=1, channels=CHANNELS[1:]),
    "full": Rung(halvings=0, channels=CHANNELS),
}
"""Networks by resolution; "full" has 134 000 parameters, and so has the second "quarter"."""


class Ladder(nn.Module):
    """A network for a resolution, with its answers about a tile and about a slide.

    Parameters
    ----------
    rung
        Which.
    """

    def __init__(self, rung: Rung) -> None:
        super().__init__()
        layers: list[nn.Module] = [Normalise(SPREAD)]
        before = 3
        for channels in rung.channels:
            layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            before = channels
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, 2)
        self.gain = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, tiles_BCHW: Tensor) -> Tensor:
        """Return logits (B, 2) of the middle cell of tiles of three by three cells."""
        middle: Tensor = self.head(self.features(tiles_BCHW)[:, :, 1, 1])
        return middle

    def slide(self, cells_NF: Tensor, task: Task) -> Tensor:
        """Return one number for a slide of N cells.

        tumour: the logit  gain * mean of the ten highest margins + shift;  share:  gain * mean probability + shift.
        """
        logits = self.head(cells_NF)
        margins = logits[:, 1] - logits[:, 0]
        pooled = (
            torch.sigmoid(margins).mean()
            if task == "share"
            else margins.topk(min(NUM_HIGHEST, len(margins))).values.mean()
        )
        answer: Tensor = self.gain * pooled + self.shift
        return answer
