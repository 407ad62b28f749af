"""Parts of a map's channels, and channels in another sequence."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements


class Written(nn.Module):
    """A convolution with six channels, code written in the test, and another convolution."""

    def __init__(self, code, channels):
        super().__init__()
        self.first, self.code = nn.Conv2d(3, 6, 3, padding=1), code
        self.side, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(channels, 2, 3, stride=2)
        self.double()

    def forward(self, x):
        return self.last(self.code(self, self.first(x)))


def shuffle_unit(net, x):
    one, two = x.chunk(2, dim=1)
    return F.channel_shuffle(torch.cat([one, net.side(two)], 1), 3)


def gated(net, x):
    value, gate = torch.split(x.permute(0, 2, 3, 1), 3, dim=-1)
    return (value * torch.sigmoid(gate)).permute(0, 3, 1, 2)


def uneven(net, x):
    a, b, c = x.split([1, 3, 2], 1)
    parts = torch.tensor_split(x, (2, 4), dim=1)
    return torch.cat([net.side(b), a * c, parts[-1]], dim=1)


CODES = {
    "shuffle unit": (shuffle_unit, 6),
    "gate": (gated, 3),
    "uneven": (uneven, 7),
    "ranges": (lambda net, x: torch.cat([x[:, 4:], x[:, ::2, :, :], x[:, -3:-1]], 1), 7),
    "ranges of the last": (lambda net, x: (x.permute(0, 2, 3, 1)[..., :4] * 2).permute(0, 3, 1, 2), 4),
    "dots in the middle": (lambda net, x: x[:, 1:3, ...] + x[..., 2:4, :, :], 2),
    "narrow": (lambda net, x: net.side(torch.narrow(x, 1, 1, 3)) + x.narrow(dim=1, start=0, length=3), 3),
    "gated linear unit": (lambda net, x: nn.functional.glu(x, 1), 3),
    "one of them": (lambda net, x: x.chunk(3, 1)[1], 2),
    "all of it": (lambda net, x: x[:], 6),
}


@pytest.mark.parametrize(
    "module",
    [nn.ChannelShuffle(3), nn.GLU(1), nn.Softmin(1), nn.SyncBatchNorm(6).eval()],
    ids=lambda m: type(m).__name__,
)
def test_modules_agree(module):
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), module).double()
    image = torch.randn(2, 3, 23, 17, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=8), image)) == {}


def overwritten(view):
    def code(net, x):
        part = view(x)
        part.mul_(2)
        return x

    return code


def original_overwritten(net, x):
    parts = x.chunk(2, 1)
    x.mul_(2)
    return parts[0]


def looped(net, x):
    return sum(part for part in x.chunk(2, 1))


def attention(net, x):
    """The gate of CBAM: highest and mean value over channels."""
    highest, _ = torch.max(x, dim=1, keepdim=True)
    lowest = x.permute(0, 2, 3, 1).min(-1, keepdim=True).values.permute(0, 3, 1, 2)
    return x * torch.sigmoid(torch.cat([highest, x.mean(1, keepdim=True)], 1).max(1, True)[0] - lowest)


CODES["highest over channels"] = (attention, 6)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("tile", [(6, 10), (7, 32)])
def test_agrees(name, tile):
    torch.manual_seed(0)
    net, image = Written(*CODES[name]), torch.randn(2, 3, 23, 17, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile), image)) == {}


REFUSED = {
    "getitem in .*one place of space": lambda net, x: x[:, :, 1],
    "getitem in .*step": lambda net, x: x[:, :, :: torch.ones(())],
    "getitem in .*ranges, or a list": lambda net, x: x[:, [0, 1], [0, 1]],
    "unbind in .*axis 2": lambda net, x: x.unbind(2)[0],
    "stack in .*not a map": lambda net, x: torch.stack([x, net.first.weight], 1),
    "stack in .*no place": lambda net, x: torch.stack([x, x], 7),
    "last'.*seen as 2 axes": lambda net, x: torch.stack([x, x], 1),
    "last'.*seen as 0 axes": lambda net, x: x[:, 0],
    "max in .*axis None": lambda net, x: x.max() * x,
    "max in .*axis 2": lambda net, x: x.max(2, keepdim=True)[0] * x,
    "getitem in .*samples": lambda net, x: x[1:],
    "chunk in .*axis": lambda net, x: x.chunk(2)[0],
    "split in .*axis 2": lambda net, x: x.split(2, 2)[0],
    "GLU in .*axis -1": lambda net, x: net.glu(x),
    "decides by looking": looped,
    "mul_ in .*overwrites a map that may share": overwritten(lambda x: x[:, :3]),
    "mul_ in .*overwrites a map that may": overwritten(lambda x: x.chunk(2, 1)[1]),
    "mul_ in .*overwrites a map": overwritten(lambda x: x.narrow(1, 0, 3)),
    "mul_ in .*overwrites a": original_overwritten,
    "channel_shuffle in .*permuted": lambda net, x: F.channel_shuffle(x.permute(0, 2, 3, 1), 2),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    net = Written(REFUSED[text], 6)
    net.glu = nn.GLU()
    with pytest.raises(UnsupportedOperation, match=text):
        stream(net)


LISTS = {
    "chunk in .*as a list": lambda net, x: torch.cat(x.chunk(2, 1), 1),
    "chunk in .*one by one": lambda net, x: torch.cat(x.chunk(2, 1)[::-1], 1),
}


@pytest.mark.parametrize("text", LISTS)
def test_parts_used_as_a_list_are_read_with_export(text):
    net, image = Written(LISTS[text], 6), torch.randn(2, 3, 23, 17, dtype=torch.float64)
    with pytest.raises(UnsupportedOperation, match=text):
        stream(net, capture="fx")
    assert disagreements(answer(net, image), answer(stream(net, tile=8), image)) == {}


def test_unpacking_another_number_of_parts_raises_as_untiled():
    def code(net, x):
        one, two = x.split(2, 1)
        return one + two

    net, image = Written(code, 2), torch.randn(1, 3, 9, 9, dtype=torch.float64)
    for run in (net, stream(net, tile=4)):
        with pytest.raises(ValueError, match=r"unpack"):
            run(image)
