"""What a run leaves behind while it runs: the map as it fills, and the features of every tissue cell."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.inference.features import FeatureStore, to_half
from napari_gigaclf.inference.head import scores_of
from napari_gigaclf.inference.map_update import MapCallback, MapUpdate
from napari_gigaclf.inference.network import Network
from napari_gigaclf.inference.storage import zeros


class Collector:
    """Takes finished blocks of the feature map from the engine.

    Parameters
    ----------
    network
        What runs; its head turns cells into probabilities.
    kept
        Cells that are wanted, (rows, columns) of the whole slide's map.
    first_cell
        Cell of the whole map that is cell (0, 0) of what is streamed.
    on_map
        Told of each part of the map.
    """

    def __init__(
        self, network: Network, kept: NDArray[np.bool_], first_cell: tuple[int, int], on_map: MapCallback | None
    ) -> None:
        self._network = network
        self._kept = kept
        self._first = first_cell
        self._on_map = on_map
        self._number = np.cumsum(kept, dtype=np.int64).reshape(kept.shape) - 1
        self._features: NDArray[np.float32] | None = None
        self._scores = np.zeros(int(kept.sum()), dtype=np.float32)
        self._filled = np.zeros(kept.shape, dtype=np.bool_)
        self.probability_map: NDArray[np.float32] = np.full(
            (len(network.model.classes), *kept.shape), np.nan, dtype=np.float32
        )

    def __call__(self, slices: tuple[slice, ...], block: Tensor) -> None:
        """Take a finished block (1, F, rows, columns) at its place in the map of what is streamed."""
        y0, x0 = slices[-2].start + self._first[0], slices[-1].start + self._first[1]
        features = block.detach()[0]
        rows, columns = slice(y0, y0 + features.shape[-2]), slice(x0, x0 + features.shape[-1])
        wanted = self._kept[rows, columns]
        if not wanted.any():
            return
        with torch.no_grad():
            cells = features[:, torch.from_numpy(wanted).to(features.device)].T
            logits = self._network.model.cell_logits(cells)
            probabilities = self._network.model.probabilities(logits).float().cpu().numpy()
            found = cells.float().cpu().numpy()
            self._scores[self._number[rows, columns][wanted]] = self._scores_of(to_half(found))
        if self._features is None:
            self._features = zeros((len(self._scores), found.shape[1]), np.float32)
        self._features[self._number[rows, columns][wanted]] = found
        self.probability_map[:, rows, columns][:, wanted] = probabilities.T
        self._filled[rows, columns] |= wanted
        if self._on_map is not None:
            part = self.probability_map[:, rows, columns].copy()
            self._on_map(MapUpdate(y0=y0, x0=x0, probabilities=part))

    def _scores_of(self, half: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return the scores of cells as they are pooled, so that a query finds what a click found."""
        model = self._network.model
        device = next(model.parameters()).device
        cells = torch.from_numpy(half).to(device).to(next(model.parameters()).dtype)
        scores: NDArray[np.float32] = scores_of(model, cells, model.cell_logits(cells)).float().cpu().numpy()
        return scores

    @property
    def num_filled(self) -> int:
        """Cells that have been computed so far."""
        return int(self._filled.sum())

    def store(self, num_features: int) -> FeatureStore:
        """Return the features of the cells that have been computed.

        Parameters
        ----------
        num_features
            Features of a cell, for a store without cells.
        """
        if self._features is None:
            none = np.zeros((0, num_features), dtype=np.float32)
            return FeatureStore(kept=self._filled, features=none, scores=np.zeros(0, dtype=np.float32))
        if self._filled.sum() == len(self._scores):
            return FeatureStore(kept=self._filled, features=self._features, scores=self._scores)
        numbers = self._number[self._filled]
        return FeatureStore(kept=self._filled, features=self._features[numbers], scores=self._scores[numbers])
