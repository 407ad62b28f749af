"""The networks of the paper on streaming (Pinckaers, van Ginneken and Litjens, TPAMI 2020, arXiv:1911.04432).

Table 1: 3 x 3 convolutions with 16, 32, 64, 128, 256 channels, each followed by a 2 x 2 max-pool, the last by 10 x 10;
one linear layer; the first four blocks are streamed. Table 2: pairs of 3 x 3 convolutions with 32, 64, 128, 256, 512
channels, each pair followed by a 2 x 2 max-pool, the 512 pair repeated for 22, 25 or 28 layers in all (a layer is a
convolution, a pool, a dropout or a linear layer); then two 512 pairs with batch norm, global max-pool, dropout, linear.
All but these final seven layers are streamed.

Convolutions are padded by 1, so that a 320 x 320 image gives Table 1's 10 x 10 pool a map of 20 x 20. Its 2 x 2 results
are joined by their maximum here, which lets the network take images of any size; how the published network joined them
is not known to us.
"""

from torch import nn

TABLE1_CHANNELS = (16, 32, 64, 128)
TABLE2_CHANNELS = (32, 64, 128, 256, 512)
FINAL_LAYERS = 7
"""Convolutions (4), global max-pool, dropout and linear layer of Table 2 that are not streamed."""


def table1_trunk(in_channels: int) -> nn.Sequential:
    """Return Table 1's first four blocks: (B, in_channels, H, W) -> (B, 128, H // 16, W // 16)."""
    layers: list[nn.Module] = []
    for channels in TABLE1_CHANNELS:
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        in_channels = channels
    return nn.Sequential(*layers)


def table1_tail() -> nn.Sequential:
    """Return Table 1's fifth block: (B, 128, h, w) -> (B, 256, h // 10, w // 10)."""
    return nn.Sequential(nn.Conv2d(TABLE1_CHANNELS[-1], 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(10))


def table2_trunk(in_channels: int, num_layers: int) -> nn.Sequential:
    """Return Table 2's streamed layers, ``num_layers - 7`` of them: (B, in_channels, H, W) -> (B, 512, h, w)."""
    num_groups = (num_layers - FINAL_LAYERS) // 3
    widths = TABLE2_CHANNELS + (512,) * (num_groups - len(TABLE2_CHANNELS))
    layers: list[nn.Module] = []
    for channels in widths:
        layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        in_channels = channels
    return nn.Sequential(*layers)


def table2_tail() -> nn.Sequential:
    """Return Table 2's two pairs with batch norm: (B, 512, h, w) -> (B, 512, h, w)."""
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [nn.Conv2d(512, 512, 3, padding=1, bias=False), nn.BatchNorm2d(512), nn.ReLU()]
    return nn.Sequential(*layers)
