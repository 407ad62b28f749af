"""The built-in classifiers' network: each cell of its map says what lies in 32 x 32 pixels, seen in 96 x 96 of context.

The trunk first adds 32 px of zeros (glass, after normalisation) on every side; nothing after that is padded. Receptive
field and stride follow from kernels k_l and strides s_l,

    receptive field = 1 + sum_l (k_l - 1) * prod_{m<l} s_m = 96,        stride = prod_l s_l = 32,

so that cell i sees pixels [32 i - 32, 32 i + 64) of the image and its centre is [32 i, 32 i + 32). Training runs the
same layers without the zeros on tiles of 96 x 96 px, which give exactly one cell.

The last pooling takes the maximum over the 4 x 4 places, 8 px apart, which fill the centre: "tumour anywhere in the
central 32 px" is how the tiles of PatchCamelyon are labelled (Veeling et al. 2018).
"""

from collections import OrderedDict

from torch import nn

from napari_gigaclf.models.networks.max_and_mean import MaxAndMean

CELL_PX = 32
"""Stride: pixels per cell."""
CONTEXT_PX = 96
"""Receptive field: pixels that one cell sees."""
NUM_FEATURES = 128
"""Channels of the feature map."""
CONTEXT_LAYERS = ((1, 1), (5, 1), (3, 2), (3, 3))
"""Kernel and dilation, in cells, of the layers that compare cells: 1 + 4 + 4 + 6 = 15 cells are seen."""
NUM_CONTEXT_FEATURES = 64
"""Channels of these layers."""

Layer = tuple[str, int, int, int]
"""Kind ("conv", "pool" or "max and mean"), channels, kernel, stride."""
LAYERS: tuple[Layer, ...] = (
    # Little is computed at full resolution: the first layer halves it.
    ("conv", 32, 4, 2),
    ("conv", 32, 3, 1),
    ("conv", 32, 3, 1),
    ("pool", 32, 3, 2),
    ("conv", 64, 3, 1),
    ("conv", 96, 3, 1),
    ("pool", 96, 3, 2),
    ("conv", 192, 3, 1),
    ("conv", 256, 3, 1),
    ("pool", 256, 4, 4),
    ("conv", NUM_FEATURES, 1, 1),
)


FINE_LAYERS: tuple[Layer, ...] = (
    # Two layers see every pixel, with few channels; most of the arithmetic is where a pixel is 4 or 8.
    ("conv", 16, 3, 1),
    ("conv", 16, 3, 1),
    ("pool", 16, 2, 2),
    ("conv", 32, 3, 1),
    ("conv", 48, 3, 1),
    ("pool", 48, 2, 2),
    ("conv", 96, 3, 1),
    ("conv", 128, 3, 1),
    ("pool", 128, 3, 2),
    ("conv", 256, 3, 1),
    ("conv", 320, 3, 1),
    ("max and mean", 640, 4, 4),
    ("conv", NUM_FEATURES, 1, 1),
)
"""The same field and stride, finer at its beginning: 33 GMAC per megapixel instead of 19.

How much of the centre looks like tumour is told beside whether any of it does. It learns better, and is no better on
other patients (docs/models/index.md)."""
CELL_NETS = {"cell-net": LAYERS, "cell-net-fine": FINE_LAYERS}
"""Layers by the network's name; followed by "-context", the name of the same with layers that compare cells."""


def field_and_stride(layers: tuple[Layer, ...] = LAYERS) -> tuple[int, int]:
    """Return receptive field and stride in pixels.

    Examples
    --------
    >>> field_and_stride()
    (96, 32)
    """
    field, stride = 1, 1
    for _, _, kernel, step in layers:
        field += (kernel - 1) * stride
        stride *= step
    return field, stride


def cell_trunk(in_channels: int = 3, layers: tuple[Layer, ...] = LAYERS) -> nn.Sequential:
    """Build the trunk: images (B, in_channels, H, W), normalised -> features (B, F, H // 32, W // 32).

    F is the width of the last layer, 128.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(pad=nn.ZeroPad2d(CELL_PX))
    channels = in_channels
    for number, (kind, width, kernel, stride) in enumerate(layers, start=1):
        if kind != "conv":
            modules[f"pool{number}"] = pooling(kind, kernel, stride)
            channels = width
            continue
        modules[f"conv{number}"] = nn.Conv2d(channels, width, kernel, stride, bias=False)
        modules[f"norm{number}"] = nn.BatchNorm2d(width)
        modules[f"relu{number}"] = nn.ReLU()
        channels = width
    return nn.Sequential(modules)


def context_trunk(in_channels: int = 3, layers: tuple[Layer, ...] = LAYERS) -> nn.Sequential:
    """Build the trunk with layers that compare neighbouring cells: (B, in_channels, H, W) -> (B, 64, H // 32, W // 32).

    The first layers have the names of :func:`cell_trunk`'s, so that they can start from a model of cells. Convolutions
    over cells then see 15 x 15 cells, 480 px: what a single cell cannot tell, such as whether suspicious cells lie
    together.
    """
    trunk = cell_trunk(in_channels, layers)
    channels = layers[-1][1]
    for number, (kernel, dilation) in enumerate(CONTEXT_LAYERS, start=1):
        padding = dilation * (kernel // 2)
        convolution = nn.Conv2d(channels, NUM_CONTEXT_FEATURES, kernel, padding=padding, dilation=dilation)
        trunk.add_module(f"context{number}", convolution)
        trunk.add_module(f"context_relu{number}", nn.ReLU())
        channels = NUM_CONTEXT_FEATURES
    return trunk


def pooling(kind: str, kernel: int, stride: int) -> nn.Module:
    """Build a pooling layer of a kind."""
    return MaxAndMean(kernel, stride) if kind == "max and mean" else nn.MaxPool2d(kernel, stride)


def without_padding(trunk: nn.Sequential) -> nn.Sequential:
    """Return the same layers (shared weights) without the zeros: tiles (B, 3, 96, 96) -> (B, 128, 1, 1)."""
    return nn.Sequential(*list(trunk.children())[1:])
