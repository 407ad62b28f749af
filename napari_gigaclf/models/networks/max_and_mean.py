"""Pooling that keeps both what is highest and what is usual in a window."""

import torch
from torch import Tensor, nn


class MaxAndMean(nn.Module):
    """The maximum over windows and, in as many channels behind it, the mean.

    The maximum says whether something is there; the mean says how much of it, and hands a gradient to every place.

    Parameters
    ----------
    kernel, stride
        Side and step of the windows, in pixels of the map.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.highest = nn.MaxPool2d(kernel, stride)
        self.mean = nn.AvgPool2d(kernel, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, 2 C, H', W')."""
        return torch.cat([self.highest(x_BCHW), self.mean(x_BCHW)], dim=1)
