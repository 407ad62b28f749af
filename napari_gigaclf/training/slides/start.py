"""``train``: a cohort and a recipe become a model, in a folder that records how."""

import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from napari_gigaclf.errors import CohortError
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.training.cohort import Cohort, write_cohort
from napari_gigaclf.training.runs.best import BestModel
from napari_gigaclf.training.runs.epoch import Epoch
from napari_gigaclf.training.runs.folder import RECIPE_NAME, Board, RunFolder, model_name, run_key
from napari_gigaclf.training.runs.networks import last_layer
from napari_gigaclf.training.runs.result import TrainResult, finished
from napari_gigaclf.training.runs.run import Run
from napari_gigaclf.training.runs.state import Counters, load_state
from napari_gigaclf.training.runs.workers import join_workers, own_device
from napari_gigaclf.training.slides.initialise import colour_spread, unit_variance
from napari_gigaclf.training.slides.learner import SlideLearner
from napari_gigaclf.training.slides.losses import loss_of
from napari_gigaclf.training.slides.network import SlideNetwork, slide_network
from napari_gigaclf.training.slides.recipe import Recipe, dump_recipe
from napari_gigaclf.training.slides.slides import Slides


def train(
    cohort: Cohort,
    recipe: Recipe,
    output: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
) -> TrainResult:
    """Train a network on whole slides.

    Parameters
    ----------
    cohort
        Slides with their labels or scores; those of split "train" are learnt from, those of "tune" choose the epoch.
    recipe
        How.
    output
        Folder of the run.
    resume
        Whether to go on with the run in that folder; its continuation is the one it would have had.
    device
        As of ``classify``; with several processes, each takes the CUDA device of its own number.
    progress
        Told of every slide.
    cancel
        Asked before each tile; the state before the step is then kept.
    on_epoch
        Told of every epoch; of several processes, the first one's is.

    Raises
    ------
    CohortError
        If there is nothing to train on, or another run stands in the folder.
    TrainingError
        If a loss is not finite; the last good state is kept.
    SlideError
        If a slide cannot be read, and the recipe says "stop".
    OutputError
        If the folder cannot be written to; what is there stays.
    Cancelled
        If the caller asked to stop; the run can be resumed.
    """
    run = prepared(cohort, recipe, Path(output), resume=resume, device=device, cancel=cancel)
    run.progress, run.cancel, run.on_epoch = progress, cancel, on_epoch
    return finished(run)


def prepared(
    cohort: Cohort, recipe: Recipe, output: Path, *, resume: bool, device: str, cancel: CancelToken | None = None
) -> Run:
    """Build or load everything that a run needs; see :func:`train`."""
    if not cohort.of_split("train").rows:
        raise CohortError(f"{cohort.table}: no slide has split 'train'; fill that column, or divide the cohort")
    if not resume and (output / RECIPE_NAME).exists():
        raise CohortError(f"{output}: a run is there already; go on with it (--resume) or give another folder")
    if recipe.deterministic:
        torch.use_deterministic_algorithms(mode=True)
    target = own_device(device)
    workers = join_workers(target)
    folder, slides, loss = RunFolder(output, writes=workers.is_first), Slides(recipe), loss_of(recipe, cohort)
    model = slide_network(recipe, cohort.task, cohort.classes, model_name(output)).to(target)
    if cohort.task == "regression":
        model.config = dataclasses.replace(model.config, score_range=_range_of(cohort))
    network, key = SlideNetwork(model, recipe), _key(recipe, cohort)
    optimiser = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    counters = load_state(output, model, optimiser, key) if resume else None
    if counters is None:
        _begin_folder(folder, recipe, cohort)
        try:
            _begin_weights(network, slides, cohort, folder, cancel)
        except BaseException:
            slides.close()
            raise
    learner = SlideLearner(
        cohort=cohort, network=network, slides=slides, loss=loss, optimiser=optimiser, workers=workers, recipe=recipe
    )  # fmt: skip
    learnt, tuned = (len(cohort.of_split(split)) for split in ("train", "tune"))
    data = f"{learnt} slides of {cohort.table.name}, tuned on {tuned}"
    return Run(
        cohort=cohort,
        recipe=recipe,
        folder=folder,
        board=Board(output, writes=workers.is_first),
        learner=learner,
        best=BestModel(folder=folder, data=data, command="train"),
        counters=counters or Counters(),
        key=key,
    )


def _begin_folder(folder: RunFolder, recipe: Recipe, cohort: Cohort) -> None:
    """Write what the run is: recipe, record and table."""
    about = {"table": str(cohort.table), "sha256": cohort.sha256, "slides": len(cohort)}
    folder.begin(dump_recipe(recipe), {"cohort": about})
    if folder.writes:
        write_cohort(cohort, folder.path / "cohort.csv")


def _key(recipe: Recipe, cohort: Cohort) -> str:
    """Return what a state belongs to: recipe and cohort, but for how long and with how much memory."""
    rows = [
        (row.number, str(row.slide.resolve()), row.labels, row.score, row.split, row.um_per_px) for row in cohort.rows
    ]
    return run_key(dump_recipe(recipe), ("epochs", "memory", "patience"), [cohort.task, cohort.classes, rows])


def _range_of(cohort: Cohort) -> tuple[float, float] | None:
    """Return the least and the largest score that is learnt from; None where they are the same."""
    scores = cohort.of_split("train").targets
    least, most = float(scores.min()), float(scores.max())
    return (least, most) if least < most else None


def _begin_weights(
    network: SlideNetwork, slides: Slides, cohort: Cohort, folder: RunFolder, cancel: CancelToken | None
) -> None:
    """Set what is taken from the training slides: the mean score, the spread of colours, and LSUV's scales."""
    recipe = network.recipe
    if cohort.task == "regression":
        with torch.no_grad():
            last_layer(network.model.head).bias.fill_(float(cohort.of_split("train").targets.mean()))
    if recipe.start_from:
        return
    rows = cohort.of_split("train").rows
    order = np.random.default_rng([recipe.seed, 2]).permutation(len(rows))
    most = max(recipe.normalisation_slides, recipe.initialisation_slides)
    chosen = list(islice(slides.readable((rows[i] for i in order), cancel), most))
    spread = colour_spread((slides.view(row) for row in chosen[: recipe.normalisation_slides]), recipe.seed)
    with torch.no_grad():
        network.model.normalise.scale.copy_(1 / torch.tensor(spread).reshape(-1, 1, 1))
    folder.log("normalisation", {"spread": spread})
    if recipe.initialisation == "lsuv":
        some = chosen[: recipe.initialisation_slides]
        network.train()
        before = unit_variance(network.features, lambda: (slides.drawn(row, 0) for row in some), recipe.memory, cancel)
        folder.log("lsuv", {"deviations_before": before})
