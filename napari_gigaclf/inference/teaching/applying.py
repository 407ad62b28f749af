"""Applies a taught model to a slide whose features were kept: its result without running the network again.

    features of the base model (N, F) -> taught head -> map; the highest cell is the slide's answer

Everything else (which cells are tissue, where they lie) stays as the base model's run found it, as it would be found
again: the two models differ in their heads alone.
"""

import dataclasses
import datetime
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.errors import ModelError
from napari_gigaclf.inference.features import CHUNK_CELLS, FeatureStore, to_half
from napari_gigaclf.inference.head import StoredHead, scores_of
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.record import ModelRecord, RunRecord
from napari_gigaclf.models.checkpoint import weights_digest

if TYPE_CHECKING:
    from napari_gigaclf.models import Classifier


def apply_taught(features: Prediction, model: "Classifier") -> Prediction:
    """Return what a taught model says of a slide, from the features that its base model has of it.

    Parameters
    ----------
    features
        Result of the base model, with whole features.
    model
        The taught model (see ``taught_model``): the same trunk with another head, pooled by "highest".

    Returns
    -------
    Prediction
        As a run of the model over the slide would return it, up to rounding, without saliency. Its record is that of
        the run which made the features, with this model in it, and says so among its parameters.

    Raises
    ------
    ModelError
        The model pools otherwise, or reads another number of features; or these are in half precision.
    ResultError
        The features are on the disk and cannot be read.
    """
    if model.config.pooling != "highest":
        raise ModelError(f"{model.name} pools by {model.config.pooling!r}; what is taught pools by 'highest'")
    if not features.store.whole:
        raise ModelError("the features are in half precision; run the base model again for whole ones")
    head = StoredHead.of(model)
    probabilities, scores, answer = _of_cells(features.store, head.model())
    values = np.full((len(model.classes), *features.store.kept.shape), np.nan, dtype=np.float32)
    values[:, features.store.kept] = probabilities
    return dataclasses.replace(
        features,
        classes=model.classes,
        probabilities=answer,
        probability_map=values,
        saliency=None,
        record=_record(features, model),
        store=FeatureStore(kept=features.store.kept, features=features.store.features, scores=scores),
        head=head,
    )


def _of_cells(
    store: FeatureStore, head: "Classifier"
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, float]]:
    """Return probabilities (K, N) and scores (N,) of the cells, and the slide's answer by class."""
    num_cells = int(store.features.shape[0])
    probabilities = np.empty((len(head.classes), num_cells), dtype=np.float32)
    scores = np.empty(num_cells, dtype=np.float32)
    highest = -np.inf
    answer: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
    with torch.no_grad():
        for start in range(0, num_cells, CHUNK_CELLS):
            part = slice(start, min(start + CHUNK_CELLS, num_cells))
            found = np.asarray(store.features[part], dtype=np.float32)
            cells = torch.from_numpy(found)
            logits = head.cell_logits(cells)
            probabilities[:, part] = head.probabilities(logits).numpy().T
            halves = torch.from_numpy(to_half(found).astype(np.float32))
            scores[part] = scores_of(head, halves, head.cell_logits(halves)).numpy()  # as a question reads the cells
            suspicion = scores_of(head, cells, logits)
            best = int(suspicion.argmax())
            if float(suspicion[best]) > highest:
                highest, answer = float(suspicion[best]), probabilities[:, start + best]
    return probabilities, scores, dict(zip(head.classes, answer.tolist(), strict=num_cells > 0))


def _record(features: Prediction, model: "Classifier") -> RunRecord:
    record = features.record
    made_by = f"{record.model.name} {record.model.version}, run {record.started}"
    return dataclasses.replace(
        record,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=ModelRecord(
            name=model.name,
            version=model.version,
            sha256=weights_digest(model),
            um_per_px=model.um_per_px,
            pooling=model.config.pooling,
        ),
        parameters={**record.parameters, "saliency": "none", "features": made_by},
        saliency="",
    )
