"""The maps that a frozen trunk makes of slides, streamed once and kept on disk.

Where the trunk is frozen a slide's map never changes, so layers behind it can be trained for many epochs without
running the trunk again, and what comes out is what streaming the whole network would give. A file's name says which
pixels and which weights it was made of, so that a run that was killed goes on with the maps it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.models import Classifier
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import MosaicSlide, SlidePlan, TilePool
from napari_gigaclf.training.slides.view import SlideView
from napari_gigaclf.writing import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideMap:
    """What layers behind the trunk see of a slide."""

    plan: SlidePlan
    features_Fhw: Tensor
    cells_hw: Tensor
    """bool: which cells are pooled."""


class MapStore:
    """Makes maps, or reads those made before.

    Parameters
    ----------
    folder
        Where maps are kept, about 2 MB for a slide of 2048 x 2048 px.
    model
        Whose trunk makes them.
    """

    def __init__(self, folder: Path, model: Classifier) -> None:
        self._folder = folder / model.sha256[:16]
        self._model = model
        # Kept: the engine holds it by its modes, and ``features`` makes a new container with every call.
        self._features: nn.Module = model.features.eval()
        self._streamed = stream(self._features)

    def of(self, plans: Sequence[SlidePlan], pool: TilePool) -> list[SlideMap]:
        """Return the maps of slides made of a pool's tiles."""
        return [self._one(plan, pool) for plan in plans]

    def _one(self, plan: SlidePlan, pool: TilePool) -> SlideMap:
        with MosaicSlide(plan, pool) as slide:
            path = self._folder / f"{slide.id[:32]}.npz"
        if not path.is_file():
            with painted(plan, pool) as view:
                self._make(path, view)
        with np.load(path) as stored:
            features, cells = torch.from_numpy(stored["features"]), torch.from_numpy(stored["cells"])
        return SlideMap(plan=plan, features_Fhw=features, cells_hw=cells)

    @torch.no_grad()
    def _make(self, path: Path, view: SlideView) -> None:
        features = self._streamed.stream(view.whole)[0].numpy()
        rows, columns = features.shape[-2:]
        cells = view.cells(cell_axes(self._streamed), (rows, columns))
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez(file, features=features, cells=cells)
