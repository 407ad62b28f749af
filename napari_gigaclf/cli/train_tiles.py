"""``train-tiles``: check tiles or annotated slides, then train; Ctrl-C keeps the state, if any, for ``--resume``."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.configs import Config, TrainTilesConfig
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.runs import recipe_of, say_what_is_kept, show, speaks, summarise, teller
from napari_gigaclf.cli.say import note, say
from napari_gigaclf.errors import Cancelled, CohortError
from napari_gigaclf.training.from_tiles import PRESETS
from napari_gigaclf.training.from_tiles.check import RegionReport, check_source

if TYPE_CHECKING:
    from napari_gigaclf.training.from_tiles import TileRecipe
    from napari_gigaclf.training.runs.result import TrainResult
    from napari_gigaclf.training.tiles import TileReport


def run(config: Config) -> int:
    """Train, or only check; return the exit code."""
    assert isinstance(config, TrainTilesConfig)
    recipe = recipe_of(config, PRESETS)
    with interruptible() as stop, progress_bar("tiles") as progress:
        report = check_source(
            config.source, recipe, classes=config.classes, group=config.group,
            progress=progress if speaks() else None, cancel=stop,
        )  # fmt: skip
    if config.check:
        return show(report, json=config.json)
    for problem in (*report.errors, *report.warnings) if speaks() else ():
        note(f"{config.source.name}: {problem}")
    if report.errors:
        raise CohortError(f"{config.source}: {len(report.errors)} errors, listed above; nothing was run")
    if config.output is None:
        raise CohortError("--output RUN is missing: the folder for the model, the log and the state")
    result = _train(config, report, recipe, config.output)
    if not speaks():
        return 0
    for text in result.warnings:
        note(f"tiles drawn: {text}")
    summarise(result, json=config.json)
    if not config.json:
        say(f"go on to whole slides: napari-gigaclf train COHORT --output DIR --set start_from={result.model}")
    return 0


def _train(
    config: TrainTilesConfig, report: "TileReport | RegionReport", recipe: "TileRecipe", output: Path
) -> "TrainResult":
    from napari_gigaclf.training.from_tiles import train_on_tiles

    try:
        with interruptible() as stop, progress_bar("training") as progress:
            return train_on_tiles(
                report, recipe, output, resume=config.resume, device=config.device, progress=progress, cancel=stop,
                on_epoch=teller(json=config.json),
            )  # fmt: skip
    except (Cancelled, KeyboardInterrupt):
        say_what_is_kept(output)
        raise
