"""The layers of a classifier behind the frozen trunk whose maps are kept."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.networks.cell_net import cell_trunk
from napari_gigaclf.training.experiments.maps import SlideMap


class OnMaps(nn.Module):
    """A classifier that starts from a cell-net's map: the answer is that of the whole classifier on the slide.

    Parameters
    ----------
    model
        A cell-net, perhaps with layers behind it; weights are shared.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        assert isinstance(model.trunk, nn.Sequential)
        self.tail = model.trunk[len(cell_trunk()) :]
        self.pooling = model.pooling
        self.head = model.head

    def map_logits(self, features_BFhw: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is pooled, (B, G, h, w), and the logits of every cell (B, classes, h, w)."""
        pooled_from = self.tail(features_BFhw)
        return pooled_from, self.head(pooled_from.movedim(1, -1)).movedim(-1, 1)

    def forward(self, features_BFhw: Tensor, cells_Bhw: Tensor) -> Tensor:
        """Return the logits of slides, (B, classes)."""
        of_cells_BGhw, logits_BChw = self.map_logits(features_BFhw)
        pooled = [
            self.pooling(one[:, cells].T, logits[:, cells].T)
            for one, logits, cells in zip(of_cells_BGhw, logits_BChw, cells_Bhw, strict=True)
        ]
        logits: Tensor = self.head(torch.stack(pooled))
        return logits


@torch.no_grad()
def margins(network: OnMaps, maps: Sequence[SlideMap]) -> NDArray[np.float64]:
    """Return the margin of class 1 over class 0 of each slide, (N,)."""
    network.eval()
    found = [network(one.features_Fhw[None], one.cells_hw[None])[0].double() for one in maps]
    return np.array([float(logits[1] - logits[0]) for logits in found])
