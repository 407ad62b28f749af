"""ResNet-18 and -34 (He, Zhang, Ren and Sun 2016, Table 1), down to their last feature map; no pretrained weights."""

from collections import OrderedDict

from torch import Tensor, nn

STAGE_CHANNELS = (64, 128, 256, 512)
RESNET18_BLOCKS = (2, 2, 2, 2)
RESNET34_BLOCKS = (3, 4, 6, 3)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            convolution = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output, (B, channels, H / stride, W / stride)."""
        output: Tensor = self.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))
        return output


def resnet_trunk(in_channels: int, blocks: tuple[int, ...]) -> nn.Sequential:
    """Return all layers before the global pooling: (B, in_channels, H, W) -> (B, 512, ceil(H / 32), ceil(W / 32))."""
    stem = nn.Sequential(
        nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
    )
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    channels = STAGE_CHANNELS[0]
    for number, (width, count) in enumerate(zip(STAGE_CHANNELS, blocks, strict=True)):
        stage = [BasicBlock(channels, width, stride=2 if number else 1)]
        stage += [BasicBlock(width, width, stride=1) for _ in range(count - 1)]
        stages[f"stage{number + 1}"] = nn.Sequential(*stage)
        channels = width
    trunk = nn.Sequential(stages)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return trunk
