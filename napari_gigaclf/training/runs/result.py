"""What a run comes to, from its first step to the calibrated model."""

from dataclasses import dataclass
from pathlib import Path

from napari_gigaclf.training.runs.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a run came to."""

    model: Path
    """Folder of the best model."""
    epochs: int
    """Finished ones."""
    best_epoch: int
    figures: dict[str, float]
    """Of the best model on the tuning slides or tiles."""
    left_out: tuple[str, ...]
    """Slides that could not be read."""
    warnings: tuple[str, ...] = ()
    """What of the tiles that were drawn is for a person to judge."""


def finished(run: Run) -> TrainResult:
    """Run what is left, calibrate the best model, and let go of everything; whatever is raised, the state is kept.

    Raises
    ------
    TrainingError
        If a loss is not finite; the state is the last good one.
    Cancelled
        If the caller asked to stop.
    """
    try:
        try:
            run.go()
        except BaseException:  # Ctrl-C pressed twice, no memory, a slide that vanished: what is learnt is not lost
            run.keep()
            raise
        figures = run.calibrated()
        run.learner.workers.wait()  # for the one that writes: where another fails in leaving, torchrun ends it, too
        return TrainResult(
            model=run.folder.model,
            epochs=run.counters.epoch,
            best_epoch=run.counters.best_epoch,
            figures=figures,
            left_out=tuple(run.counters.left_out),
        )
    finally:
        run.close()
