"""The network on tiles: its cells that lie wholly in the tile, pooled as a slide's are.

logits = head(pool(cells)),    cells = trunk(normalise(tile)), without the glass that a trunk adds around a slide
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models import Classifier
from napari_gigaclf.models.networks.cell_net import without_padding
from napari_gigaclf.training.from_tiles.recipe import USUAL_NETWORK, TileRecipe
from napari_gigaclf.training.part import Part
from napari_gigaclf.training.runs.networks import build_network, freeze, rest_frozen

LEAST_BATCH = 2
"""Tiles of a mini-batch where batch norms learn."""


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

    def forward(self, images: Tensor, part: Part | None = None) -> Tensor:
        """Return logits (B, classes) of tiles.

        Parameters
        ----------
        images
            (B, 3, H, W) in [0, 1].
        part
            Which tiles of a mini-batch these are, where other processes have the others: dropout, which is before the
            last layer, is then drawn for the whole of it, and a tile's does not depend on who has it.
        """
        pooled = self.pooled(images)
        if part is None:
            return self.model.cell_logits(pooled)
        whole = pooled.new_zeros(part.whole, pooled.shape[1])
        whole[part.rows] = pooled
        return self.model.cell_logits(whole)[part.rows]

    def pooled(self, images: Tensor) -> Tensor:
        """Return what the last layers see of tiles, (B, features)."""
        features = self.cells(images)
        if features.shape[2] == 1:
            return features[:, :, 0]
        return torch.stack([self.model.pool(cells.T) for cells in features])

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


def tile_network(recipe: TileRecipe, classes: tuple[str, ...], name: str) -> TileNetwork:
    """Return the network to train on tiles; see :func:`~napari_gigaclf.training.runs.networks.build_network`.

    Raises
    ------
    CohortError
        If what the recipe asks for does not fit this network.
    ModelError
        If the model to start from cannot be loaded.
    """
    model = build_network(
        recipe, "classification", classes, name, learnt_from="labelled tiles", usual=USUAL_NETWORK
    )  # fmt: skip
    network = TileNetwork(model, recipe.frozen).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    if norms and recipe.batch_size < LEAST_BATCH:
        raise CohortError(
            f"batch_size={recipe.batch_size}: the batch norms of {model.config.network} learn from how tiles differ; "
            f"at least {LEAST_BATCH} are needed, unless their layers are frozen"
        )
    return network
