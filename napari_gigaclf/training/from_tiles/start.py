"""``train_on_tiles``: labelled tiles, or annotated slides, and a recipe become a model in a folder that records how."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from napari_gigaclf.errors import CohortError, GigaclfError
from napari_gigaclf.models.card import FieldSpec
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.training.averaging import decaying_groups, moving_average
from napari_gigaclf.training.cohort import CohortRow, class_weights
from napari_gigaclf.training.colour import colour_statistics, tissue_spread
from napari_gigaclf.training.from_tiles.check import RegionReport
from napari_gigaclf.training.from_tiles.drawing import (
    NOTE_NAME,
    PLACES_NAME,
    TILES_NAME,
    Drawing,
    draw_tiles,
    write_places,
)
from napari_gigaclf.training.from_tiles.learner import TileLearner
from napari_gigaclf.training.from_tiles.network import TileNetwork, tile_network
from napari_gigaclf.training.from_tiles.recipe import TileRecipe, dump_recipe
from napari_gigaclf.training.from_tiles.whole_norm import share_batch_norms
from napari_gigaclf.training.runs.best import BestModel
from napari_gigaclf.training.runs.epoch import Epoch
from napari_gigaclf.training.runs.folder import (
    RECIPE_NAME,
    WRITTEN,
    Board,
    RunFolder,
    model_name,
    refuse_others,
    run_key,
)
from napari_gigaclf.training.runs.result import TrainResult, finished
from napari_gigaclf.training.runs.run import Run
from napari_gigaclf.training.runs.state import Counters, load_state
from napari_gigaclf.training.runs.workers import Workers, join_workers, own_device
from napari_gigaclf.training.tiles import TileReport, TileSet, check_tiles, write_tile_list
from napari_gigaclf.writing import check_writable

LIST_NAME = "tiles.csv"
"""Which tiles were learnt from."""


def train_on_tiles(
    report: TileReport | RegionReport,
    recipe: TileRecipe,
    output: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
) -> TrainResult:
    """Train a network on labelled tiles.

    Parameters
    ----------
    report
        Of ``check_source``: what is learnt from. Tiles of annotated slides are first drawn into the run's folder.
    recipe
        The one that the report was made with.
    output
        Folder of the run.
    resume
        Whether to go on with the run in that folder; its continuation is the one it would have had.
    device
        As of ``classify``; with several processes, each takes the CUDA device of its own number.
    progress
        Told of every batch.
    cancel
        Asked before each batch; the state before it is then kept.
    on_epoch
        Told of every epoch; of several processes, the first one's is.

    Raises
    ------
    CohortError
        If the report has errors, another run stands in the folder, a tile cannot be read any more, or there are more
        processes than a mini-batch has tiles.
    TrainingError
        If a loss is not finite; the state is the last good one.
    SlideError
        If a slide cannot be read while tiles are drawn from it.
    OutputError
        If the folder cannot be written to; what is there stays.
    Cancelled
        If the caller asked to stop; the run can be resumed.
    """
    report.raise_if_bad()
    folder = Path(output)
    if not resume and (folder / RECIPE_NAME).exists():
        raise CohortError(f"{folder}: a run is there already; go on with it (--resume) or give another folder")
    refuse_others(folder, (*WRITTEN, LIST_NAME), report.table)
    target = own_device(device)
    workers = join_workers(target)  # all are here before the first of them writes what the others have looked for above
    warnings: tuple[str, ...] = ()
    if isinstance(report, RegionReport):
        tiles, warnings = _drawn(report, folder, workers, progress, cancel)
    else:
        assert report.tiles is not None, "a report without tiles has errors"
        tiles = report.tiles
    try:
        run = prepared(tiles, recipe, folder, resume=resume, device=target, workers=workers)
    except BaseException:
        tiles.close()
        raise
    run.progress, run.cancel, run.on_epoch = progress, cancel, on_epoch
    return dataclasses.replace(finished(run), warnings=warnings)


def _drawn(
    report: RegionReport,
    folder: Path,
    workers: Workers,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> tuple[TileSet, tuple[str, ...]]:
    """Draw the tiles of annotated slides, or take those that are drawn already; return them and what is odd of them."""
    drawing = report.drawing
    assert drawing is not None, "a report without a drawing has errors"
    error: Exception | None = None
    if workers.is_first:
        try:
            _draw(drawing, run_key("{}", (), report.key), folder, progress, cancel)
        except GigaclfError as found_error:
            error = found_error
    workers.raise_together(error)
    found = check_tiles(
        folder / TILES_NAME, classes=tuple(drawing.folders.values()), side_px=drawing.side_px, drawn=True,
        progress=progress if workers.is_first else None, cancel=cancel,
    )  # fmt: skip
    found.raise_if_bad()
    assert found.tiles is not None
    cohort = dataclasses.replace(found.tiles.cohort, classes=drawing.classes, table=report.table)
    return dataclasses.replace(found.tiles, cohort=cohort), tuple(problem.message for problem in found.warnings)


def _draw(
    drawing: Drawing, key: str, folder: Path, progress: ProgressCallback | None, cancel: CancelToken | None
) -> None:  # fmt: skip
    """Draw the tiles, unless they are drawn already."""
    note = folder / TILES_NAME / NOTE_NAME
    if not note.is_file():
        _refuse_what_was_not_drawn(folder)
        check_writable(folder)
        draw_tiles(drawing, folder, json.dumps({"key": key, "tiles": drawing.total}), progress, cancel)
    elif _noted_key(note) != key:
        raise CohortError(f"{folder}: the tiles there were drawn from other regions; give another folder")
    if not (folder / PLACES_NAME).exists():
        write_places(drawing, folder)


def _refuse_what_was_not_drawn(folder: Path) -> None:
    """Refuse a folder whose tiles, or whose list of places, are a person's own."""
    for place in (folder / TILES_NAME, folder / PLACES_NAME):
        if place.exists() or place.is_symlink():
            raise CohortError(f"{place}: not drawn by this run; give another folder")


def _noted_key(note: Path) -> object:
    """Return what the tiles of a run were drawn from; None where the note of it is damaged."""
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("key") if isinstance(found, dict) else None


def prepared(
    tiles: TileSet, recipe: TileRecipe, output: Path, *, resume: bool, device: torch.device, workers: Workers
) -> Run:
    """Build or load everything that a run needs."""
    if recipe.deterministic:
        torch.use_deterministic_algorithms(mode=True)
    cohort, folder = tiles.cohort, RunFolder(output, writes=workers.is_first)
    network = tile_network(recipe, cohort.classes, model_name(output))
    sample = _sample(tiles, recipe)
    if not recipe.start_from:
        with torch.no_grad():
            network.model.normalise.scale.copy_(1 / torch.tensor(tissue_spread(tiles.each(sample))).reshape(-1, 1, 1))
    _fill_card(network, sample, tiles, recipe)
    network.to(device)
    averaged = AveragedModel(network, avg_fn=moving_average(recipe.average), use_buffers=True)
    if workers.count > 1:  # after the copy, which only ever looks
        share_batch_norms(network, workers)
    optimiser = torch.optim.AdamW(decaying_groups(network, recipe.weight_decay), lr=recipe.learning_rate)
    weights = None
    if recipe.class_weights:
        weights = torch.tensor(list(class_weights(cohort, "train").values())).to(next(network.parameters()))
    learner = TileLearner(
        tiles=tiles, network=network, averaged=averaged, optimiser=optimiser, weights=weights, recipe=recipe,
        workers=workers,
    )  # fmt: skip
    if learner.batch_size < workers.count:
        raise CohortError(
            f"a mini-batch has {learner.batch_size} tiles, which is too few for {workers.count} processes; start fewer "
            "of them, or set a larger batch_size"
        )
    key = _key(tiles, recipe)
    counters = load_state(output, learner.kept, optimiser, key) if resume else None
    if counters is None:
        _begin_folder(folder, tiles, recipe)
    learnt, tuned = (len(cohort.of_split(split)) for split in ("train", "tune"))
    data = f"{learnt} tiles of {cohort.table.name}, tuned on {tuned}"
    return Run(
        cohort=cohort,
        recipe=recipe,
        folder=folder,
        board=Board(output, writes=workers.is_first),
        learner=learner,
        best=BestModel(folder=folder, data=data, command="train-tiles"),
        counters=counters or Counters(),
        key=key,
    )


def _sample(tiles: TileSet, recipe: TileRecipe) -> list[CohortRow]:
    """Return some training tiles, from which colours are measured."""
    rows = tiles.cohort.of_split("train").rows
    chosen = np.random.default_rng([recipe.seed, 2]).permutation(len(rows))[: recipe.normalisation_tiles]
    return [rows[i] for i in np.sort(chosen)]


def _fill_card(network: TileNetwork, sample: Sequence[CohortRow], tiles: TileSet, recipe: TileRecipe) -> None:
    """Say on the model's card what its tiles were: colours, the field of a click, what a slide's number means."""
    side = tiles.side_px
    with torch.no_grad():
        cells = network.eval().cells(torch.zeros(1, 3, side, side)).shape[2]
    card = dataclasses.replace(
        network.model.config.card,
        intended_tissue="the tissue of its tiles",
        stain="that of its tiles",
        intended_use="research on tissue like that of its tiles, and as a start for training on whole slides",
        not_for="diagnosis, and tissue unlike that of its tiles",
        field=FieldSpec(cells=max(1, round(cells**0.5)), px=side),
        slide_score=f"learnt from single tiles; {recipe.pooling} pooling over a slide, uncalibrated",
        colour_statistics=colour_statistics(tiles.each(sample)),
    )
    network.model.config = dataclasses.replace(network.model.config, card=card)


def _begin_folder(folder: RunFolder, tiles: TileSet, recipe: TileRecipe) -> None:
    """Write what the run is: recipe, record and list of tiles."""
    cohort = tiles.cohort
    about = {"source": str(cohort.table), "sha256": cohort.sha256, "tiles": len(cohort), "side_px": tiles.side_px}
    folder.begin(dump_recipe(recipe), {"tiles": about})
    if folder.writes:
        write_tile_list(tiles, folder.path / LIST_NAME)


def _key(tiles: TileSet, recipe: TileRecipe) -> str:
    """Return what a state belongs to: recipe (with the number of epochs, which the learning rate follows) and tiles."""
    rows = [(row.name, row.labels, row.split, tiles.digests[row.name]) for row in tiles.cohort.rows]
    return run_key(dump_recipe(recipe), ("patience",), [tiles.cohort.classes, tiles.side_px, rows])
