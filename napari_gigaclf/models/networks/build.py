"""The table of networks: which name builds what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from napari_gigaclf.errors import ModelError
from napari_gigaclf.models.networks import paper
from napari_gigaclf.models.networks.cell_net import (
    FINE_LAYERS,
    LAYERS,
    NUM_CONTEXT_FEATURES,
    Layer,
    cell_trunk,
    context_trunk,
)
from napari_gigaclf.models.networks.resnet import RESNET18_BLOCKS, RESNET34_BLOCKS, resnet_trunk


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

    def forward_features(self, x_BCHW: Tensor) -> Tensor:
        """Return the map that is pooled, (B, num_features, h, w)."""
        features: Tensor = self.trunk(x_BCHW)
        return features if self.tail is None else self.tail(features)


Builder = Callable[[int, int], Network]
"""(in_channels, num_classes) -> Network."""


def _cell_net(layers: tuple[Layer, ...]) -> Builder:
    def build_cells(in_channels: int, num_classes: int) -> Network:
        num_features = layers[-1][1]
        head = nn.Sequential(nn.Dropout(0.2), nn.Linear(num_features, num_classes))
        return Network(trunk=cell_trunk(in_channels, layers), pooling="highest", num_features=num_features, head=head)

    return build_cells


def _cell_net_context(layers: tuple[Layer, ...]) -> Builder:
    def build_context(in_channels: int, num_classes: int) -> Network:
        head = nn.Sequential(nn.Dropout(0.2), nn.Linear(NUM_CONTEXT_FEATURES, num_classes))
        return Network(trunk=context_trunk(in_channels, layers), num_features=NUM_CONTEXT_FEATURES, head=head)

    return build_context


def _table1(in_channels: int, num_classes: int) -> Network:
    return Network(
        trunk=paper.table1_trunk(in_channels),
        tail=paper.table1_tail(),
        num_features=256,
        head=nn.Sequential(nn.Linear(256, num_classes)),
    )


def _table2(num_layers: int) -> Builder:
    def build_table2(in_channels: int, num_classes: int) -> Network:
        return Network(
            trunk=paper.table2_trunk(in_channels, num_layers),
            tail=paper.table2_tail(),
            num_features=512,
            head=nn.Sequential(nn.Dropout(0.5), nn.Linear(512, num_classes)),
        )

    return build_table2


def _resnet(blocks: tuple[int, ...]) -> Builder:
    def build_resnet(in_channels: int, num_classes: int) -> Network:
        head = nn.Sequential(nn.Linear(512, num_classes))
        trunk = resnet_trunk(in_channels, blocks)
        return Network(trunk=trunk, pooling="mean", num_features=512, head=head)

    return build_resnet


NETWORKS: dict[str, Builder] = {
    "cell-net": _cell_net(LAYERS),
    "cell-net-context": _cell_net_context(LAYERS),
    "cell-net-fine": _cell_net(FINE_LAYERS),
    "cell-net-fine-context": _cell_net_context(FINE_LAYERS),
    "paper-table1": _table1,
    "paper-table2-22": _table2(22),
    "paper-table2-25": _table2(25),
    "paper-table2-28": _table2(28),
    "resnet18": _resnet(RESNET18_BLOCKS),
    "resnet34": _resnet(RESNET34_BLOCKS),
}


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
