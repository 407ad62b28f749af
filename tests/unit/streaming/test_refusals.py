"""What cannot be streamed exactly is refused at construction: operation, module and remedy are named."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream


class Calls(nn.Module):
    """A convolution followed by something."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 3), function

    def forward(self, x):
        return self.function(self.conv(x))


def inside(module):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), module))


MODULES = {
    "AlphaDropout in module '1.1'.*active alpha dropout.*eval": inside(nn.AlphaDropout(0.1)),
    "AdaptiveAvgPool2d in module '1.1'.*one cell": inside(nn.AdaptiveAvgPool2d(7)),
    "mean in the outermost module.*part of space": Calls(lambda x: x.mean(2)),
    "mean in the outermost module.*axis": Calls(lambda x: x.mean()),
    "Dropout in module '1.1.2'.*active dropout": inside(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1))
    ),
    "BatchNorm1d in module '1.1.2'.*batch of vectors": inside(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4))
    ),
    "relu.* in the outermost module.*share its memory": Calls(
        lambda x: x * F.relu_(x.mean((2, 3)).unsqueeze(-1)).unsqueeze(-1)
    ),
    "SyncBatchNorm in module '1.1'.*eval mode": inside(nn.SyncBatchNorm(4)),
    "Flatten in module '1.1'.*outside": inside(nn.Flatten()),
    "interpolate in the outermost module.*mode='area'": Calls(lambda x: F.interpolate(x, scale_factor=2, mode="area")),
    "interpolate in the outermost module.*antialias": Calls(
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True)
    ),
    "AdaptiveMaxPool2d in module '1.1'.*outside": inside(nn.AdaptiveMaxPool2d(7)),
    "MaxUnpool2d in module '1.1'.*use interpolation": inside(nn.MaxUnpool2d(2)),
    "Conv2d in module '1.1'.*circular": inside(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")),
    "MaxPool2d in module '1.1'.*indices": inside(nn.MaxPool2d(2, return_indices=True)),
    "softmax in the outermost module.*axis": Calls(lambda x: F.softmax(x, dim=-1)),
    "getitem in the outermost module.*one place of space": Calls(lambda x: x[:, :, 2]),
    "add in the outermost module.*place to place": Calls(lambda x: x + torch.ones(1, 1, 5, 5)),
    "decides by looking at the image.s values": Calls(lambda x: x if x.sum() > 0 else -x),
    "returns no map": Calls(lambda x: (1, None)),
    "joins maps of": Calls(lambda x: x + F.max_pool2d(x, 2)),
    "random numbers": Calls(lambda x: x * torch.rand_like(torch.ones(1))),
    "mixes operations over": nn.Sequential(nn.Conv2d(3, 3, 1), nn.MaxPool1d(2)),
}


@pytest.mark.parametrize("text", [t for t in MODULES if t != "joins maps of"])
def test_refused_at_construction(text):
    with pytest.raises(UnsupportedOperation, match=text):
        stream(MODULES[text])


def test_joining_maps_of_different_size_is_refused_by_the_plan():
    with pytest.raises(UnsupportedOperation, match="joins maps of"):
        stream(MODULES["joins maps of"]).plan((3, 20, 20))


def test_parametrised_weights_are_refused():
    module = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    with pytest.raises(UnsupportedOperation, match="parametris"):
        stream(nn.Sequential(module))


def test_hooks_are_refused_before_and_after_wrapping():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    streamed = stream(module)
    module[0].register_forward_hook(lambda *args: None)
    with pytest.raises(UnsupportedOperation, match="module '0': it has hooks"):
        streamed(torch.zeros(1, 3, 9, 9))
    with pytest.raises(UnsupportedOperation, match="module '0': it has hooks"):
        stream(module)


def test_second_derivative_is_refused():
    streamed = stream(nn.Conv2d(1, 1, 3), tile=4)
    x = torch.randn(1, 1, 9, 9, requires_grad=True)
    with pytest.raises(UnsupportedOperation, match="twice"):
        torch.autograd.grad(streamed(x).sum(), x, create_graph=True)


def test_statistics_joined_as_if_they_had_space_are_refused():
    module = Calls(lambda x: x * x.mean((2, 3)))
    with pytest.raises(UnsupportedOperation, match=r"mul in .*place to place"):
        stream(module).plan((1, 3, 20, 20))


def test_batch_norm_follows_the_mode():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).double().eval()
    streamed, image = stream(module, tile=8), torch.randn(1, 3, 20, 20, dtype=torch.float64)
    assert not streamed.plan(image.shape).stages
    torch.testing.assert_close(streamed(image), module(image))
    streamed.train()
    assert module.training
    assert len(streamed.plan(image.shape).stages) == 2
    untiled = copy.deepcopy(module)
    torch.testing.assert_close(streamed(image), untiled(image))
    torch.testing.assert_close(module[1].running_var, untiled[1].running_var)
    assert module[1].num_batches_tracked == untiled[1].num_batches_tracked == 1
    module[1].eval()  # frozen statistics, everything else trains
    torch.testing.assert_close(streamed(image), module(image))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tile": 0}, "tile=0"),
        ({"tile": (4, -1)}, "tile="),
        ({"memory": "much"}, "memory='much'"),
        ({"tile": True}, "tile=True"),
        ({"memory": 0}, "memory=0"),
        ({"memory": True}, "memory=True"),
    ],
)
def test_senseless_options_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        stream(nn.Conv2d(3, 4, 3), **options)


def test_memory_that_no_tile_fits_is_refused():
    with pytest.raises(UnsupportedOperation, match=r"too small.*needs about"):
        stream(nn.Conv2d(3, 64, 3), memory="10 KB").plan((3, 2000, 2000))


def test_a_tile_with_more_sides_than_axes_is_refused():
    with pytest.raises(ValueError, match=r"tile=\(4, 4, 4\) has 3 sides, and the image 2 axes"):
        stream(nn.Conv2d(3, 4, 3), tile=(4, 4, 4))(torch.zeros(1, 3, 9, 9))


@pytest.mark.parametrize("shape", [(3, 9, 9), (1, 3, 9, 9, 9)])
def test_image_of_other_dimension_is_refused(shape):
    """Where PyTorch raises a RuntimeError, so do we; it takes an image without batch, and we do not."""
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind, match="axes of space"):
            stream(nn.Conv2d(3, 4, 3))(torch.zeros(shape))
