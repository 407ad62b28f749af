"""A cell-net that cannot tell which way up a slide lies: trained with tied weights, used as ordinary convolutions.

Tissue has no up or down. The eight turns and mirrorings g of a square form a group; a filter that is shared among all
eight orientations gives feature maps (channel, orientation) which turn with the image (Cohen and Welling 2016; for
these tiles Veeling et al. 2018). For filters psi and maps f on positions x and orientations h,

    (f * psi)(x, g) = sum_h sum_y f(y, h) psi(g^-1 (y - x), g^-1 h),

which is one ordinary convolution whose weights are turned copies of psi. The last convolution reads the mean over the
orientations. After training the copies are written out, and nothing but a cell-net remains. Because strides fit its
sizes exactly, the map of a turned image is the turned map if the image's sides are multiples of 32 px.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from napari_gigaclf.models.networks.cell_net import LAYERS, Layer, pooling

ORIENTATIONS = 8


def turned(x: Tensor, orientation: int) -> Tensor:
    """Return images (..., H, W) mirrored (orientations 4 to 7) and then turned by ``orientation % 4`` quarters."""
    return torch.rot90(x.flip(-1) if orientation >= 4 else x, orientation % 4, (-2, -1))


def _relative_orientations() -> Tensor:
    """Return the table (g, h) -> g^-1 h, read off what the operations do to nine different pixels."""
    probe = torch.arange(9).reshape(3, 3)
    seen = [turned(probe, g) for g in range(ORIENTATIONS)]
    table = torch.empty(ORIENTATIONS, ORIENTATIONS, dtype=torch.int64)
    for g in range(ORIENTATIONS):
        for k in range(ORIENTATIONS):  # g k = h, so k = g^-1 h
            h = next(i for i in range(ORIENTATIONS) if torch.equal(turned(turned(probe, k), g), seen[i]))
            table[g, h] = k
    return table


class OrientedConv(nn.Module):
    """Convolution, batch norm and ReLU with one set of weights for eight orientations.

    Channels are ordered channel-major: number ``c * 8 + g`` is feature c in orientation g. The own weights are a
    matrix, one row of all that it reads for each feature: what an optimiser of matrices wants.
    """

    sources: Tensor

    def __init__(
        self, in_features: int, features: int, kernel: int, stride: int, *, lifting: bool, joining: bool
    ) -> None:
        super().__init__()
        self.stride, self.lifting, self.joining = stride, lifting, joining
        depth = 1 if lifting or joining else ORIENTATIONS
        fan_in = in_features * depth * kernel * kernel
        self.in_features, self.kernel = in_features, kernel
        self.weight = nn.Parameter(torch.randn(features, fan_in) * math.sqrt(2.0 / fan_in))
        self.copies = 1 if joining else ORIENTATIONS
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.norm = nn.BatchNorm2d(features * self.copies, affine=False)
        self.register_buffer("sources", self._sources(in_features, kernel), persistent=False)

    def _sources(self, in_features: int, kernel: int) -> Tensor:
        """Return, for each plain weight of a feature (orientation, in channel, k, k), the number of its own weight."""
        if self.joining:
            return torch.arange(in_features * kernel * kernel).repeat_interleave(ORIENTATIONS)
        depth = 1 if self.lifting else ORIENTATIONS
        own = torch.arange(in_features * depth * kernel * kernel).reshape(in_features, depth, kernel, kernel)
        if self.lifting:
            return torch.stack([turned(own, g) for g in range(ORIENTATIONS)]).flatten()
        relative = _relative_orientations()
        return torch.stack([turned(own[:, relative[g]], g) for g in range(ORIENTATIONS)]).flatten()

    def plain_weight(self) -> Tensor:
        """Return the weights of the ordinary convolution, (features * copies, in channels, k, k)."""
        depth = 1 if self.lifting else ORIENTATIONS
        copies = self.weight.index_select(1, self.sources)
        plain = copies.reshape(len(copies) * self.copies, self.in_features * depth, self.kernel, self.kernel)
        return plain / ORIENTATIONS if self.joining else plain

    def plain_norm(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift of the ordinary batch norm, (features * copies,) each."""
        return self.scale.repeat_interleave(self.copies), self.shift.repeat_interleave(self.copies)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the next maps, (B, features * copies, H', W')."""
        weight = self.plain_weight().contiguous(memory_format=torch.channels_last)
        y_BCHW = nn.functional.conv2d(x_BCHW, weight, stride=self.stride)
        scale, shift = self.plain_norm()
        norm = self.norm
        y_BCHW = nn.functional.batch_norm(
            y_BCHW, norm.running_mean, norm.running_var, scale, shift, self.training, norm.momentum or 0.0, norm.eps
        )
        return torch.relu_(y_BCHW)

    @torch.no_grad()
    def write_into(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        """Write the copies into an ordinary convolution and its batch norm, statistics shared by orientations."""
        convolution.weight.copy_(self.plain_weight())
        for target, source in ((norm.running_mean, self.norm.running_mean), (norm.running_var, self.norm.running_var)):
            assert target is not None
            assert source is not None
            shared = source.reshape(-1, self.copies).mean(1)
            target.copy_(shared.repeat_interleave(self.copies))
        scale, shift = self.plain_norm()
        norm.weight.copy_(scale)
        norm.bias.copy_(shift)

    @torch.no_grad()
    def read_from(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        """Take the weights out of layers that ``write_into`` wrote."""
        own = convolution.weight[:: self.copies]
        if self.joining:
            own = own[:, ::ORIENTATIONS] * ORIENTATIONS
        self.weight.copy_(own.reshape(self.weight.shape))
        for target, source in ((self.norm.running_mean, norm.running_mean), (self.norm.running_var, norm.running_var)):
            assert target is not None
            assert source is not None
            target.copy_(source)
        self.scale.copy_(norm.weight[:: self.copies])
        self.shift.copy_(norm.bias[:: self.copies])


def oriented_trunk(in_channels: int = 3, layers: tuple[Layer, ...] = LAYERS) -> nn.Sequential:
    """Return the trunk of a cell-net on tiles, with tied weights: (B, 3, 96, 96) -> (B, width of the last, 1, 1)."""
    modules: list[nn.Module] = []
    features = in_channels
    for number, (kind, width, kernel, stride) in enumerate(layers):
        if kind != "conv":
            modules.append(pooling(kind, kernel, stride))
            features = width // ORIENTATIONS
            continue
        joining = number == len(layers) - 1
        width = width if joining else width // ORIENTATIONS
        modules.append(OrientedConv(features, width, kernel, stride, lifting=number == 0, joining=joining))
        features = width
    return nn.Sequential(*modules)


def write_out(oriented: nn.Sequential, trunk: nn.Sequential) -> None:
    """Write a trained oriented trunk into the ordinary trunk of a cell-net."""
    for source, convolution, norm in _pairs(oriented, trunk):
        source.write_into(convolution, norm)


def read_in(oriented: nn.Sequential, trunk: nn.Sequential) -> None:
    """Read the trunk of a cell-net that ``write_out`` wrote back into an oriented trunk, to train on."""
    for target, convolution, norm in _pairs(oriented, trunk):
        target.read_from(convolution, norm)


def hand_back(oriented: nn.Sequential, trunk: nn.Sequential) -> None:
    """Add the gradients of written-out layers to those of the tied weights that they are copies of."""
    copies: list[Tensor] = []
    gradients: list[Tensor] = []
    for source, convolution, norm in _pairs(oriented, trunk):
        copies += [source.plain_weight(), *source.plain_norm()]
        for written in (convolution.weight, norm.weight, norm.bias):
            assert written.grad is not None
            gradients.append(written.grad)
    torch.autograd.backward(copies, gradients)


def _pairs(oriented: nn.Sequential, trunk: nn.Sequential) -> Iterator[tuple[OrientedConv, nn.Conv2d, nn.BatchNorm2d]]:
    convolutions = [module for module in trunk if isinstance(module, nn.Conv2d)]
    norms = [module for module in trunk if isinstance(module, nn.BatchNorm2d)]
    tied = [module for module in oriented if isinstance(module, OrientedConv)]
    return zip(tied, convolutions, norms, strict=True)
