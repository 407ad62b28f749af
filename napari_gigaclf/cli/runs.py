"""What the commands that train have in common: the recipe that was asked for, what is said of a check and of a run."""

import dataclasses
import json as json_text
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from napari_gigaclf.cli.say import note, say, say_json
from napari_gigaclf.training.cohort import Report
from napari_gigaclf.training.runs.folder import COUNTERS_NAME, RECIPE_NAME, STATE_NAME

if TYPE_CHECKING:
    from napari_gigaclf.training.runs.epoch import Epoch
    from napari_gigaclf.training.runs.result import TrainResult

FAILED = 1
_Recipe = TypeVar("_Recipe")


class RunConfig(Protocol):
    """What was asked for of a run."""

    @property
    def output(self) -> Path | None:
        """Its folder."""

    @property
    def preset(self) -> str | None:
        """Name of a recipe."""

    @property
    def recipe(self) -> Path | None:
        """File of a recipe."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Changes of the recipe."""

    @property
    def resume(self) -> bool:
        """Whether the run in the folder is gone on with."""


def recipe_of(config: RunConfig, presets: Mapping[str, _Recipe]) -> _Recipe:
    """Return the recipe that was asked for; a run that goes on has its own."""
    from napari_gigaclf.training.runs.settings import named_preset, read_settings, with_settings

    stored = None if config.output is None else config.output / RECIPE_NAME
    if config.recipe is not None:
        found = read_settings(config.recipe, presets)
    elif config.preset is None and config.resume and stored is not None and stored.is_file():
        found = read_settings(stored, presets)
    else:
        found = named_preset(presets, config.preset or "default")
    return with_settings(found, config.settings)


def show(report: Report, *, json: bool) -> int:
    """Print the report of a check, and return the exit code."""
    if json:
        say_json(report.as_json())
    else:
        say(report.text)
    return FAILED if report.errors else 0


def teller(*, json: bool) -> "Callable[[Epoch], None]":
    """Return what says how an epoch went."""

    def tell(epoch: "Epoch") -> None:
        if json:
            say_json({"epoch": epoch.number, **dataclasses.asdict(epoch)})
            return
        tuning = ", ".join(f"{name} {value:.4f}" for name, value in epoch.tuning.items())
        best = "  (best so far)" if epoch.is_best else ""
        say(f"epoch {epoch.number}: loss {epoch.train_loss:.4f}; tuning: {tuning or 'nothing kept aside'}{best}")

    return tell


def speaks() -> bool:
    """Return whether this process says what came of a run: of several, the first one does."""
    return os.environ.get("RANK", "0") == "0"


def say_what_is_kept(output: Path) -> None:
    """Say what a run that was asked to stop leaves in its folder, and how it goes on."""
    if (output / STATE_NAME / COUNTERS_NAME).is_file():
        note(f"the state is kept in {output}: go on with --resume")
    elif (output / RECIPE_NAME).is_file():
        note(f"nothing is learnt yet in {output}: begin with --resume")
    else:
        note("nothing is learnt yet: begin with the same command")


def summarise(result: "TrainResult", *, json: bool) -> None:
    """Say what a run came to."""
    if json:
        say(json_text.dumps({**dataclasses.asdict(result), "model": str(result.model)}))
        return
    figures = ", ".join(f"{name} {value:.4f}" for name, value in result.figures.items())
    say(f"best: epoch {result.best_epoch} of {result.epochs}{'; ' + figures if figures else ''}")
    say(f"model: {result.model}")
