"""An empty batch, or an image without pixels: what PyTorch gives, or the error that it raises."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from napari_gigaclf.errors import ImageTooSmallError
from napari_gigaclf.streaming import stream

NETWORKS = {
    "plain": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "batch norm": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    "group norm": nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)),
    "instance norm": nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True)),
    "padded": nn.Sequential(nn.Conv2d(3, 4, 3, padding=3)),
    "pointwise": nn.Sequential(nn.ReLU()),
}


def outcome(module, image):
    """Return the kind of error, or everything that the run leaves behind."""
    image = image.clone().requires_grad_()
    try:
        result = module(image)
        result.sum().backward()
    except (RuntimeError, ValueError, IndexError) as error:
        return type(error)
    gradients = [p.grad for p in module.parameters()]
    return [result, image.grad, *gradients, *module.buffers()]


@pytest.mark.parametrize("shape", [(0, 3, 9, 12), (1, 3, 0, 12), (0, 3, 0, 12)])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_result_or_same_error(name, train, shape):
    net = copy.deepcopy(NETWORKS[name]).train(train)
    streamed, image = stream(copy.deepcopy(net), tile=8), torch.zeros(shape)
    expected, found = outcome(net, image), outcome(streamed, image)
    if isinstance(expected, list):
        torch.testing.assert_close(found, expected, equal_nan=True)
    assert isinstance(expected, list) or found is expected


def test_other_images_without_pixels_and_their_plans_are_refused():
    streamed = stream(nn.Conv2d(3, 4, 3, padding=3), tile=8)
    with pytest.raises(ImageTooSmallError, match="0 pixels"):
        streamed(np.zeros((3, 0, 5), np.float32))
    with pytest.raises(ImageTooSmallError, match="0 pixels"):
        streamed.plan((3, 5, 0))
