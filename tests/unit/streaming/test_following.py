"""A network that draws random numbers is refused; one that is followed while another thread draws is not."""

import random
import threading
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream


class Net(nn.Module):
    """A convolution that calls a function on the way; ``by_shape``: code that only torch.export can follow."""

    def __init__(self, on_the_way, *, by_shape):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.on_the_way, self.by_shape = on_the_way, by_shape

    def forward(self, x: Tensor) -> Tensor:
        self.on_the_way()
        if self.by_shape and x.shape[-1] > 2:
            return self.conv(x).relu()
        return self.conv(x)


@pytest.mark.parametrize("by_shape", [False, True])
def test_what_another_thread_draws_meanwhile_is_not_the_network_s(by_shape):
    """As where the viewer builds a model for one widget while another one plans."""
    calls = []

    def disturbed_twice():
        calls.append(None)
        if len(calls) <= 2:
            thread = threading.Thread(target=lambda: nn.Linear(2, 2))
            thread.start()
            thread.join()

    net = Net(disturbed_twice, by_shape=by_shape).double().eval()
    image = torch.linspace(0, 1, 3 * 90 * 70, dtype=torch.float64).reshape(1, 3, 90, 70)
    assert torch.allclose(stream(net, tile=32)(image), net(image), rtol=1e-12)


@pytest.mark.parametrize(
    ("draw", "by_shape"),
    [
        *((draw, by_shape) for draw in (random.random, np.random.rand) for by_shape in (False, True)),
        (torch.rand, False),
    ],
)
def test_a_network_that_draws_is_refused(draw, by_shape):
    net = Net(partial(draw, 1) if draw is torch.rand else draw, by_shape=by_shape).eval()
    with pytest.raises(UnsupportedOperation, match="random numbers"):
        stream(net, tile=32)(torch.rand(1, 3, 90, 70))
