"""One training step under DistributedDataParallel in a process of its own; exits with 0 if it equals the untiled one.

In a process of its own because PyTorch 2.13's gloo can wait for ever when it is torn down: the thread that ends wants
Python's lock, which the one that waits for it holds.
"""

import os
import sys
import traceback
from pathlib import Path

import torch
from torch import nn

from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import relative_error


class Levels(nn.Module):
    """Two maps of different stride, with dropout between them."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.drop = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 5, 3, 2, 1), nn.Dropout(0.3)

    def forward(self, x):
        one = self.drop(torch.relu(self.one(x)))
        return one, self.two(one)


def step(module, run, image):
    """Return outputs and gradients of a step."""
    module.zero_grad()
    torch.manual_seed(0)
    one, two = run(image)
    (one.square().sum() + two.sum()).backward()
    return [one.detach(), two.detach(), *(p.grad.clone() for p in module.parameters())]


def main(store: Path) -> None:
    """Compare with and without dropout; with it, the oracle is one tile that covers the image."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    module, image = Levels().double(), torch.randn(2, 3, 30, 21, dtype=torch.float64)
    for training in (False, True):
        module.train(training)
        expected = step(module, stream(module, tile=1000) if training else module, image)
        found = step(module, nn.parallel.DistributedDataParallel(stream(module, tile=8)), image)
        assert all(relative_error(a, b) < 1e-10 for a, b in zip(expected, found, strict=True))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException:  # noqa: BLE001 - whatever it is, print it and leave at once
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
