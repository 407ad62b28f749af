"""Networks that look at the whole image in between: squeeze-and-excitation, and norms with the image's statistics."""

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_gigaclf.testing.strategies import CONVOLUTIONS, MAX_POOLINGS, MOST_PIXELS, Case, Residual

AVERAGES: tuple[Callable[..., nn.Module], ...] = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
HIGHEST: tuple[Callable[..., nn.Module], ...] = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
BATCH_NORMS: tuple[Callable[..., nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS: tuple[Callable[..., nn.Module], ...] = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


class Squeezed(nn.Module):
    """Channels scaled by a gate computed from their pooled values (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, pool: nn.Module, num_axes: int) -> None:
        super().__init__()
        kind = CONVOLUTIONS[num_axes - 1]
        self.pool, self.down, self.act = pool, kind(channels, 2, 1), nn.ReLU(inplace=True)
        self.up, self.gate = kind(2, channels, 1), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled map."""
        return x * self.gate(self.up(self.act(self.down(self.pool(x)))))  # type: ignore[no-any-return]


class SqueezedByHand(nn.Module):
    """The same with linear layers on vectors; a reduction of the code's own."""

    def __init__(self, channels: int, num_axes: int, name: str) -> None:
        super().__init__()
        self.down, self.up, self.num_axes, self.name = nn.Linear(channels, 2), nn.Linear(2, channels), num_axes, name

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, scaled and shifted."""
        axes = tuple(range(2, 2 + self.num_axes))
        pooled = getattr(x, self.name)(axes)
        gate = torch.sigmoid(self.up(torch.tanh(self.down(pooled) / 10)))
        shift = torch.mean(x, axes, keepdim=True)
        return x * gate.reshape(-1, gate.shape[1], *(1,) * self.num_axes) - 0.5 * shift


class SEBlock(nn.Module):
    """A residual block with norms and a gate, as in SE-ResNet."""

    def __init__(self, before: int, channels: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, 1, bias=False), norm(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels),
            Squeezed(channels, nn.AdaptiveAvgPool2d(1), 2),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        out = self.body(x)
        out += self.shortcut(x)
        return torch.relu(out)


def se_resnet(width: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Sequential:
    """Return a small SE-ResNet's trunk."""
    return nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False), norm(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        SEBlock(width, width, 1, norm), SEBlock(width, 2 * width, 2, norm), SEBlock(2 * width, 2 * width, 1, norm),
    )  # fmt: skip


@st.composite
def _layer(draw: st.DrawFn, channels: int, num_axes: int) -> nn.Module:
    index = num_axes - 1
    return draw(
        st.sampled_from(
            [
                nn.Sequential(CONVOLUTIONS[index](channels, channels, 3, padding=1), nn.Tanh()),
                nn.Sequential(CONVOLUTIONS[index](channels, channels, 3, 2, padding=1), nn.ReLU(inplace=True)),
                MAX_POOLINGS[index](3, 2, 1),
                Residual(CONVOLUTIONS[index](channels, channels, 3, padding=1), nn.Identity()),
                Squeezed(channels, AVERAGES[index](1), num_axes),
                Squeezed(channels, HIGHEST[index](1), num_axes),
                Residual(Squeezed(channels, AVERAGES[index](1), num_axes), CONVOLUTIONS[index](channels, channels, 1)),
                *(SqueezedByHand(channels, num_axes, name) for name in ("mean", "sum", "amax")),
                nn.GroupNorm(2, channels),
                nn.Sequential(nn.GroupNorm(1, channels), nn.ReLU()),
                INSTANCE_NORMS[index](channels, affine=True, track_running_stats=True),
                INSTANCE_NORMS[index](channels),
                nn.Sequential(BATCH_NORMS[index](channels), nn.ReLU(inplace=True)),
                BATCH_NORMS[index](channels, momentum=None),
                BATCH_NORMS[index](channels).eval(),
            ]
        )
    )


@st.composite
def global_cases(draw: st.DrawFn, *, most_layers: int = 5) -> Case:
    """Draw a network with operations over the whole image, in training mode, with an image and tiles."""
    axes, channels = draw(st.integers(1, 3)), 4
    space = tuple(draw(st.integers(2, MOST_PIXELS[axes])) for _ in range(axes))
    batch = draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 999)))
    layers: list[nn.Module] = [CONVOLUTIONS[axes - 1](2, channels, 3, padding=1)] if draw(st.booleans()) else []
    first = channels if not layers else 2
    layers += [draw(_layer(channels, axes)) for _ in range(draw(st.integers(1, most_layers)))]
    layers.append(CONVOLUTIONS[axes - 1](channels, 3, 1))
    if draw(st.integers(0, 4)) == 0:
        layers += [AVERAGES[axes - 1](1), nn.Flatten(), nn.Linear(3, 2)]
    longest = max(space)
    tile = tuple(draw(st.integers(1 if longest < 20 else 3, longest + 3)) for _ in range(axes))
    image = torch.randn(batch, first, *space, dtype=torch.float64) + draw(st.sampled_from([0.0, 3.0]))
    return Case(module=nn.Sequential(*layers).double(), image=image, tile=tile)
