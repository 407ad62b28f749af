"""A click before the run: the network on one field alone, rounded as a run would store it."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.inference.cells import bounds
from napari_gigaclf.inference.collect import Collector
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.precision import full_precision
from napari_gigaclf.inference.query import NO_TISSUE, Answerer, RegionAnswer

if TYPE_CHECKING:
    from napari_gigaclf.inference.preparation import PreparedRun


def answer_field(prepared: "PreparedRun", cells: NDArray[np.bool_], outline: BaseGeometry) -> RegionAnswer:
    """Return what the network says of some tissue cells (rows, columns) of the whole slide's map.

    Parameters
    ----------
    prepared
        The run that is not done.
    cells
        Tissue cells of the field; none gives the answer "no tissue".
    outline
        The field, (x, y) level-0 pixels.
    """
    if not cells.any():
        nothing = _answerer(prepared, _nothing(cells), np.zeros((0, 0), dtype=np.float32))
        return nothing.answer(cells, outline, why_empty=lambda: NO_TISSUE)
    box = bounds(cells)
    collector = Collector(prepared.network, cells[box.slices], (0, 0), None)
    with torch.no_grad(), full_precision(prepared.device.key):
        features = prepared.network.streamed.region(prepared.whole, box.slices)
        collector((slice(0, box.shape[0]), slice(0, box.shape[1])), features)
    store = collector.store(features.shape[1])
    single = collector.probability_map[:, store.kept]
    return _answerer(prepared, store, single).answer(store.kept, outline)


def _answerer(prepared: "PreparedRun", store: FeatureStore, single: NDArray[np.float32]) -> Answerer:
    """Return what answers from these cells; ``single`` holds their probabilities (classes, n)."""
    model = prepared.model
    return Answerer(
        classes=model.classes,
        store=store,
        cell_probabilities=lambda numbers: single[:, numbers],
        pooling=model.config.pooling,
        head=prepared.head.probabilities,
        um_per_px=prepared.slide.um_per_px,
    )


def _nothing(cells: NDArray[np.bool_]) -> FeatureStore:
    """Return a store without cells."""
    return FeatureStore(
        kept=np.zeros_like(cells), features=np.zeros((0, 0), dtype=np.float32), scores=np.zeros(0, dtype=np.float32)
    )
