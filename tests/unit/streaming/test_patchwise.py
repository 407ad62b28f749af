"""Modules called on every patch: exact, with gradients to their parameters, and limited in what one call takes."""

import pytest
import torch
from torch import nn

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import Patchwise, stream
from napari_gigaclf.testing.oracle import answer, disagreements, relative_error


class Vit(nn.Module):
    """A small vision transformer: patches of 4 pixels as tokens, attention, the mean of the tokens."""

    def __init__(self, channels=3, side=16, width=8, features=5):
        super().__init__()
        self.embed = nn.Conv2d(channels, width, 4, 4)
        self.position = nn.Parameter(torch.randn(1, (side // 4) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 2, 16, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, features)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(1))


class Encoder(nn.Module):
    """A network with pooling over the patch, a buffer, and a weight under two names."""

    def __init__(self, channels, axes, features=4):
        super().__init__()
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](channels, features, 2)
        self.norm, self.one = nn.BatchNorm1d(features), nn.Linear(features, features)
        self.two = nn.Linear(features, features)
        self.two.weight = self.one.weight
        self.norm.running_mean.normal_()

    def forward(self, x):
        return self.two(torch.tanh(self.one(self.norm(self.conv(x).flatten(2).amax(2)))))


def test_untiled_forward_calls_the_module_on_each_patch():
    encoder = Encoder(2, 2).double().eval()
    module, image = Patchwise(encoder, 5, 3, 1, patches_per_call=4), torch.randn(2, 2, 13, 10, dtype=torch.float64)
    out, padded = module(image), nn.functional.pad(image, (1, 1, 1, 1))
    assert out.shape == (2, 4, 4, 3)
    for row in range(4):
        for column in range(3):
            patch = padded[:, :, 3 * row : 3 * row + 5, 3 * column : 3 * column + 5]
            torch.testing.assert_close(out[:, :, row, column], encoder(patch))


@pytest.mark.parametrize(
    ("axes", "kernel", "stride", "padding"),
    [(1, 5, 3, 2), (2, 4, None, 0), (2, (5, 3), (2, 4), (1, 0)), (2, 3, 5, 1), (3, 2, 2, 1)],
)
@pytest.mark.parametrize("tile", [4, 7])
def test_streamed_agrees(axes, kernel, stride, padding, tile):
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    patch = Patchwise(Encoder(3, axes), kernel, stride, padding, num_axes=axes, patches_per_call=3)
    net = nn.Sequential(conv(2, 3, 3, padding=1), nn.ReLU(), patch, nn.GELU(), conv(4, 2, 2)).double().eval()
    image = torch.randn(2, 2, *(19, 17, 9)[:axes], dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile), image)) == {}


@pytest.mark.parametrize("tile", [16, 40, 100])
def test_vision_transformer(tile):
    torch.manual_seed(0)
    net = nn.Sequential(Patchwise(Vit(), 16, 8), nn.Conv2d(5, 2, 3, padding=1)).double()
    image = torch.randn(1, 3, 70, 57, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile), image)) == {}


def test_frozen_module_gets_no_gradient_and_the_rest_is_exact():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), Patchwise(Vit(), 16)).double()
    net[1].requires_grad_(False)
    image = torch.randn(1, 3, 52, 40, dtype=torch.float64)
    expected, found = answer(net, image), answer(stream(net, tile=20), image)
    assert set(found.gradients) == {"0.weight", "0.bias"}
    assert disagreements(expected, found) == {}


def test_each_patch_is_run_once_and_calls_are_limited():
    class Counting(nn.Module):
        calls = ()

        def forward(self, x):
            type(self).calls += (len(x),)
            return x.mean((2, 3))

    streamed = stream(Patchwise(Counting(), 6, 3, patches_per_call=7), tile=10)
    streamed.plan((2, 3, 40, 40), backward=False)  # looks at one patch
    Counting.calls = ()
    with torch.no_grad():
        out = streamed(torch.randn(2, 3, 40, 40))
    assert sum(Counting.calls) == 2 * 12 * 12 == out[:, 0].numel()
    assert max(Counting.calls) == 7


def test_patches_are_run_once_also_before_a_wide_convolution():
    plan = stream(nn.Sequential(Patchwise(Vit(), 16), nn.Conv2d(5, 5, 7, padding=3)), tile=32).plan((3, 160, 160))
    index = next(i for i, count in enumerate(plan.channels) if count == 5)
    assert plan.schedules[0].num_made.total[index] == 10


def test_the_plan_counts_the_arithmetic_inside():
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 7))
    plan = stream(nn.Sequential(Patchwise(encoder, 16), nn.Conv2d(7, 2, 1)), tile=32).plan((2, 3, 64, 48))
    per_patch = 4 * 14 * 14 * 27 + 4 * 14 * 14 * 7
    assert plan.macs == plan.untiled_macs == 2 * 4 * 3 * (per_patch + 14)


def test_region_flat_tiles_and_geometry():
    class Glass:
        shape, dtype, flat_value = (3, 64, 64), torch.float64, [0.5, 1.0, 2.0]

        def read(self, rows, columns):
            block = torch.tensor(self.flat_value, dtype=torch.float64)[:, None, None].expand(3, 64, 64).clone()
            block[:, 5, 5] = 0
            return block[:, rows, columns]

        def is_flat(self, rows, columns):
            return not (rows.start <= 5 < rows.stop and columns.start <= 5 < columns.stop)

    net = Patchwise(Vit(), 16, 8, 4).double().eval()
    streamed = stream(net, tile=16)
    with torch.no_grad():
        expected, found = net(Glass().read(slice(None), slice(None))[None]), streamed(Glass())
    assert relative_error(expected, found) < 1e-10
    assert 0 < streamed.last_report.tiles_skipped_flat < 9  # those which see padding are not flat
    part = streamed.region(Glass(), (slice(1, 3), slice(0, 5)))
    assert relative_error(expected[..., 1:3, 0:5], part) < 1e-10
    assert (streamed.geometry()[0].stride, streamed.geometry()[0].receptive_field) == (8, 16)


def test_names_in_the_state_are_those_of_the_untiled_module():
    net = nn.Sequential(nn.Conv2d(3, 3, 3), Patchwise(Vit(), 16))
    assert list(stream(net).state_dict()) == list(net.state_dict())


class Draws(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x.mean((2, 3)), 0.5, self.training)


def test_random_numbers_inside_are_refused_and_accepted_in_eval_mode():
    net, image = nn.Sequential(nn.Conv2d(3, 4, 3), Patchwise(Draws(), 4)), torch.randn(1, 3, 20, 20)
    streamed = stream(net, tile=8)
    with pytest.raises(UnsupportedOperation, match=r"Patchwise in module '1'.*random numbers"):
        streamed(image)
    streamed.eval()
    torch.testing.assert_close(streamed(image), net(image))


def test_batch_norm_in_training_mode_inside_is_refused():
    net = Patchwise(Encoder(3, 2), 4)
    with pytest.raises(UnsupportedOperation, match=r"batch norm in its 'norm'"):
        stream(net)
    stream(net.eval())


@pytest.mark.parametrize("wrong", [lambda x: x, lambda x: x.mean((0, 2, 3))[None], lambda x: (x, x)])
def test_wrong_shapes_are_noticed_streamed_and_untiled(wrong):
    class Wrong(nn.Module):
        def forward(self, x):
            return wrong(x)

    net = Patchwise(Wrong(), 4)
    for run in (net, stream(net, tile=8)):
        with pytest.raises(ValueError, match="one row for each"):
            run(torch.randn(2, 3, 20, 20))


@pytest.mark.parametrize("sizes", [(0,), (4, 0), (4, 4, -1), ((4, 4), (4, 4, 4))])
def test_senseless_windows_are_refused(sizes):
    with pytest.raises(ValueError, match=r"axes|no windows"):
        Patchwise(nn.Identity(), *sizes)
