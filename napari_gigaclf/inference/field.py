"""A question before the run: the network on what the region sees alone.

Its features are rounded to half precision before they are pooled, as those of a run are when they are asked.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.asked import Asked
from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.collect import Collector
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.precision import full_precision
from napari_gigaclf.inference.query import Answerer, RegionAnswer
from napari_gigaclf.progress import CancelToken, ProgressCallback

if TYPE_CHECKING:
    from napari_gigaclf.inference.preparation import PreparedRun


def answer_region(
    prepared: "PreparedRun",
    region: Asked,
    threshold: float,
    *,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> RegionAnswer:
    """Return what the network says of a region of a slide that has not run; see ``PreparedRun.ask``."""
    tissue = region.cells.only(prepared.tissue_cells)
    if not len(tissue):
        return _answerer(prepared, _nothing(region.cells), np.zeros((0, 0, 0), dtype=np.float32)).answer(
            _moved(region), threshold
        )
    crop = prepared.crop(tissue)
    streamed = prepared.network.apart()
    rows, columns = streamed.plan(crop.source.shape, backward=False).output_shape[-2:]
    kept = crop.kept(tissue, (int(rows), int(columns)))
    collector = Collector(prepared.network, kept, (0, 0), None)
    with torch.no_grad(), full_precision(prepared.device.key):
        features = streamed.stream(crop.source, progress=progress, cancel=cancel, on_output=collector, cells=kept)
    answerer = _answerer(prepared, collector.store(int(features.shape[1])), collector.probability_map)
    return answerer.answer(Asked(Cells.of(kept), region.outline), threshold)


def _answerer(prepared: "PreparedRun", store: FeatureStore, single: NDArray[np.float32]) -> Answerer:
    """Return what answers from these cells; ``single`` is their map (classes, rows, columns)."""
    model = prepared.model
    return Answerer(
        classes=model.classes,
        store=store,
        cell_probabilities=lambda cells: single[:, *cells.box.slices][:, cells.inside],
        pooling=model.config.pooling,
        head=prepared.head.probabilities,
        um_per_px=prepared.slide.um_per_px,
        scores=model.config.is_regression,
    )


def _nothing(cells: Cells) -> FeatureStore:
    """Return a store without cells, whose map is the box of some cells."""
    return FeatureStore(
        kept=np.zeros(cells.box.shape, dtype=np.bool_),
        features=np.zeros((0, 0), dtype=np.float32),
        scores=np.zeros(0, dtype=np.float32),
    )


def _moved(region: Asked) -> Asked:
    """Return a region whose cells are counted from the corner of their own box."""
    return Asked(
        Cells(Box(0, region.cells.box.shape[0], 0, region.cells.box.shape[1]), region.cells.inside), region.outline
    )
