"""``train``: a cohort and a recipe become a model, in a folder that records how."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_gigaclf.errors import CohortError
from napari_gigaclf.inference.devices import find_device
from napari_gigaclf.models import Classifier, load_model
from napari_gigaclf.models.checkpoint import save_model
from napari_gigaclf.models.normalise import Normalise
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.evaluation import best_softmax_temperature
from napari_gigaclf.training.slides.initialise import colour_spread, unit_variance
from napari_gigaclf.training.slides.losses import loss_of
from napari_gigaclf.training.slides.network import SlideNetwork, build_network
from napari_gigaclf.training.slides.recipe import Recipe
from napari_gigaclf.training.slides.run_folder import Board, RunFolder, run_key
from napari_gigaclf.training.slides.slides import Slides
from napari_gigaclf.training.slides.state import Counters, load_state, save_state
from napari_gigaclf.training.slides.step import Stepper, StepResult
from napari_gigaclf.training.slides.tuning import Tuning, joined, tune
from napari_gigaclf.training.slides.workers import Workers, join_workers

SAVE_SECONDS = 300.0
"""A state is written at least this often, between steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What an epoch came to, for a plot."""

    number: int
    """From 1."""
    train_loss: float
    tuning: dict[str, float]
    """Figures on the tuning slides; empty without such slides."""
    is_best: bool
    seconds: float
    """Since the run began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a run came to."""

    model: Path
    """Folder of the best model."""
    epochs: int
    """Finished ones."""
    best_epoch: int
    figures: dict[str, float]
    """Of the best model on the tuning slides."""
    left_out: tuple[str, ...]
    """Slides that could not be read."""


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
        Told of every epoch.

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
    run = Run.prepared(cohort, recipe, Path(output), resume=resume, device=device)
    run.progress, run.cancel, run.on_epoch = progress, cancel, on_epoch
    try:
        run.go()
        return run.finish()
    finally:
        run.close()


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that is set up."""

    cohort: Cohort
    recipe: Recipe
    folder: RunFolder
    board: Board
    workers: Workers
    network: SlideNetwork
    slides: Slides
    stepper: Stepper
    counters: Counters
    key: str
    progress: ProgressCallback | None = None
    cancel: CancelToken | None = None
    on_epoch: Callable[[Epoch], object] | None = None
    _start: float = dataclasses.field(default_factory=time.perf_counter)
    _saved: float = dataclasses.field(default_factory=time.perf_counter)
    _done: int = 0
    _last_loss: float | None = None

    @classmethod
    def prepared(cls, cohort: Cohort, recipe: Recipe, output: Path, *, resume: bool, device: str) -> "Run":
        """Build or load everything that a run needs."""
        rows = cohort.of_split("train").rows
        if not rows:
            raise CohortError(f"{cohort.table}: no slide has split 'train'; fill the column, or divide the cohort first")
        if recipe.deterministic:
            torch.use_deterministic_algorithms(mode=True)
        target = torch.device(_own_device(device))
        workers = join_workers(target)
        if not resume and (output / "recipe.json").exists():
            raise CohortError(f"{output}: a run is there already; go on with it (--resume) or give another folder")
        folder, slides = RunFolder(output, writes=workers.is_first), Slides(recipe)
        model = build_network(recipe, cohort.task, cohort.classes, _name_of(output)).to(target)
        network = SlideNetwork(model, recipe)
        optimiser = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        key = run_key(recipe, cohort)
        counters = load_state(output, model, optimiser, key) if resume else None
        if counters is None:
            folder.begin(recipe, cohort)
            _begin_weights(network, slides, cohort, recipe, folder)
            counters = Counters()
        stepper = Stepper(
            network=network, slides=slides, loss=loss_of(recipe, cohort), optimiser=optimiser, workers=workers, recipe=recipe
        )
        run = cls(
            cohort=cohort, recipe=recipe, folder=folder, board=Board(output, writes=workers.is_first), workers=workers,
            network=network, slides=slides, stepper=stepper, counters=counters, key=key,
        )  # fmt: skip
        stepper.on_slide = run._tell
        return run

    def go(self) -> None:
        """Run the epochs that are left."""
        counters, recipe = self.counters, self.recipe
        while not counters.finished and counters.epoch < recipe.epochs:
            self._epoch()
            stale = counters.epoch - counters.best_epoch
            counters.finished = recipe.patience is not None and counters.best_epoch > 0 and stale >= recipe.patience
            self._save()

    def _epoch(self) -> None:
        """Run what is left of an epoch."""
        counters, recipe = self.counters, self.recipe
        batches = self._batches(counters.epoch)
        for batch in batches[counters.batch :]:
            present = [row for row in batch if row.name not in self._left_out_names()]
            for group in self.stepper.optimiser.param_groups:
                group["lr"] = self._learning_rate()
            if present:
                self._note_step(self.stepper.step(present, counters.epoch, self.cancel))
            counters.batch += 1
            if time.perf_counter() - self._saved > SAVE_SECONDS:
                self._save()
        tuning = self._tuned()
        counters.epoch, counters.batch = counters.epoch + 1, 0
        train_loss = counters.loss_sum / max(counters.loss_count, 1)
        counters.loss_sum, counters.loss_count = 0.0, 0
        is_best = self._judge(tuning)
        figures = {} if tuning is None else tuning.figures
        epoch = Epoch(
            number=counters.epoch, train_loss=train_loss, tuning=figures, is_best=is_best,
            seconds=counters.seconds + time.perf_counter() - self._start,
        )  # fmt: skip
        self.folder.log("epoch", dataclasses.asdict(epoch))
        named = {f"tune/{name}": value for name, value in figures.items()}
        self.board.add({"train/epoch_loss": train_loss, **named}, counters.step)
        if self.on_epoch is not None:
            self.on_epoch(epoch)

    def _batches(self, epoch: int) -> list[list[CohortRow]]:
        """Return the mini-batches of an epoch: all training slides in an order of the epoch's own."""
        rows = self.cohort.of_split("train").rows
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(rows))
        size = self.recipe.batch_size
        return [[rows[i] for i in order[start : start + size]] for start in range(0, len(rows), size)]

    def _learning_rate(self) -> float:
        recipe, counters = self.recipe, self.counters
        warm = min(1.0, (counters.step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
        return recipe.learning_rate * recipe.decay**counters.epoch * warm

    def _note_step(self, result: StepResult) -> None:
        """Count and log a step."""
        counters = self.counters
        parts = self.workers.gathered((result.losses, result.left_out))
        losses = [loss for part in parts for loss in part[0]]
        left_out = [text for part in parts for text in part[1]]
        counters.step += 1
        counters.loss_sum += sum(losses)
        counters.loss_count += len(losses)
        counters.left_out += left_out
        self._last_loss = sum(losses) / len(losses)
        values = {
            "loss": self._last_loss, "learning_rate": self._learning_rate(), "gradient_norm": result.gradient_norm
        }  # fmt: skip
        self.folder.log("step", {"step": counters.step, "epoch": counters.epoch + 1, **values})
        for text in left_out:
            self.folder.log("left out", {"slide": text})
        self.board.add({f"train/{name}": value for name, value in values.items()}, counters.step)

    def _tuned(self) -> Tuning | None:
        """Return the logits of the tuning slides; None where there are none."""
        cohort = self.cohort.of_split("tune")
        if not len(cohort):
            return None
        part = tune(
            self.network, self.slides, cohort, self.workers.share(cohort.rows), self.stepper.loss, self.cancel
        )  # fmt: skip
        return joined(cohort, self.workers.gathered(part))

    def _judge(self, tuning: Tuning | None) -> bool:
        """Keep the model if it is the best so far; without tuning slides the latest one is."""
        rank = 0.0 if tuning is None else tuning.rank(self.recipe.select_by)
        if tuning is not None and self.counters.best is not None and rank <= self.counters.best:
            return False
        self.counters.best, self.counters.best_epoch = rank, self.counters.epoch
        if self.workers.is_first:
            self._write_model(self.network.model, {} if tuning is None else tuning.figures)
        return True

    def _write_model(self, model: Classifier, figures: dict[str, float], temperature: float | None = None) -> None:
        """Write the model folder, its card filled in."""
        scale = next(m for m in model.modules() if isinstance(m, Normalise)).scale.flatten()
        spread = tuple(float(1 / s) for s in scale)
        splits = {split: len(self.cohort.of_split(split)) for split in ("train", "tune")}
        note = "" if temperature is None else f"; calibrated, temperature {temperature:.3g}"
        card = dataclasses.replace(
            model.config.card,
            training_data=f"{splits['train']} slides of {self.cohort.table.name}, tuned on {splits['tune']}{note}",
            measured={f"tuning {name}": value for name, value in figures.items()},
            measured_with=f"epoch {self.counters.best_epoch} of a run of napari-gigaclf train",
        )
        assert len(spread) == 3
        model.config = dataclasses.replace(model.config, spread=spread, card=card)
        was_training = model.training
        save_model(model.eval(), self.folder.model)
        model.train(was_training)

    def _save(self) -> None:
        """Write the state."""
        now = time.perf_counter()
        self.counters.seconds += now - self._start
        self._start = self._saved = now
        if self.workers.is_first:
            save_state(self.folder.path, self.network.model, self.stepper.optimiser, self.counters, self.key)

    def _tell(self, row: CohortRow) -> None:
        """Report a slide."""
        self._done += self.workers.count
        if self.progress is None or not self.workers.is_first:
            return
        loss = "" if self._last_loss is None else f", loss {self._last_loss:.4f}"
        total = len(self.cohort.of_split("train"))
        counters = self.counters
        done = min(self._done, total * self.recipe.epochs)
        self.progress(
            Progress(
                done=done, total=total * (self.recipe.epochs - counters.epoch) + done, unit="slide",
                phase=f"epoch {counters.epoch + 1}/{self.recipe.epochs}{loss}",
                seconds=time.perf_counter() - self._start,
            )
        )  # fmt: skip

    def _left_out_names(self) -> set[str]:
        return {text.split(": ", 1)[0] for text in self.counters.left_out}

    def finish(self) -> TrainResult:
        """Calibrate the best model, and say what the run came to."""
        figures: dict[str, float] = {}
        tuning_slides = self.cohort.of_split("tune")
        if len(tuning_slides):
            figures = self._calibrated()
        return TrainResult(
            model=self.folder.model, epochs=self.counters.epoch, best_epoch=self.counters.best_epoch, figures=figures,
            left_out=tuple(self.counters.left_out),
        )  # fmt: skip

    def _calibrated(self) -> dict[str, float]:
        """Fit the temperature of the best model on the tuning slides, and put it into its last layer."""
        if self.workers.count > 1:
            torch.distributed.barrier()
        best = load_model(self.folder.model).to(self.network.device)
        network = self.network
        network.model.load_state_dict(best.state_dict())
        tuning = self._tuned()
        assert tuning is not None, "there are tuning slides"
        if not self.recipe.calibrate or self.cohort.task != "classification":
            return tuning.figures
        temperature = best_softmax_temperature(tuning.logits, tuning.cohort.targets)
        if self.workers.is_first:
            divide_logits(network.model.head, temperature)
            self._write_model(network.model, tuning.figures, temperature)
        return {**tuning.figures, "temperature": temperature}

    def close(self) -> None:
        """Let go of slides and logs."""
        self.slides.close()
        self.board.close()


def divide_logits(head: nn.Module, temperature: float) -> None:
    """Divide a head's logits by a temperature (Guo et al. 2017), by its last layer's weights: nothing else changes."""
    last = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.div_(temperature)
        if last.bias is not None:
            last.bias.div_(temperature)


def _begin_weights(
    network: SlideNetwork, slides: Slides, cohort: Cohort, recipe: Recipe, folder: RunFolder
) -> None:  # fmt: skip
    """Set what is taken from the training slides: the spread of colours, and LSUV's scales."""
    if recipe.start_from:
        return
    rows = cohort.of_split("train").rows
    order = np.random.default_rng([recipe.seed, 2]).permutation(len(rows))
    chosen = [rows[i] for i in order]
    spread = colour_spread((slides.view(row) for row in chosen[: recipe.normalisation_slides]), recipe.seed)
    with torch.no_grad():
        network.model.normalise.scale.copy_(1 / torch.tensor(spread).reshape(-1, 1, 1))
    folder.log("normalisation", {"spread": spread})
    if recipe.initialisation == "lsuv":
        some = chosen[: recipe.initialisation_slides]
        network.train()
        before = unit_variance(network.features, lambda: (slides.drawn(row, 0) for row in some), recipe.memory)
        folder.log("lsuv", {"deviations_before": before})


def _own_device(device: str) -> str:
    """Return torch's name of the device of this process."""
    import os

    if device in ("auto", "cuda") and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return find_device(device).key


def _name_of(output: Path) -> str:
    """Return a model's name from its run's folder: letters, digits, space, '.', '_' and '-'."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "-" for c in output.resolve().name)[:100]
    return name if name and name[0].isalnum() else f"run{name[:97]}"
