"""``train``: check a table of slides, then train on it; Ctrl-C keeps the state, and ``--resume`` goes on with it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.configs import Config, TrainConfig
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.runs import recipe_of, say_what_is_kept, show, speaks, summarise, teller
from napari_gigaclf.cli.say import note, say
from napari_gigaclf.errors import Cancelled, CohortError
from napari_gigaclf.training.cohort import (
    Cohort,
    Split,
    assign_splits,
    check_cohort,
    divided_as_usual,
    folds,
)

if TYPE_CHECKING:
    from napari_gigaclf.training.slides import Recipe, TrainResult


def run(config: Config) -> int:
    """Train, or only check; return the exit code."""
    assert isinstance(config, TrainConfig)
    report = check_cohort(config.cohort, task=config.task, classes=config.classes)
    if config.check:
        return show(report, json=config.json)
    for problem in (*report.errors, *report.warnings):
        note(f"{config.cohort.name}: {problem}")
    recipe = _recipe(config)
    errors = report.stopping(leave_out=recipe.bad_slides == "leave-out")
    if errors or report.cohort is None:
        raise CohortError(f"{config.cohort}: {len(errors)} errors, listed above; nothing was run")
    if config.output is None:
        raise CohortError("--output RUN is missing: the folder for the model, the log and the state")
    return _train(config, _divided(config, report.cohort, recipe.seed), recipe, config.output)


def _recipe(config: TrainConfig) -> "Recipe":
    """Return the recipe that was asked for."""
    from napari_gigaclf.training.slides import PRESETS

    found = recipe_of(config, PRESETS)
    return found if config.memory is None else dataclasses.replace(found, memory=config.memory)


def _divided(config: TrainConfig, cohort: Cohort, seed: int) -> Cohort:
    """Return the cohort with the splits that were asked for; divided as usual where the table divides nothing."""
    if config.fold is not None:
        number, count = config.fold
        fold = folds(cohort, count, seed)[number - 1]
        inner: Mapping[Split, float] = {"train": 1 - 1 / count, "tune": 1 / count}
        kept = assign_splits(fold.train, inner, seed).rows
        tested = tuple(dataclasses.replace(row, split="test") for row in fold.test.rows)
        return cohort.with_rows(sorted((*kept, *tested), key=lambda row: row.number))
    if config.fractions is not None:
        train, tune, test = config.fractions
        return assign_splits(cohort, {"train": train, "tune": tune, "test": test}, seed)
    if all(row.split is None for row in cohort.rows):
        note("the table divides nothing: 70 % of the patients train, 15 % tune, 15 % test (--fractions)")
    return divided_as_usual(cohort, seed)


def _train(config: TrainConfig, cohort: Cohort, recipe: "Recipe", output: Path) -> int:
    """Train, and say what came of it."""
    from napari_gigaclf.training.slides import train

    try:
        with interruptible() as stop, progress_bar("training") as progress:
            result = train(
                cohort, recipe, output, resume=config.resume, device=config.device, progress=progress, cancel=stop,
                on_epoch=teller(json=config.json),
            )  # fmt: skip
    except (Cancelled, KeyboardInterrupt):
        say_what_is_kept(output)
        raise
    if speaks():
        _summarise(config, result)
    return 0


def _summarise(config: TrainConfig, result: "TrainResult") -> None:
    for text in result.left_out:
        note(f"left out: {text}")
    summarise(result, json=config.json)
    if not config.json:
        table = result.model.parent / "cohort.csv"
        say(f"measure it: napari-gigaclf evaluate {table} --model {result.model} --output DIR")
