"""What a run comes to, from its first step to the calibrated model."""

from dataclasses import dataclass
from pathlib import Path

from napari_gigaclf.errors import Cancelled, TrainingError
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
    """Run what is left, calibrate the best model, and let go of everything.

    Raises
    ------
    TrainingError
        If a loss is not finite; the last good state is kept.
    Cancelled
        If the caller asked to stop; the state is kept.
    """
    try:
        try:
            run.go()
        except (Cancelled, TrainingError):
            run.save()  # weights and statistics are those of the last whole step
            raise
        figures = run.calibrated()
        return TrainResult(
            model=run.folder.model,
            epochs=run.counters.epoch,
            best_epoch=run.counters.best_epoch,
            figures=figures,
            left_out=tuple(run.counters.left_out),
        )
    finally:
        run.close()
