"""Named networks in their plainest form, to judge the engine by: the paper's tables, ResNet, DenseNet, and so on."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def paper_table1_trunk(width: int = 16) -> nn.Sequential:
    """Return the streamed part of the paper's Table 1: four 3x3 convolutions, each with ReLU and a 2x2 max-pool."""
    layers: list[nn.Module] = []
    before = 3
    for factor in (1, 2, 4, 8):
        layers += [nn.Conv2d(before, factor * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        before = factor * width
    return nn.Sequential(*layers)


def paper_table2_trunk(num_pairs: int = 5, width: int = 32, most: int = 512) -> nn.Sequential:
    """Return the streamed part of the paper's Table 2: pairs of 3x3 convolutions, a 2x2 max-pool after each pair."""
    layers: list[nn.Module] = []
    before = 3
    for pair in range(num_pairs):
        channels = min(width * 2**pair, most)
        for _ in range(2):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map, written as torchvision writes it."""
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)  # type: ignore[no-any-return]


class ResNet18Trunk(nn.Sequential):
    """ResNet-18 without its pooling and classifier."""

    def __init__(self, width: int = 64) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2,
        1), ]  # fmt: skip
        before = width
        for channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            layers += [BasicBlock(before, channels, stride), BasicBlock(channels, channels, 1)]
            before = channels
        super().__init__(*layers)


class DenseBlock(nn.Module):
    """DenseNet's block: every layer reads all maps before it."""

    def __init__(self, before: int, growth: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(before + i * growth), nn.ReLU(inplace=True), nn.Conv2d(before + i * growth, growth, 3,
            padding=1) )
            for i in range(num_layers)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return all maps, joined."""
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class ThinDenseNet(nn.Sequential):
    """Two dense blocks with DenseNet's transition between them."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 7, 2, 3), nn.MaxPool2d(3, 2, 1), DenseBlock(6, 3, 3), nn.BatchNorm2d(15), nn.ReLU(),
            nn.Conv2d(15, 8, 1), nn.AvgPool2d(2), DenseBlock(8, 3, 2),
        )  # fmt: skip


class InceptionBlock(nn.Module):
    """Four branches of different reach, joined: 1x1, factorised 1x7 and 7x1, two 3x3, pooled 1x1."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(before, 4, 1)
        self.seven = nn.Sequential(
            nn.Conv2d(before, 3, (1, 7), padding=(0, 3)), nn.Conv2d(3, 4, (7, 1), padding=(3, 0))
        )
        self.three = nn.Sequential(nn.Conv2d(before, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1))
        self.pooled = nn.Conv2d(before, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches, joined."""
        pooled = self.pooled(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return F.relu(torch.cat([self.one(x), self.seven(x), self.three(x), pooled], 1), inplace=True)


class ConvNeXtBlock(nn.Module):
    """A 7x7 convolution per channel, then layer norm and two linear layers with channels last, scaled and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map with the block's part added."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXt(nn.Sequential):
    """Two stages of two blocks: patches of 4 pixels, then of 2."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(
            nn.Conv2d(3, width, 4, 4), ChannelNorm(width), ConvNeXtBlock(width), ConvNeXtBlock(width),
            ChannelNorm(width), nn.Conv2d(width, 2 * width, 2, 2), ConvNeXtBlock(2 * width), ConvNeXtBlock(2 * width),
        )  # fmt: skip


class UNet(nn.Module):
    """U-Net: two convolutions per level, max-pooling down, up-sampling back, each level joined with its skip.

    Source: Ronneberger, Fischer, Brox (MICCAI 2015, arXiv:1505.04597), with padded convolutions and batch norm. Images
    need not be divisible: a level that comes back too small is brought to the size of its skip, by the ``joining``
    that people use: ``"size"`` interpolates to it, ``"pad"`` adds zeros around.
    """

    def __init__(
        self, before: int, after: int, width: int, *, depth: int, way: str, joining: str | None = None
    ) -> None:
        super().__init__()
        self.way, self.joining = way, joining
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            self.pair(a, b) for a, b in zip([before, *widths[:-1]], widths, strict=True)
        )  # the last is the bottom
        self.up = nn.ModuleList(self.finer(b, a, way) for a, b in pairwise(widths))
        self.joined = nn.ModuleList(self.pair(2 * a, a) for a in widths[:-1])
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, after, 1)

    @staticmethod
    def pair(before: int, after: int) -> nn.Sequential:
        """Return two convolutions."""
        layers: list[nn.Module] = []
        for given in (before, after):
            layers += [nn.Conv2d(given, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    @staticmethod
    def finer(before: int, after: int, way: str) -> nn.Module:
        """Return what doubles a map and halves its channels."""
        if way == "transposed":
            return nn.ConvTranspose2d(before, after, 2, 2)
        corners = False if way == "bilinear" else None
        return nn.Sequential(nn.Upsample(scale_factor=2, mode=way, align_corners=corners), nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at the image's resolution."""
        skips = []
        for level in self.down[:-1]:
            x = level(x)
            skips.append(x)
            x = self.pool(x)
        x = self.down[-1](x)
        for skip, up, joined in zip(reversed(skips), reversed(self.up), reversed(self.joined), strict=True):
            x = joined(torch.cat([skip, self.fitted(up(x), skip)], 1))
        return self.head(x)  # type: ignore[no-any-return]

    def fitted(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return a map brought to the size of its skip."""
        if self.joining == "size":
            return F.interpolate(x, size=skip.shape[-2:], mode="nearest" if self.way == "transposed" else self.way)
        if self.joining == "pad":
            dy, dx = skip.size()[2] - x.size()[2], skip.size(3) - x.size(3)
            return F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return x
