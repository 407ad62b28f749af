"""The table of networks: which name builds what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.networks.cell_net import NUM_FEATURES, cell_trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The parts of a network."""

    trunk: nn.Module
    """What is streamed, in training too: images -> feature map."""
    tail: nn.Module | None = None
    """Layers after the trunk which still see a map; streamed only in eval mode (train-mode batch norm is global)."""
    pooling: Literal["max", "mean", "highest"] = "max"
    """The pooling it was published with."""
    num_features: int
    """Channels of the map that is pooled."""
    head: nn.Module
    """(..., num_features) -> (..., classes)."""

    def forward_features(self, x_BCHW: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Return the map that is pooled, (B, num_features, h, w)."""
        features: Tensor = self.trunk(x_BCHW)
        return features if self.tail is None else self.tail(features)


Builder = Callable[[int, int], Network]
"""(in_channels, num_classes) -> Network."""


def _cell_net(in_channels: int, num_classes: int) -> Network:
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(NUM_FEATURES, num_classes))
    return Network(trunk=cell_trunk(in_channels), pooling="highest", num_features=NUM_FEATURES, head=head)


NETWORKS: dict[str, Builder] = {"cell-net": _cell_net}


def build(name: str, *, in_channels: int = 3, num_classes: int = 2) -> Network:
    """Build a network by name.

    Raises
    ------
    ModelError
        If there is no network of this name.
    """
    if name not in NETWORKS:
        raise ModelError(f"no network is called {name!r}; known are {', '.join(NETWORKS)}")
    return NETWORKS[name](in_channels, num_classes)
