"""Maps whose axes the code permutes: layer norm and linear layers over channels, wherever the channels are."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements


class Written(nn.Module):
    """A convolution with four channels, layers over these channels, and code written in the test."""

    def __init__(self, code, num_axes=2):
        super().__init__()
        self.conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[num_axes - 1](3, 4, 3, padding=1, stride=2)
        self.after = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[num_axes - 1](4, 4, 3, padding=1)
        self.norm, self.rms = nn.LayerNorm(4), nn.RMSNorm(4)
        self.wide, self.narrow = nn.Linear(4, 8), nn.Linear(8, 4, bias=False)
        self.gamma, self.code = nn.Parameter(torch.randn(4)), code
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)
        self.double()

    def forward(self, x):
        return self.after(self.code(self, self.conv(x)))


class LayerNorm2d(nn.LayerNorm):
    """As timm and torchvision have it."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class FirstNorm(nn.Module):
    """ConvNeXt's own norm for channels in the second place."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(channels)), nn.Parameter(torch.randn(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        var = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(var + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def convnext(net, x):
    y = net.norm(x.permute(0, 2, 3, 1))
    y = net.narrow(F.gelu(net.wide(y)))
    return x + (net.gamma * y).permute(0, 3, 1, 2)


def step_by_step(net, x):
    y = x.transpose(1, 2).transpose(2, 3).contiguous()
    y = net.rms(y) * torch.tensor([1.0, 2.0, -1.0, 0.5])
    return torch.movedim(torch.cat([y, 2 * y], -1).mean(-1, keepdim=True) * y, -1, 1)


def overwritten_through_a_view(net, x):
    y = x.permute(0, 2, 3, 1)
    y += net.gamma
    F.relu(y, inplace=True)
    return x * 2 + y.permute(0, 3, 1, 2)


def overwritten_beside_a_view(net, x):
    y = x.permute(0, 2, 3, 1)
    x *= 3
    return y.movedim(3, 1) + x


CODES = {
    "ConvNeXt block": convnext,
    "views step by step": step_by_step,
    "overwritten through a view": overwritten_through_a_view,
    "overwritten beside a view": overwritten_beside_a_view,
    "softmax over the last": lambda net, x: x.moveaxis(1, 3).softmax(-1).permute(0, 3, 1, 2),
    "mean and variance": lambda net, x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-3),
    "deviation of the last": lambda net, x: (
        torch.std(x.permute(0, 2, 3, 1), dim=-1, keepdim=True).permute(0, 3, 1, 2) * x
    ),
    "variance by default": lambda net, x: x * x.var(dim=-3, keepdim=True),
    "normalised": lambda net, x: F.normalize(F.normalize(x, 1.0, 1).permute(0, 2, 3, 1), dim=-1).permute(0, 3, 1, 2),
    "dropout off": lambda net, x: F.dropout(x.permute(0, 2, 3, 1), training=False).permute(0, 3, 1, 2),
    "transposed space and back": lambda net, x: (x.transpose(2, 3) * 2).transpose(-1, -2),
    "norm without weights": lambda net, x: F.layer_norm(x.permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("tile", [(6, 10), (7, 32)])
def test_agrees(name, tile):
    torch.manual_seed(0)
    net, image = Written(CODES[name]), torch.randn(2, 3, 23, 17, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile), image)) == {}


@pytest.mark.parametrize("num_axes", [1, 3])
def test_other_numbers_of_axes(num_axes):
    last, first = (0, *range(2, num_axes + 2), 1), (0, num_axes + 1, *range(1, num_axes + 1))
    net = Written(lambda net, x: net.narrow(net.wide(net.norm(x.permute(last)))).permute(first), num_axes)
    image = torch.randn(2, 3, *(13, 9, 11)[:num_axes], dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=5), image)) == {}


@pytest.mark.parametrize("norm", [LayerNorm2d, FirstNorm])
def test_norms_over_channels_as_people_write_them(norm):
    net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), norm(4), nn.Conv2d(4, 2, 3, padding=1), nn.ReLU()).double()
    image = torch.randn(2, 3, 41, 30, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=12), image)) == {}


def last(call):
    return lambda net, x: call(net, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


REFUSED = {
    "LayerNorm in module 'norm'.*last axis is space": lambda net, x: net.norm(x),
    "layer_norm in .*statistics over space": last(lambda net, x: F.layer_norm(x, (8, 4))),
    "layer_norm in .*last axis is space": lambda net, x: F.layer_norm(x, (4, 8, 8)),
    "Linear in module 'wide'.*last axis is space": lambda net, x: net.wide(x),
    "Conv2d in module 'after'.*permute back": lambda net, x: x.transpose(2, 3),
    "Conv2d in module 'after'.*permuted": lambda net, x: x.permute(0, 2, 3, 1),
    "add in .*different orders": lambda net, x: x + x.permute(0, 2, 3, 1),
    "cat in .*different orders": lambda net, x: torch.cat([x, x.transpose(2, 3)], 1),
    "mul in .*place to place": last(lambda net, x: x * torch.ones(4, 1, 1)),
    "mul in the.*place to place": lambda net, x: x * net.gamma,
    "softmax in .*axis 1": last(lambda net, x: x.softmax(1)),
    "normalize in .*axis 3": lambda net, x: F.normalize(x, 2.0, 3),
    "normalize in .*axis 1": last(lambda net, x: F.normalize(x)),
    "mean in .*axis": last(lambda net, x: x.mean(1, keepdim=True)),
    "mean in the outermost.*axis True": lambda net, x: x.mean(True, keepdim=True),
    "var in .*axis": lambda net, x: x.var(keepdim=True),
    "Conv2d in module .after.*seen as 0 axes.*unsqueeze": lambda net, x: x.var(1),
    "prelu in .*permuted": last(lambda net, x: F.prelu(x, net.gamma)),
    "max_pool2d in .*permuted": last(lambda net, x: F.max_pool2d(x, 1)),
    "batch_norm in .*permuted": last(lambda net, x: F.batch_norm(x, net.gamma.detach(), net.gamma.detach() ** 2)),
    "local_response_norm in .*permuted": last(lambda net, x: F.local_response_norm(x, 2)),
    "permute in .*samples": lambda net, x: x.permute(1, 0, 2, 3),
    "permute in .*every axis": lambda net, x: x.permute(0, 2, 1),
    "permute in .*not an order": lambda net, x: x.permute(0, 2, 2, 1),
    "movedim in .*no axis": lambda net, x: x.movedim(1, 4),
    "flatten in": lambda net, x: x.flatten(2).transpose(1, 2),
    "layer_norm in .*not an operation": last(lambda net, x: torch.layer_norm(x, (4,))),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    with pytest.raises(UnsupportedOperation, match=text):
        stream(Written(REFUSED[text]))


def test_returning_a_permuted_map_is_refused():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x).permute(0, 2, 3, 1)

    with pytest.raises(UnsupportedOperation, match="permuted to"):
        stream(Last())


def test_counting_from_the_end_needs_to_know_the_number_of_axes():
    class Early(nn.Module):
        def forward(self, x):
            return x.transpose(1, -1).transpose(1, -1) * 2

    with pytest.raises(UnsupportedOperation, match="not known here"):
        stream(Early())


def test_axes_of_a_permutation_must_be_those_of_the_convolutions():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3)

        def forward(self, x):
            return self.conv(x.permute(0, 2, 3, 1).permute(0, 3, 1, 2))

    with pytest.raises(UnsupportedOperation, match="mixes operations over"):
        stream(Mixed())


def test_wrong_number_of_channels_raises_as_untiled():
    net = Written(lambda net, x: F.layer_norm(x.permute(0, 2, 3, 1), (5,)).permute(0, 3, 1, 2))
    image = torch.randn(1, 3, 10, 10, dtype=torch.float64)
    for run in (net, stream(net, tile=4)):
        with pytest.raises(RuntimeError, match="normalized_shape"):
            run(image)
