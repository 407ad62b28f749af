"""The network on tiles: its cells that lie wholly in the tile, pooled as a slide's are.

logits = head(pool(cells)),    cells = trunk(normalise(tile)), without the glass that a trunk adds around a slide
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.networks.cell_net import without_padding
from napari_gigaclf.training.runs.networks import freeze, rest_frozen


class TileNetwork(nn.Module):
    """A classifier that learns from tiles.

    Parameters
    ----------
    model
        Weights are trained in place.
    frozen
        Parts that are not trained.
    """

    def __init__(self, model: Classifier, frozen: Iterable[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.frozen = tuple(frozen)
        freeze(model, self.frozen)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) of tiles (B, 3, H, W) in [0, 1]."""
        features = self.cells(images)
        if features.shape[2] == 1:
            return self.model.cell_logits(features[:, :, 0])
        pooled = [self.model.pool(cells.T) for cells in features]
        return self.model.cell_logits(torch.stack(pooled))

    def cells(self, images: Tensor) -> Tensor:
        """Return the cells (B, features, N) that see nothing but the tile."""
        trunk = self.model.trunk
        if isinstance(trunk, nn.Sequential) and isinstance(trunk[0], nn.ZeroPad2d):
            trunk = without_padding(trunk)  # a new container, in no mode of its own: the layers in it keep theirs
        features: Tensor = trunk(self.model.normalise(images))
        return features.flatten(2)

    def train(self, mode: bool = True) -> "TileNetwork":
        """Switch to training or to evaluation; frozen parts keep the statistics of their batch norms."""
        super().train(mode)
        rest_frozen(self.model, self.frozen)
        return self
