"""Channels seen as several axes, stacked and dropped; parts of space: the untiled numbers, or a refusal by name."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming import stream
from napari_gigaclf.testing.oracle import answer, disagreements

CAPTURES = ("fx", "export")


class Written(nn.Module):
    """A convolution with twelve channels, code written in the test, and another convolution."""

    def __init__(self, code, channels):
        super().__init__()
        self.first, self.code = nn.Conv2d(3, 12, 3, padding=1), code
        self.side, self.last = nn.Conv2d(12, 12, 3), nn.Conv2d(channels, 2, 3, stride=2)
        self.scale = nn.Parameter(torch.randn(3, 1, 1))
        self.register_buffer("sequence", torch.tensor([3, 0, 11, 5]))
        self.double()

    def forward(self, x):
        return self.last(self.code(self, self.first(x)))


def shuffle(groups, contiguous=True):
    def code(net, x):
        b, c, h, w = x.shape
        x = torch.transpose(x.view(b, groups, c // groups, h, w), 1, 2)
        return (x.contiguous() if contiguous else x).reshape(b, -1, h, w)

    return code


def twice_shuffled(net, x):
    b, c, h, w = x.size()
    x = F.relu(x.view(b, 2, 2, c // 4, h, w).permute(0, 3, 1, 2, 4, 5).flatten(1, 3))
    return x.unflatten(1, (3, -1)).transpose(1, 2).flatten(1, 2) * x


def overwritten_after_shuffle(net, x):
    b, c, h, w = x.shape
    y = x.view(b, 3, c // 3, h, w).transpose(1, 2).contiguous().view(b, c, h, w)
    return y.relu_() + x


def overwritten_through_a_view(net, x):
    y = x.unflatten(1, (3, 4)).transpose(1, 2)
    y.mul_(2)
    y += 1
    return x * y.flatten(1, 2)


def split_attention(net, x):
    """ResNeSt's: a softmax over the radix, from the means of the sum."""
    b, _, h, w = x.shape
    parts = x.view(b, 2, 6, h, w)
    gate = torch.cat([parts.sum(1), parts.mean(1)], 1).tanh().view(b, 2, 6, h, w).softmax(1)
    return (parts * gate).sum(dim=1)


def scaled_groups(net, x):
    b, _, h, w = x.shape
    return (x.view(b, 4, 3, h, w) * net.scale).view(b, -1, h, w)


def channels_last_groups(net, x):
    b, _, h, w = x.shape
    y = x.permute(0, 2, 3, 1).reshape(b, h, w, 4, 3)
    return F.layer_norm(y, (3,)).transpose(3, 4).reshape(b, h, w, 12).permute(0, 3, 1, 2)


def grouped_linear(net, x):
    b, _, h, w = x.shape
    y = F.linear(x.view(b, 4, 3, h, w).permute(0, 3, 4, 1, 2), net.last.weight[:, :3, 0, 0])
    return y.permute(0, 3, 4, 1, 2).flatten(1, 2)


def other_order_of_parts(net, x):
    one = x.unflatten(1, (3, 4)).transpose(1, 2)
    return (one + x.unflatten(1, (4, 3))).flatten(1, 2)


def centre_crop(net, x):
    y = net.side(net.side(x))
    _, _, height, width = y.size()
    top, left = (x.size(2) - height) // 2, (x.size(3) - width) // 2
    return torch.cat([x[:, :, top : top + height, left : left + width], y], 1)


def merged_patches(net, x):
    """Swin's patch merging."""
    x = x.permute(0, 2, 3, 1)
    parts = [x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return F.layer_norm(torch.cat(parts, -1), (48,)).permute(0, 3, 1, 2)


CODES = {
    "shuffle": (shuffle(3), 12),
    "shuffle of a view": (shuffle(4, contiguous=False), 12),
    "two shuffles": (twice_shuffled, 12),
    "overwritten after a shuffle": (overwritten_after_shuffle, 12),
    "overwritten through a view": (overwritten_through_a_view, 12),
    "split attention": (split_attention, 6),
    "maxout": (lambda net, x: x.view(x.shape[0], 4, 3, *(x.shape[2], x.shape[3])).max(2)[0], 4),
    "channels as they are": (lambda net, x: x.view(x.shape) * x.view_as(x), 12),
    "scaled groups": (scaled_groups, 12),
    "groups in the last place": (channels_last_groups, 12),
    "linear layer of groups": (grouped_linear, 8),
    "parts in another order": (other_order_of_parts, 12),
    "stack and mean": (lambda net, x: torch.stack([x, x.tanh(), x * 2], 1).mean(1), 12),
    "stack before samples": (lambda net, x: torch.stack([x, x.tanh()]).amax(0), 12),
    "stack and flatten": (lambda net, x: torch.stack((x, x.sin()), dim=2).flatten(1, 2), 24),
    "unbind": (lambda net, x: torch.stack(x.unflatten(1, (3, 4)).unbind(1)[:1] * 2, 1).sum(1), 4),
    "one channel": (lambda net, x: x * x[:, 3].unsqueeze(1) + x.select(1, 0)[:, None], 12),
    "outer product": (lambda net, x: (x[:, :3, None] * x[:, None, 4:6]).flatten(1, 2), 6),
    "no channel axis": (lambda net, x: x / (1 + x.square().sum(1).sqrt().unsqueeze(1)), 12),
    "squeeze": (lambda net, x: x[:, :1].squeeze(1).unsqueeze(-1).squeeze(dim=3).unsqueeze(1) * x.squeeze(1), 12),
    "half by number": (lambda net, x: x[:, : x.shape[1] // 2] * x.split(x.shape[1] // 2, 1)[1], 6),
    "listed channels": (lambda net, x: x[:, [5, 0, 1]] * x.index_select(1, net.sequence)[:, 1:], 3),
    "numbered channels": (lambda net, x: x[:, net.sequence], 4),
    "crop": (lambda net, x: x[:, 1:5, 1:-1, 2:] * x[:, 4:8, :-2, 1:-1], 4),
    "ends": (lambda net, x: x[:, :, -9:, :10], 12),
    "crop by narrow": (lambda net, x: x.narrow(2, 3, x.shape[2] - 5), 12),
    "centre crop": (centre_crop, 24),
    "space to depth": (
        lambda net, x: torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1), 48
    ),
    "steps of three": (lambda net, x: x[:, :, 1::3, 2:-1:3], 12),
    "merged patches": (merged_patches, 48),
    "more channels": (lambda net, x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)), 17),
    "more of all": (lambda net, x: F.pad(x, (1, 2, 0, 1, 2, 3), value=0.5), 17),
    "local response": (lambda net, x: F.local_response_norm(x, 5), 12),
    "normalised": (lambda net, x: F.normalize(x, dim=1), 12),
    "norms": (lambda net, x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True) + x.norm(p=1, dim=1)[:, None], 12),
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("capture", CAPTURES)
def test_agrees(name, capture):
    code, channels = CODES[name]
    if name == "unbind":
        code = unbound
    torch.manual_seed(0)
    net = Written(code, channels)
    for shape, tile in (((2, 3, 24, 18), (7, 9)), ((1, 3, 22, 30), (30, 5))):
        image = torch.randn(shape, dtype=torch.float64)
        assert disagreements(answer(net, image), answer(stream(net, tile=tile, capture=capture), image)) == {}


def unbound(net, x):
    one, two, three = x.unflatten(1, (3, 4)).unbind(1)
    return one * two + three


class Focus(nn.Module):
    """YOLO's first layer: space becomes channels by slices of the image itself."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, x):
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return self.conv(torch.cat(parts, 1))


@pytest.mark.parametrize("options", [{}, {"compile": "aot_eager"}, {"capture": "export"}])
def test_slices_of_the_image(options):
    net, image = Focus().double(), torch.randn(2, 3, 46, 38, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=6, **options), image)) == {}


@pytest.mark.parametrize("name", ["shuffle", "split attention", "merged patches"])
def test_channels_last_in_memory_and_compiled(name):
    net = Written(*CODES[name])
    image = torch.randn(2, 3, 40, 36, dtype=torch.float64).to(memory_format=torch.channels_last)
    expected = answer(net, image)
    assert disagreements(expected, answer(stream(net.to(memory_format=torch.channels_last), tile=9), image)) == {}
    assert disagreements(expected, answer(stream(net, tile=9, compile="aot_eager"), image)) == {}


@st.composite
def drawn(draw):
    """Draw a split of twelve channels, an order of its parts, and a part of space."""
    parts = draw(st.sampled_from([(12,), (2, 6), (4, 3), (2, 3, 2), (3, 1, 4), (2, 2, 3)]))
    order = draw(st.permutations(range(len(parts))))
    steps = [draw(st.integers(1, 3)) for _ in range(2)]
    starts = [draw(st.integers(-8, 4)) for _ in range(2)]
    stops = [draw(st.sampled_from([None, -1, -2, *([9, 40] if start >= 0 else [])])) for start in starts]
    taken = tuple(slice(a, b, s) for a, b, s in zip(starts, stops, steps, strict=True))
    reduced = draw(st.sampled_from([None, *range(len(parts))]))
    shape = (draw(st.integers(1, 2)), 3, draw(st.integers(12, 29)), draw(st.integers(12, 29)))
    return parts, order, taken, reduced, shape, (draw(st.integers(2, 12)), draw(st.integers(2, 30)))


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn(), st.sampled_from(["fx", "fx", "fx", "export"]))
def test_drawn_splits_orders_and_parts_agree(case, capture):
    parts, order, taken, reduced, shape, tile = case

    sizes = [size + 2 for size in shape[2:]]
    assume(all(len(range(*part.indices(size))) for part, size in zip(taken, sizes, strict=True)))

    class Drawn(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 12, 3, padding=2)
            self.last = nn.Conv2d(12 // (1 if reduced is None else parts[order[reduced]]), 2, 2, padding=1)

        def forward(self, x):
            x = self.first(x)
            b, _, h, w = x.shape
            x = x.view(b, *parts, h, w).permute(0, *(1 + place for place in order), 1 + len(parts), 2 + len(parts))
            x, left = torch.tanh(x) * x, len(parts)
            if reduced is not None:
                x, left = x.mean(1 + reduced), left - 1
            x = x[(..., *taken)]
            return self.last(x.flatten(1, -3) if left else x.unsqueeze(1))

    torch.manual_seed(0)
    net, image = Drawn().double(), torch.randn(shape, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=tile, capture=capture), image)) == {}


def merged_with_space(net, x):
    b, c, h, w = x.shape
    return x.view(b, c * h, 1, w).view(b, c, h, w)


VALID = {
    "(view|reshape) in .*axes of space or samples.*split and merge channels": merged_with_space,
    "(view|reshape) in .*axes of space": lambda net, x: x.view(x.shape[0], 12, -1).view(x.shape),
    "(view|reshape) in .*space or samples": lambda net, x: x.view(-1, 6, x.shape[2], x.shape[3]).view(x.shape),
    "flatten in .*not one of channels": lambda net, x: x.flatten(2).view(x.shape),
    "unflatten in .*not one of channels": lambda net, x: x.unflatten(2, (2, -1)).flatten(2, 3),
    "squeeze in .*name the axis": lambda net, x: x.squeeze() * x,
}


def overwritten_in_another_sequence(net, x):
    y = x.unflatten(1, (3, 4)).transpose(1, 2)
    y += net.first(net.first.weight.new_ones(()) * x[:, :3]).unflatten(1, (4, 3))
    return x


def overwritten_part_of_space(net, x):
    x[:, :, 1:].mul_(2)
    return x


REFUSED = {
    **VALID,
    "add in .*channels lie in another sequence": overwritten_in_another_sequence,
    "mul_? in .*share its memory": overwritten_part_of_space,
    "view in .*bits": lambda net, x: x.view(torch.int64),
    "view in .*space or": lambda net, x: x.view(1, 3, 4, 24, 18).transpose(1, 2).reshape(1, 12, 24, 18),
    "add in .*different orders": lambda net, x: x + x.unflatten(1, (3, 4)),
    "sum in .*axis 3": lambda net, x: x.unflatten(1, (3, 4)).sum(3),
    "getitem in .*step": lambda net, x: x[:, :, ::-1],
}


@pytest.mark.parametrize(("text", "capture"), [*((t, "fx") for t in REFUSED), *((t, "export") for t in VALID)])
def test_refused(text, capture):
    with pytest.raises(UnsupportedOperation, match=text):
        stream(Written(REFUSED[text], 12), capture=capture).plan((1, 3, 24, 18))


def test_sizes_that_fit_some_images_are_refused_for_others():
    def code(net, x):
        b, _, h, w = x.shape
        return x.view(b, 3, 4, h // 2 * 2, w).transpose(1, 2).flatten(1, 2)

    net = Written(code, 12)
    streamed, image = stream(net, tile=8), torch.randn(1, 3, 24, 19, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(streamed, image)) == {}
    with pytest.raises(UnsupportedOperation, match=r"other axes than channels.*24 where 25"):
        streamed(torch.randn(1, 3, 25, 19, dtype=torch.float64))


def test_a_factor_with_more_channels_than_the_code_told_raises():
    """Nothing is told apart wrongly: the code was read for three channels a group."""
    net = Written(scaled_groups, 12)
    streamed = stream(net, tile=8)
    net.scale = nn.Parameter(torch.randn(3, 3, 1, 1, dtype=torch.float64))
    with pytest.raises((UnsupportedOperation, RuntimeError)):
        streamed(torch.randn(1, 3, 24, 18, dtype=torch.float64))


class OneChannelFirst(nn.Module):
    """Its first convolution looks at one channel of an image that has several."""

    def __init__(self, code):
        super().__init__()
        self.conv, self.code = nn.Conv2d(1, 4, 3, padding=1), code

    def forward(self, x):
        return self.conv(x[:, :1]) * self.code(x * 2)


SEVERAL = {
    "all but one": lambda y: y[:, : y.shape[1] - 1].sum(1, keepdim=True),
    "split": lambda y: y.split(y.size(1) // 3, 1)[0],
    "unsqueeze": lambda y: y.unsqueeze(2).sum(1),
    "view": lambda y: y.view(y.size(0), y.size(1), 1, y.size(2), y.size(3)).mean(1),
    "stack": lambda y: torch.stack([y, y.sin()], 1).flatten(1, 2).sum(1, keepdim=True),
    "padding": lambda y: F.pad(y.mean(1, keepdim=True), (0, 0, y.shape[1], 0))[:, :, : y.shape[2]],
}


@pytest.mark.parametrize("name", SEVERAL)
def test_an_image_has_more_channels_than_the_first_convolution_takes(name):
    net = OneChannelFirst(SEVERAL[name]).double()
    streamed = stream(net, tile=8, capture="fx")
    for channels in (3, 6, 3):
        image = torch.randn(2, channels, 20, 17, dtype=torch.float64)
        if name == "split" and channels == 6:
            image = image[:, :5]
        expected = answer(net, image)
        assert disagreements(expected, answer(streamed, image)) == {}


def test_padding_of_channels_before_anything_tells_the_axes_is_refused():
    class Padded(nn.Module):
        def forward(self, x):
            return F.pad(x, (0, 0, 0, 0, 1, 2))

    with pytest.raises(UnsupportedOperation, match=r"pads channels.*convolution before"):
        stream(Padded())(torch.randn(1, 3, 9, 8))


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_narrow_beyond_the_map_raises_as_in_pytorch(capture):
    net = Written(lambda net, x: x.narrow(2, -20, 4) * x.narrow(2, 5, 4) * x.narrow(2, x.shape[2] - 7, 4), 12)
    streamed = stream(net, tile=8, capture=capture)
    image = torch.randn(1, 3, 24, 18, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(streamed, image)) == {}
    for module in (net, streamed):
        with pytest.raises((RuntimeError, IndexError)):
            module(image[:, :, :19])
    with pytest.raises(RuntimeError, match="narrow takes 20 places from 5 on, and the map has 24"):
        stream(Written(lambda net, x: x.narrow(2, 5, 20), 12), capture="fx")(image)


class Gated(nn.Module):
    """A convolution with four channels, and a gate from the means of its map, written in the test."""

    def __init__(self, code):
        super().__init__()
        self.conv, self.norm, self.mix, self.code = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), code
        self.double().eval()

    def forward(self, x):
        y = self.conv(x)
        return self.code(self, y, y.mean((2, 3), keepdim=True))


def part_of_gate_overwritten(net, y, gate):
    gate[:, :2].mul_(2)
    return y * gate


def gate_overwritten_behind_a_part(net, y, gate):
    part = gate[:, :2]
    gate.mul_(2)
    return y[:, :2] * part


def same_gate_overwritten(net, y, gate):
    other = +gate
    other.mul_(2)
    return y * gate


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("code", [part_of_gate_overwritten, gate_overwritten_behind_a_part, same_gate_overwritten])
def test_overwriting_a_part_of_a_gate_is_refused(code, capture):
    with pytest.raises(UnsupportedOperation, match="share its memory"):
        stream(Gated(code), capture=capture)


def radix_softmax(net, y, gate):
    """ResNeSt's: two groups, softmax over the radix, sizes of the gate by the batch."""
    gate = F.relu(net.norm(net.mix(gate)), inplace=True)
    gate = F.softmax(gate.view(gate.size(0), 1, 2, -1).transpose(1, 2), dim=1).reshape(gate.size(0), -1)
    one, two = torch.split(gate.view(y.shape[0], -1, 1, 1), 2, dim=1)
    return one * y[:, :2] + two * y[:, 2:]


def selective(net, y, gate):
    """SKNet's: maps seen as branches, weighed by a softmax over them."""
    branches = torch.cat([y, y.tanh()], 1).view(y.shape[0], 2, 4, y.shape[2], y.shape[3])
    weights = torch.cat([gate, net.mix(gate)], 1).view(y.shape[0], 2, 4, 1, 1)
    return torch.sum(branches * weights.softmax(1), 1)


def largest(net, y, gate):
    """MFM's maximum of two halves."""
    one, two = torch.split(y, 2, 1)
    return torch.max(one, two) * one.min(other=two) / torch.norm(y, p=2, dim=1, keepdim=True)


def response_norm(net, y, gate):
    """ConvNeXt V2's global response normalisation; one channel is dark."""
    y = (y * torch.tensor([1.0, 0.0, 2.0, 3.0], dtype=y.dtype)[:, None, None]).permute(0, 2, 3, 1)
    norm = torch.norm(y, p=2, dim=(1, 2), keepdim=True)
    y = y * (norm / (norm.mean(dim=-1, keepdim=True) + 1e-6)) + y.mean((1, 2))[:, None, None]
    return y.permute(0, 3, 1, 2) * (gate + torch.linalg.vector_norm(y, dim=(-3, 2))[..., None, None])


def grouped_means(net, y, gate):
    """Squeeze and excitation of groups; sizes from the code's own axes."""
    y = y.unflatten(1, (2, 2)).transpose(1, 2)
    y = y * y.mean((3, 4), keepdim=True).softmax(1) - y.amax(dim=(-1, -2))[..., None, None]
    total = y.sum((1, 2))
    return y.flatten(1, 2) * (total * total.mean((1, 2), keepdim=True)).unsqueeze(1)


@pytest.mark.parametrize("capture", ["auto", "export"])
@pytest.mark.parametrize("code", [radix_softmax, selective, largest, response_norm, grouped_means])
def test_published_gates_agree_for_any_batch(code, capture):
    torch.manual_seed(0)
    net = Gated(code)
    streamed = stream(net, tile=8, capture=capture)
    for batch in (2, 1):
        image = torch.randn(batch, 3, 20, 17, dtype=torch.float64)
        assert disagreements(answer(net, image), answer(streamed, image)) == {}


class FramesFirst(nn.Module):
    """Three frames in the channels, told apart before any convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 4, 3)

    def forward(self, x):
        b, c, h, w = x.shape
        return self.conv(x.view(b, 3, c // 3, h, w).softmax(1).view(b, c, h, w))


def test_a_view_of_the_image_itself_where_code_is_read_with_an_example():
    net, image = FramesFirst().double(), torch.randn(2, 6, 20, 17, dtype=torch.float64)
    assert disagreements(answer(net, image), answer(stream(net, tile=8), image)) == {}
