"""The run itself: stream the slide through the network, pool its tissue, and differentiate the answer.

features = trunk(masked slide)        streamed; the map and the features of tissue cells are kept on the way
answer   = activation(head(pool(features of tissue cells)))
saliency = max_c | d logit / d pixel |        streamed backward from the same forward pass
"""

import dataclasses
import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_gigaclf.errors import Cancelled, GigaclfError, ModelError
from napari_gigaclf.inference.collect import Collector
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.map_update import MapCallback
from napari_gigaclf.inference.precision import full_precision
from napari_gigaclf.inference.prediction import Prediction
from napari_gigaclf.inference.record_run import record_run
from napari_gigaclf.inference.saliency import MagnitudeSink, Saliency, shown_map
from napari_gigaclf.inference.storage import zeros
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.streaming import StreamReport

if TYPE_CHECKING:
    from napari_gigaclf.inference.preparation import PreparedRun
    from napari_gigaclf.models import Classifier

PREDICTED = "predicted"
"""Asks for the saliency of the most probable class."""
PHASES = {"forward": "classifying", "backward": "saliency"}
"""The engine's phases, and what they are called for a person."""
COUNTS_AS_CLASS = 0.5
"""Probability from which a cell's logit is differentiated where the slide's answer is one cell's."""
NO_TISSUE_FOUND = "no tissue found: nothing was classified"


@dataclass(slots=True, kw_only=True)
class _Outcome:
    """What a run has reached so far."""

    probabilities: dict[str, float] = field(default_factory=dict)
    saliency: Saliency | None = None
    complete: bool = True
    message: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    report: StreamReport | None = None
    tiles_done: int = 0
    """Tiles of the forward pass that are finished."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Note the seconds of a phase, also of one that is stopped."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = time.perf_counter() - start


def execute(
    prepared: "PreparedRun",
    *,
    saliency: str | None,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
    on_map: MapCallback | None,
) -> Prediction:
    """Run what is prepared; see ``classify``."""
    model = prepared.model
    if saliency not in (None, PREDICTED, *model.classes):
        raise ModelError(f"{model.name} has no class {saliency!r}; it has {', '.join(model.classes)}")
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    collector = Collector(prepared.network, prepared.kept, prepared.first_cell, on_map)
    outcome = _Outcome()
    if prepared.kept.any():
        with full_precision(prepared.device.key):
            _compute(prepared, collector, outcome, saliency, progress, cancel)
    else:
        outcome.message = NO_TISSUE_FOUND
    num_features = int(prepared.network.streamed.plan(prepared.source.shape).output_shape[-3])
    return Prediction(
        classes=model.classes,
        probabilities=outcome.probabilities,
        probability_map=collector.probability_map,
        grid=prepared.grid,
        saliency=outcome.saliency,
        tissue=prepared.tissue,
        complete=outcome.complete,
        message=outcome.message,
        record=record_run(prepared, started, outcome.seconds, outcome.report, outcome.saliency, saliency),
        store=collector.store(num_features),
        head=prepared.head,
        input_step=prepared.scale.grid.step,
    )


def _compute(
    prepared: "PreparedRun",
    collector: Collector,
    outcome: _Outcome,
    saliency: str | None,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> None:
    """Run the phases; a stop leaves what has been reached."""
    streamed = prepared.network.streamed
    reads_before = prepared.source.num_reads
    try:
        with outcome.timed("classifying"), torch.set_grad_enabled(saliency is not None):
            sink = None
            if saliency is not None:
                raw = zeros(prepared.source.box.shape, np.float32)
                sink = MagnitudeSink(raw, prepared.source)
            features = streamed.stream(
                prepared.source,
                sink=sink,
                progress=_followed(outcome, progress),
                cancel=cancel,
                on_output=collector,
                cells=_wanted(prepared),
            )
            outcome.report = streamed.last_report
            logits = _slide_logits(prepared, features.detach())
            outcome.probabilities = _named(prepared.model, logits)
        if sink is not None and saliency is not None:
            with outcome.timed("saliency"), torch.enable_grad():
                outcome.saliency = _differentiate(prepared, features, sink, _class_of(prepared.model, logits, saliency))
                outcome.report = streamed.last_report
    except Cancelled:
        _stopped(prepared, collector, outcome, reads_before)
    except torch.OutOfMemoryError as error:
        raise GigaclfError(
            f"{prepared.device.name}: not enough memory; give memory=... (command line: --memory) or another device"
        ) from error


def _stopped(prepared: "PreparedRun", collector: Collector, outcome: _Outcome, reads_before: int) -> None:
    """Make the best of a run that was stopped: pool the cells that were computed, as they are stored."""
    outcome.complete = False
    if outcome.probabilities:
        outcome.message = "stopped while the saliency map was made: the probabilities are complete"
        return
    reads = prepared.source.num_reads - reads_before
    outcome.report = StreamReport(
        tiles=outcome.tiles_done, tiles_run=reads, tiles_skipped_flat=outcome.tiles_done - reads, reads=reads
    )
    num_cells, wanted = collector.num_filled, int(prepared.kept.sum())
    outcome.message = f"partial result: stopped after {num_cells} of {wanted} cells"
    if num_cells:
        outcome.probabilities = _named(prepared.head.model(), _partial_logits(prepared, collector.store(0)))


def _partial_logits(prepared: "PreparedRun", store: FeatureStore) -> Tensor:
    """Return the logits (classes,) that follow from the cells which were computed, as they are stored."""
    model = prepared.head.model()
    if model.config.slide_answer is not None:
        return model.config.slide_answer.logits(torch.from_numpy(store.scores))
    pooled = store.pooled(np.arange(len(store.scores)), model.config.pooling)
    return model.cell_logits(torch.from_numpy(pooled))


def _wanted(prepared: "PreparedRun") -> NDArray[np.bool_]:
    """Return which cells of the map of what is streamed are tissue: the others are never kept."""
    y0, x0 = prepared.first_cell
    rows, columns = prepared.network.streamed.plan(prepared.source.shape).output_shape[-2:]
    return prepared.kept[y0 : y0 + rows, x0 : x0 + columns]


def _slide_logits(prepared: "PreparedRun", features: Tensor) -> Tensor:
    """Return the slide's logits (classes,) from its tissue cells (1, F, N)."""
    return prepared.model.slide_logits(features[0].T)


def _named(model: "Classifier", logits: Tensor) -> dict[str, float]:
    """Return the probabilities of logits (classes,) by class name."""
    with torch.no_grad():
        values = model.probabilities(logits).tolist()
    return {name: float(value) for name, value in zip(model.classes, values, strict=True)}


def _class_of(model: "Classifier", logits: Tensor, saliency: str) -> int:
    """Return the number of the class to differentiate."""
    return int(logits.argmax()) if saliency == PREDICTED else model.classes.index(saliency)


def _differentiate(prepared: "PreparedRun", features: Tensor, sink: MagnitudeSink, class_index: int) -> Saliency:
    """Run backward from the logit of a class and return its saliency."""
    model = prepared.model
    cells = features[0].T
    if model.config.pooling == "highest":
        logit, words = _logit_of_suspects(model, cells, class_index)
    else:
        logit = model.cell_logits(model.pool(cells))[class_index]
        words = f"the slide's logit, {model.config.pooling} pooling over tissue cells"
    logit.backward()  # type: ignore[no-untyped-call]
    raw_grid = prepared.scale.grid.part(prepared.source.box)
    values, grid, normalisation = shown_map(sink.raw, raw_grid, prepared.scale.um_per_px)
    return Saliency(
        values=values,
        grid=grid,
        raw=sink.raw,
        raw_grid=raw_grid,
        class_name=model.classes[class_index],
        logit=words,
        normalisation=normalisation,
    )


def _logit_of_suspects(model: "Classifier", cells: Tensor, class_index: int) -> tuple[Tensor, str]:
    """Return the sum of the logits of all cells where a class is predicted, and what it is in words.

    The slide's own logit would be that of one cell, and its saliency a single spot. A regression's scores are no
    probabilities: there it is that one cell's.
    """
    logits = model.cell_logits(cells)
    with torch.no_grad():
        chosen = model.probabilities(logits)[:, class_index] >= COUNTS_AS_CLASS
    if bool(chosen.any()) and not model.config.is_regression:
        words = f"sum of the logits of the {int(chosen.sum())} tissue cells with p >= {COUNTS_AS_CLASS:g}"
        return logits[chosen, class_index].sum(), words
    words = (
        "the score of the cell where it is largest"
        if model.config.is_regression
        else f"the logit of the cell where it is largest (no cell reaches {COUNTS_AS_CLASS:g})"
    )
    return logits[logits[:, class_index].argmax(), class_index], words


def _followed(outcome: _Outcome, progress: ProgressCallback | None) -> ProgressCallback:
    """Return a callback that counts the tiles of the forward pass and gives the engine's phases names for a person."""

    def follow(report: Progress) -> None:
        if report.phase == "forward":
            outcome.tiles_done = report.done
        if progress is not None:
            progress(dataclasses.replace(report, phase=PHASES.get(report.phase, report.phase)))

    return follow
