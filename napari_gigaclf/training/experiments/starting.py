"""Lets layers that compare cells begin as the classifier of cells that they stand behind, max-pooled.

One channel carries the margin m of the tile classifier through all layers, m + c, cut off at 0 by the ReLUs; the others
begin at random (He et al. 2015) and the last layer does not read them yet:

    logit margin of the slide  =  max over cells of max(m, -c)  -  its mean over some training slides

So training starts from what tiles can tell, instead of finding the tumour again from slide labels.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import nn

from napari_gigaclf.models import Classifier
from napari_gigaclf.models.networks.cell_net import CONTEXT_LAYERS
from napari_gigaclf.training.experiments.maps import SlideMap
from napari_gigaclf.training.experiments.on_maps import OnMaps, margins
from napari_gigaclf.training.runs.networks import last_layer

CUT_OFF: Final = 4.0
"""c: margins below -c, a probability of 0.02, are all the same."""


@torch.no_grad()
def start_as_cells(model: Classifier, cells: Classifier, maps: Sequence[SlideMap]) -> None:
    """Set the layers of a cell-net-context so that it answers as its tile classifier, max-pooled.

    Parameters
    ----------
    model
        A cell-net-context with fresh layers behind the trunk of ``cells``; changed in place.
    cells
        The tile classifier.
    maps
        Training slides; after this, their mean margin is zero.
    """
    of_cells = last_layer(cells.head)
    first, *others = [model.trunk.get_submodule(f"context{n}") for n in range(1, len(CONTEXT_LAYERS) + 1)]
    assert isinstance(first, nn.Conv2d)
    first.weight[0, :, 0, 0] = of_cells.weight[1] - of_cells.weight[0]
    first.bias[0] = of_cells.bias[1] - of_cells.bias[0] + CUT_OFF  # type: ignore[index]
    for layer in others:
        assert isinstance(layer, nn.Conv2d)
        layer.weight[0] = 0.0
        middle = layer.kernel_size[0] // 2
        layer.weight[0, 0, middle, middle] = 1.0
    last = last_layer(model.head)
    last.weight.zero_()
    last.bias.zero_()
    last.weight[:, 0] = torch.tensor([-0.5, 0.5])
    mean = float(margins(OnMaps(model), maps).mean())
    last.bias.copy_(torch.tensor([0.5, -0.5]) * mean)
