"""Networks by name at their real depth, from the papers that introduced them, with thin channels.

A float64 reference of the whole image must fit in memory, so widths are divided; depth, strides, kernels and blocks are
those of the papers:

- VGG-16: Simonyan and Zisserman 2015, configuration D (arXiv:1409.1556).
- ResNet-34 and -50: He et al. 2016 (arXiv:1512.03385); with stride in the 3x3 convolution, as is usual today.
- ResNeXt-50: Xie et al. 2017 (arXiv:1611.05431). 3-D ResNet-18: Tran et al. 2018 (arXiv:1711.11248).
- DenseNet-121: Huang et al. 2017 (arXiv:1608.06993).
- SE-ResNet-18: Hu et al. 2018 (arXiv:1709.01507). GroupNorm ResNet: Wu and He 2018 (arXiv:1803.08494).
- MobileNetV3-Small: Howard et al. 2019 (arXiv:1905.02244).
- ShuffleNetV2: Ma et al. 2018 (arXiv:1807.11164).
- U-Net: Ronneberger et al. 2015 (arXiv:1505.04597), padded, so that skips join without cropping; and as in the paper,
  where convolutions take off their borders and skips are cropped around their centre.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]


class OneMap(nn.Module):
    """Takes one map out of a network's result: ``OneMap(model, "last_hidden_state")`` can be streamed."""

    def __init__(self, body: nn.Module, name: str) -> None:
        super().__init__()
        self.body, self.name = body, name

    def forward(self, image: Tensor) -> Tensor:
        """Return the map."""
        return getattr(self.body(image), self.name)  # type: ignore[no-any-return]


def vgg16(width: int = 4) -> nn.Sequential:
    """Return VGG-16's thirteen convolutions and five poolings."""
    layers: list[nn.Module] = []
    before = 3
    for factor, count in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(before, width * factor, 3, padding=1), nn.ReLU(inplace=True)]
            before = width * factor
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole image holds."""

    def __init__(self, channels: int, hidden: int, gate: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2, self.gate = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed map."""
        return x * self.gate(self.fc2(F.relu(self.fc1(self.pool(x)))))  # type: ignore[no-any-return]


CONVOLUTIONS: tuple[type[nn.Conv2d], type[nn.Conv3d]] = (nn.Conv2d, nn.Conv3d)


class Block(nn.Module):
    """ResNet's basic block, or its bottleneck where ``expansion`` is above 1; in two or three axes."""

    def __init__(
        self, before: int, width: int, stride: int, *, expansion: int = 1, groups: int = 1, axes: int = 2,
        norm: Norm = nn.BatchNorm2d, last: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        conv, after = CONVOLUTIONS[axes - 2], width * expansion
        if expansion == 1:
            first = [conv(before, width, 3, stride, 1, bias=False), norm(width), nn.ReLU(inplace=True)]
            rest = [conv(width, after, 3, 1, 1, bias=False), norm(after)]
        else:
            first = [conv(before, width, 1, bias=False), norm(width), nn.ReLU(inplace=True)]
            rest = [
                conv(width, width, 3, stride, 1, groups=groups, bias=False), norm(width), nn.ReLU(inplace=True),
                conv(width, after, 1, bias=False), norm(after),
            ]  # fmt: skip
        self.branch = nn.Sequential(*first, *rest, last or nn.Identity())
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(conv(before, after, 1, stride, bias=False), norm(after))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        out = self.branch(x)
        out += self.shortcut(x)
        return self.relu(out)  # type: ignore[no-any-return]


def resnet(
    depths: Sequence[int] = (2, 2, 2, 2), width: int = 4, *, expansion: int = 1, groups: int = 1,
    norm: Norm = nn.BatchNorm2d, squeeze: bool = False,
) -> nn.Sequential:  # fmt: skip
    """Return a ResNet without its head: (2, 2, 2, 2) is 18, (3, 4, 6, 3) is 34, with an expansion of 4 it is 50."""
    layers = [nn.Conv2d(3, width, 7, 2, 3, bias=False), norm(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    before = width
    for stage, depth in enumerate(depths):
        channels = width * 2**stage
        for number in range(depth):
            stride = 2 if stage and not number else 1
            after = channels * expansion
            last = SqueezeExcitation(after, max(after // 4, 1), nn.Sigmoid()) if squeeze else None
            layers.append(
                Block(before, channels, stride, expansion=expansion, groups=groups, norm=norm, last=last)
            )  # fmt: skip
            before = after
    return nn.Sequential(*layers)


def resnet3d_18(width: int = 2) -> nn.Sequential:
    """Return the 3-D ResNet-18 over volumes of one channel."""
    layers: list[nn.Module] = [
        nn.Conv3d(1, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(width), nn.ReLU(inplace=True),
    ]  # fmt: skip
    before = width
    for stage in range(4):
        for number in range(2):
            stride = 2 if stage and not number else 1
            layers.append(Block(before, width * 2**stage, stride, axes=3, norm=nn.BatchNorm3d))
            before = width * 2**stage
    return nn.Sequential(*layers)


class DenseLayer(nn.Module):
    """DenseNet-B's layer: 1x1 to four times the growth, then 3x3; the result is joined to what came in."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return all maps so far."""
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


def densenet121(growth: int = 2) -> nn.Sequential:
    """Return DenseNet-121: dense blocks of 6, 12, 24 and 16 layers with transitions between them."""
    channels = 2 * growth
    layers: list[nn.Module] = [
        nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    for number, depth in enumerate((6, 12, 24, 16)):
        for _ in range(depth):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        if number < 3:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """MobileNetV3's block: widen, depthwise, squeeze and excite, narrow."""

    def __init__(
        self, before: int, hidden: int, after: int, kernel: int, stride: int, squeeze: bool, act: nn.Module
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = []
        if hidden != before:
            layers += [nn.Conv2d(before, hidden, 1, bias=False), nn.BatchNorm2d(hidden), act]
        layers += [
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False), nn.BatchNorm2d(hidden),
            act,
        ]  # fmt: skip
        if squeeze:
            layers.append(SqueezeExcitation(hidden, max(hidden // 4, 1), nn.Hardsigmoid()))
        layers += [nn.Conv2d(hidden, after, 1, bias=False), nn.BatchNorm2d(after)]
        self.branch, self.residual = nn.Sequential(*layers), stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        return x + self.branch(x) if self.residual else self.branch(x)  # type: ignore[no-any-return]


def mobilenet_v3_small(divisor: int = 4) -> nn.Sequential:
    """Return MobileNetV3-Small (the paper's Table 2), channels divided."""
    rows = (
        (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
    )  # fmt: skip
    before = 16 // divisor
    layers: list[nn.Module] = [
        nn.Conv2d(3, before, 3, 2, 1, bias=False), nn.BatchNorm2d(before), nn.Hardswish(inplace=True)
    ]  # fmt: skip
    for kernel, hidden, after, squeeze, swish, stride in rows:
        act = nn.Hardswish(inplace=True) if swish else nn.ReLU(inplace=True)
        layers.append(
            InvertedResidual(before, hidden // divisor, after // divisor, kernel, stride, squeeze, act)
        )  # fmt: skip
        before = after // divisor
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Four levels down and up again, joined by skip connections; takes sides divisible by 16."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        sizes = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(self.pair(a, b) for a, b in zip([3, *sizes[:-1]], sizes, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * a, a, 2, 2) for a in reversed(sizes[:-1]))
        self.join = nn.ModuleList(self.pair(2 * a, a) for a in reversed(sizes[:-1]))

    @staticmethod
    def pair(before: int, after: int) -> nn.Sequential:
        """Return two 3x3 convolutions with ReLU."""
        return nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(after, after, 3, padding=1),
            nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at full size."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if not level else F.max_pool2d(x, 2))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, reversed(skips[:-1]), strict=True):
            x = up(x)
            x = join(torch.cat([self.beside(skip, x), x], 1))
        return x

    def beside(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return what of a skip is joined with a map from below."""
        return skip


class ValidUNet(UNet):
    """The U-Net of the paper: convolutions without padding, skips cropped to what is left around their centre."""

    @staticmethod
    def pair(before: int, after: int) -> nn.Sequential:
        """Return two 3x3 convolutions with ReLU."""
        return nn.Sequential(nn.Conv2d(before, after, 3), nn.ReLU(True), nn.Conv2d(after, after, 3), nn.ReLU(True))

    def beside(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return the middle of a skip, as large as a map."""
        height, width = x.shape[2], x.shape[3]
        top, left = (skip.shape[2] - height) // 2, (skip.shape[3] - width) // 2
        return skip[:, :, top : top + height, left : left + width]


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's block: half the channels pass, half are convolved (all, where it halves the map)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        width, self.halves = after // 2, stride > 1
        first = before if self.halves else width
        if self.halves:
            self.side = nn.Sequential(
                nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before),
                nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            )  # fmt: skip
        self.branch = nn.Sequential(
            nn.Conv2d(first, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        if self.halves:
            out = torch.cat([self.side(x), self.branch(x)], 1)
        else:
            one, two = x.chunk(2, dim=1)
            out = torch.cat([one, self.branch(two)], 1)
        batch, channels, height, width = out.size()
        groups = out.view(batch, 2, channels // 2, height, width)
        return torch.transpose(groups, 1, 2).contiguous().view(batch, -1, height, width)


def shufflenet_v2(divisor: int = 4) -> nn.Sequential:
    """Return ShuffleNetV2 (the paper's Table 5, 0.5x), channels divided."""
    before = 24 // divisor
    layers: list[nn.Module] = [
        nn.Conv2d(3, before, 3, 2, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    for channels, repeats in ((48, 4), (96, 8), (192, 4)):
        for number in range(repeats):
            layers.append(ShuffleUnit(before, channels // divisor, 1 if number else 2))
            before = channels // divisor
    last = 1024 // divisor
    layers += [nn.Conv2d(before, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def shaken(module: nn.Module) -> nn.Module:
    """Return a module in float64 and eval mode whose batch norms hold statistics as after training."""
    torch.manual_seed(0)
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.running_mean is not None:
            assert child.running_var is not None
            child.running_mean.normal_(0, 0.3)
            child.running_var.uniform_(0.5, 2)
    return module.double().eval()
