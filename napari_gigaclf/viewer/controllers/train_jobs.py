"""Pieces of work of the Train widget that touch files: presets, the check of a table, the look at a run, training."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.errors import CohortError, TrainingError
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.viewer.controllers.jobs import read_models
from napari_gigaclf.viewer.controllers.train_wishes import TrainWishes
from napari_gigaclf.viewer.preferences import Preferences, load_preferences
from napari_gigaclf.viewer.worker import use_torch

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.training.cohort import Cohort, CohortReport
    from napari_gigaclf.training.slides import Epoch, Recipe, TrainResult

MAX_LOG_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What there is to choose from."""

    presets: "Mapping[str, Recipe]"
    models: "Mapping[str, ModelConfig]"
    preferences: Preferences


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLook:
    """What is in the folder that was chosen for a run."""

    folder: Path
    recipe: "Recipe | None" = None
    """Of the run that is there; None: there is none."""
    table: Path | None = None
    """Its table, with the splits it was trained with."""
    epochs: "tuple[Epoch, ...]" = ()
    """What it has learnt so far."""

    @property
    def has_run(self) -> bool:
        """Whether a run is there."""
        return self.recipe is not None


def read_choices() -> Choices:
    """Return what the widget needs from files when it opens."""
    from napari_gigaclf.training.slides.recipe import PRESETS

    return Choices(presets=dict(PRESETS), models=read_models(), preferences=load_preferences())


def check_table(table: Path, progress: ProgressCallback, cancel: CancelToken) -> "CohortReport":
    """Return everything that is wrong with a table and its slides."""
    from napari_gigaclf.training.cohort import check_cohort

    return check_cohort(table, progress=progress, cancel=cancel)


def divides_nothing(report: "CohortReport") -> bool:
    """Return whether no slide of a table has a split."""
    return report.cohort is not None and all(row.split is None for row in report.cohort.rows)


def look_at_run(folder: Path) -> RunLook:
    """Return what is in a folder.

    Raises
    ------
    CohortError
        There is a run whose recipe cannot be read.
    """
    from napari_gigaclf.training.slides.recipe import read_recipe

    stored = folder / "recipe.json"
    if not stored.is_file():
        return RunLook(folder=folder)
    table = folder / "cohort.csv"
    return RunLook(
        folder=folder, recipe=read_recipe(stored), table=table if table.is_file() else None, epochs=_epochs_of(folder)
    )


def _epochs_of(folder: Path) -> "tuple[Epoch, ...]":
    """Return the epochs in a run's log; of one that was run twice, the later. A damaged log gives what is readable."""
    from napari_gigaclf.training.runs.epoch import Epoch

    log = folder / "log.jsonl"
    try:
        if log.stat().st_size > MAX_LOG_BYTES:
            return ()
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    names = [field.name for field in dataclasses.fields(Epoch)]
    found: dict[int, Epoch] = {}
    for line in lines:
        if '"epoch"' not in line:
            continue
        try:
            values = json.loads(line)
            if values["what"] == "epoch":
                found[int(values["number"])] = Epoch(**{name: values[name] for name in names})
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found[number] for number in sorted(found))


def run_training(
    wishes: TrainWishes,
    cohort: "Cohort",
    *,
    resume: bool,
    progress: ProgressCallback,
    on_epoch: "Callable[[Epoch], object]",
    cancel: CancelToken,
) -> "TrainResult":
    """Train as it was asked for. Imports torch; runs for as long as it takes.

    Raises
    ------
    GigaclfError
        Whatever ``train`` raises; its state so far is kept.
    """
    if wishes.base is None or wishes.output is None:
        raise CohortError("choose a recipe and an output folder first")
    use_torch(wishes.threads)
    from napari_gigaclf.training.cohort import divided_as_usual
    from napari_gigaclf.training.runs.settings import changed
    from napari_gigaclf.training.slides import train

    recipe = changed(wishes.base, dict(wishes.settings), "settings")
    try:
        return train(
            divided_as_usual(cohort, recipe.seed), recipe, wishes.output, resume=resume, device=wishes.device,
            progress=progress, cancel=cancel, on_epoch=on_epoch,
        )  # fmt: skip
    except MemoryError as error:
        raise TrainingError("not enough memory: give Memory a smaller number, or choose a smaller input") from error
