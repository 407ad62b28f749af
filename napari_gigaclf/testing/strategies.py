"""Random networks, images and tiles, for property tests of anything that must equal the whole-image run.

Networks are drawn layer by layer with the size of the map in view, so that every drawn network can take its image:
chains, residual sums, concatenated branches; all kinds of windows; 1, 2 and 3 axes of space; images from one pixel to
several tiles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

MOST_CHANNELS = 4
MOST_PIXELS = {1: 97, 2: 37, 3: 13}
"""Longest side of a drawn image, by number of spatial axes."""


Kinds = tuple[Callable[..., nn.Module], ...]
CONVOLUTIONS: Kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
MAX_POOLINGS: Kinds = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGE_POOLINGS: Kinds = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
TRANSPOSED: Kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
FRAMES: Kinds = (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)


class Residual(nn.Module):
    """A branch added to its own input."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return branch + shortcut."""
        return self.branch(x) + self.shortcut(x)  # type: ignore[no-any-return]


class Concatenated(nn.Module):
    """Branches side by side, joined along channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return all branches' channels."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Levels(nn.Module):
    """A map beside what a branch makes of it at a coarser level, brought back to the map's own size."""

    def __init__(self, branch: nn.Module, mode: str) -> None:
        super().__init__()
        self.branch, self.mode = branch, mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the map and the branch's, joined."""
        coarse = self.branch(x)
        return torch.cat([x, nn.functional.interpolate(coarse, size=x.shape[2:], mode=self.mode)], dim=1)


class Gated(nn.Module):
    """A map scaled per channel and multiplied by a gate computed from itself."""

    def __init__(self, gate: nn.Module, channels: int, num_axes: int) -> None:
        super().__init__()
        self.gate = gate
        self.scale = nn.Parameter(torch.randn(1, channels, *(1,) * num_axes))
        self.shift: Tensor
        self.register_buffer("shift", torch.randn(channels))
        self.num_axes = num_axes

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated map."""
        shift = self.shift.view(1, -1, *(1,) * self.num_axes)
        return x * torch.sigmoid(self.gate(x)) * self.scale + 0.5 * shift


class ChannelsLast(nn.Module):
    """Layer norm and linear layers over the channels of every place, as in ConvNeXt, scaled and added to the map."""

    def __init__(self, channels: int, num_axes: int) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(channels), nn.Linear(channels, 5), nn.Linear(5, channels)
        self.gamma = nn.Parameter(torch.randn(channels))
        self.last, self.first = (0, *range(2, num_axes + 2), 1), (0, num_axes + 1, *range(1, num_axes + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map and what the layers make of it."""
        y = self.narrow(torch.tanh(self.wide(self.norm(x.permute(self.last)))))
        return x + (self.gamma * y).permute(self.first)  # type: ignore[no-any-return]


class Parts(nn.Module):
    """Parts of the channels, in another sequence, multiplied with other parts."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a map with as many channels."""
        first = x.chunk(2, 1)[0]
        return torch.cat([x[:, 1:], x.narrow(1, 0, 1) * first[:, -1:]], 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network, an image it can take, and tiles to stream it with."""

    module: nn.Module
    """float64, eval mode."""
    image: Tensor
    """(B, C, *space), float64."""
    tile: tuple[int, ...]
    """Side per axis, input pixels."""

    def __repr__(self) -> str:
        """Return what a failing example needs to be read."""
        return f"Case(image={tuple(self.image.shape)}, tile={self.tile}, module={self.module})"


@dataclass(slots=True, kw_only=True)
class _Growing:
    """The end of a network under construction."""

    channels: int
    sizes: tuple[int, ...]

    @property
    def num_axes(self) -> int:
        return len(self.sizes)


def _ints(draw: st.DrawFn, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(count))


def _out(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


@st.composite
def _convolution(draw: st.DrawFn, end: _Growing, *, keep_size: bool = False) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    groups = draw(st.sampled_from([g for g in (1, 2, end.channels) if end.channels % g == 0]))
    channels = groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups)))
    kind = CONVOLUTIONS[n - 1]
    bias = draw(st.booleans())
    if keep_size:
        taps_of, spread_of = _ints(draw, 1, 4, n), _ints(draw, 1, 2, n)
        layer = kind(end.channels, channels, taps_of, padding="same", dilation=spread_of, groups=groups, bias=bias)
        return layer, _Growing(channels=channels, sizes=end.sizes)
    kernel: list[int] = []
    stride: list[int] = []
    dilation: list[int] = []
    padding: list[int] = []
    for size in end.sizes:
        pad, step, spread = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        longest = max(1, min(5, (size + 2 * pad - 1) // spread + 1))
        taps = draw(st.integers(1, longest))
        for values, value in ((kernel, taps), (stride, step), (dilation, spread), (padding, pad)):
            values.append(value)
    mode = draw(st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate"]))
    if mode == "reflect" and any(p >= size for p, size in zip(padding, end.sizes, strict=True)):
        mode = "replicate"
    layer = kind(
        end.channels, channels, tuple(kernel), stride=tuple(stride), padding=tuple(padding), dilation=tuple(dilation),
        groups=groups, bias=bias, padding_mode=mode,
    )  # fmt: skip
    sizes = tuple(
        _out(s, k, t, p, p, d) for s, k, t, p, d in zip(end.sizes, kernel, stride, padding, dilation, strict=True)
    )
    return layer, _Growing(channels=channels, sizes=sizes)


@st.composite
def _pooling(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    kernel = tuple(draw(st.integers(1, min(4, size))) for size in end.sizes)
    stride, padding = _ints(draw, 1, 3, n), tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil = draw(st.booleans())
    if draw(st.booleans()):
        kind = MAX_POOLINGS[n - 1]
        layer = kind(kernel, stride, padding, ceil_mode=ceil)
    else:
        kind = AVERAGE_POOLINGS[n - 1]
        layer = kind(kernel, stride, padding, ceil, draw(st.booleans()))
    with torch.no_grad():
        sizes = layer(torch.zeros(1, 1, *end.sizes)).shape[2:]
    return layer, _Growing(channels=end.channels, sizes=tuple(sizes))


@st.composite
def _upsampling(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    kinds = ["nearest", "nearest-exact", ("linear", "bilinear", "trilinear")[n - 1]] + (["bicubic"] if n == 2 else [])
    mode = draw(st.sampled_from(kinds))
    smooth = not mode.startswith("nearest")
    if max(end.sizes) > MOST_PIXELS[n]:  # large enough: back to where it was
        factors: tuple[float, ...] = tuple(0.5 if size > 1 else 1.0 for size in end.sizes)
    else:
        factors = tuple(draw(st.sampled_from([1, 2, 2, 2, 3, 1.5])) for _ in range(n))
    if n == 2 and all(factor == 2 for factor in factors) and end.channels % 4 == 0:
        shuffle = nn.PixelShuffle(2)
        return shuffle, _Growing(channels=end.channels // 4, sizes=tuple(2 * size for size in end.sizes))
    if n == 2 and draw(st.booleans()) and end.channels == 1 and all(size % 2 == 0 for size in end.sizes):
        return nn.PixelUnshuffle(2), _Growing(channels=4, sizes=tuple(size // 2 for size in end.sizes))
    corners = draw(st.booleans()) if smooth else None
    layer = nn.Upsample(scale_factor=factors, mode=mode, align_corners=corners)
    sizes = tuple(int(size * factor) for size, factor in zip(end.sizes, factors, strict=True))
    return layer, _Growing(channels=end.channels, sizes=sizes)


@st.composite
def _transposed(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    groups = draw(st.sampled_from([g for g in (1, 2) if end.channels % g == 0]))
    channels = groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups)))
    numbers, sizes = [], []
    for size in end.sizes:
        large = size > MOST_PIXELS[n]
        taps, step, spread = draw(st.integers(1, 5)), 1 if large else draw(st.integers(1, 3)), draw(st.integers(1, 2))
        extra = draw(st.integers(0, max(step, spread) - 1))
        full = (size - 1) * step + spread * (taps - 1) + 1 + extra
        pad = draw(st.integers(0, min(3, (full - 1) // 2)))
        numbers.append((taps, step, pad, extra, spread))
        sizes.append(full - 2 * pad)
    kernel, stride, padding, added, dilation = zip(*numbers, strict=True)
    layer = TRANSPOSED[n - 1](
        end.channels, channels, kernel, stride=stride, padding=padding, output_padding=added, dilation=dilation,
        groups=groups, bias=draw(st.booleans()),
    )  # fmt: skip
    return layer, _Growing(channels=channels, sizes=tuple(sizes))


@st.composite
def _frame(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    amounts = [draw(st.integers(-1 if size > 2 else 0, 3)) for size in reversed(end.sizes) for _ in range(2)]
    kind = FRAMES[n - 1]
    layer = kind(tuple(amounts), draw(st.sampled_from([0.0, 1.5])))
    added = [amounts[i] + amounts[i + 1] for i in range(0, 2 * n, 2)][::-1]
    return layer, _Growing(channels=end.channels, sizes=tuple(s + a for s, a in zip(end.sizes, added, strict=True)))


@st.composite
def _pointwise(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[end.num_axes - 1](end.channels)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    # A norm over a single channel gives zeros, and its weight's gradient is rounding: nothing to compare.
    last = ChannelsLast(end.channels, end.num_axes) if end.channels > 1 else nn.Identity()
    layers: list[nn.Module] = [
        nn.Tanh(), nn.ReLU(), nn.GELU(), nn.PReLU(end.channels), nn.Sequential(norm, nn.ReLU()), nn.LeakyReLU(0.1),
        nn.Dropout(0.5, inplace=True), nn.Identity(), last, Parts(),
    ]  # fmt: skip
    return draw(st.sampled_from(layers)), end


@st.composite
def _levels(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    n = end.num_axes
    kernel = tuple(draw(st.integers(1, min(4, size))) for size in end.sizes)
    conv = CONVOLUTIONS[n - 1](end.channels, 2, draw(st.sampled_from([1, 3])), padding="same")
    branch = nn.Sequential(MAX_POOLINGS[n - 1](kernel, ceil_mode=draw(st.booleans())), conv)
    modes = [("linear", "bilinear", "trilinear")[n - 1]] + (["bicubic"] if n == 2 else [])
    if n > 1:  # PyTorch's gradient of 1-D maps brought to a size so is wrong for some sizes (2 to 41, say)
        modes += ["nearest", "nearest-exact"]
    return Levels(branch, draw(st.sampled_from(modes))), _Growing(channels=end.channels + 2, sizes=end.sizes)


@st.composite
def _branches(draw: st.DrawFn, end: _Growing) -> tuple[nn.Module, _Growing]:
    kind = draw(st.sampled_from(["sum", "concatenation", "gate", "levels"]))
    if kind == "levels" and end.channels <= MOST_CHANNELS:
        return draw(_levels(end))
    if kind == "concatenation" and end.channels <= MOST_CHANNELS:
        drawn = [draw(_convolution(end, keep_size=True)) for _ in range(draw(st.integers(1, 2)))]
        channels = end.channels + sum(after.channels for _, after in drawn)
        return Concatenated(nn.Identity(), *(layer for layer, _ in drawn)), _Growing(channels=channels, sizes=end.sizes)
    first, after = draw(_convolution(end, keep_size=True))
    kind_of = CONVOLUTIONS[end.num_axes - 1]
    back = kind_of(after.channels, end.channels, 3, padding=1)
    branch = nn.Sequential(first, nn.ReLU(inplace=True), back)
    if kind == "gate":
        return Gated(branch, end.channels, end.num_axes), end
    shortcut = kind_of(end.channels, end.channels, 1) if draw(st.booleans()) else nn.Identity()
    return nn.Sequential(Residual(branch, shortcut), nn.ReLU(inplace=True)), end


@st.composite
def cases(draw: st.DrawFn, *, num_axes: int | None = None, most_layers: int = 6) -> Case:
    """Draw a network with an image and tiles.

    Parameters
    ----------
    draw
        Given by Hypothesis.
    num_axes
        Spatial axes; None: drawn from 1 to 3.
    most_layers
        Greatest number of layers or blocks.
    """
    axes = draw(st.integers(1, 3)) if num_axes is None else num_axes
    space = _ints(draw, 1, MOST_PIXELS[axes], axes)
    channels, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 999)))
    end, layers = _Growing(channels=channels, sizes=space), []
    for _ in range(draw(st.integers(1, most_layers))):
        layer, end = draw(
            st.one_of(
                _convolution(end), _pooling(end), _pointwise(end), _branches(end), _frame(end), _upsampling(end),
                _transposed(end),
            )
        )  # fmt: skip
        layers.append(layer)
    module = nn.Sequential(*layers).double().eval()
    longest = max(space)
    tile = tuple(draw(st.integers(1 if longest < 20 else 3, longest + 3)) for _ in range(axes))
    return Case(module=module, image=torch.randn(batch, channels, *space, dtype=torch.float64), tile=tile)
