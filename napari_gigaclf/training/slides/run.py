"""A run, epoch by epoch: mini-batches, steps, the look at the tuning slides, the best model, the state."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.evaluation import best_softmax_temperature
from napari_gigaclf.training.slides.best import BestModel, divide_logits
from napari_gigaclf.training.slides.epoch import Epoch
from napari_gigaclf.training.slides.recipe import Recipe
from napari_gigaclf.training.slides.run_folder import Board, RunFolder
from napari_gigaclf.training.slides.state import Counters, save_state
from napari_gigaclf.training.slides.step import Stepper, StepResult
from napari_gigaclf.training.slides.tuning import Tuning, joined, tune

SAVE_SECONDS = 300.0
"""A state is written at least this often, between steps."""


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that is set up."""

    cohort: Cohort
    recipe: Recipe
    folder: RunFolder
    board: Board
    stepper: Stepper
    counters: Counters
    key: str
    progress: ProgressCallback | None = None
    cancel: CancelToken | None = None
    on_epoch: Callable[[Epoch], object] | None = None
    _start: float = field(default_factory=time.perf_counter)
    """When seconds were last added to the counters."""
    _began: float = field(default_factory=time.perf_counter)
    _done: int = 0
    """Slides that this part of the run has learnt from."""
    _first_epoch: int = field(init=False)

    def __post_init__(self) -> None:
        self._first_epoch = self.counters.epoch

    def go(self) -> None:
        """Run the epochs that are left."""
        counters, recipe = self.counters, self.recipe
        self.stepper.on_slide = self._tell
        while not counters.finished and counters.epoch < recipe.epochs:
            self._epoch()
            stale = counters.epoch - counters.best_epoch
            counters.finished = recipe.patience is not None and stale >= recipe.patience
            self.save()

    def _epoch(self) -> None:
        """Run what is left of an epoch."""
        counters = self.counters
        for batch in self._batches(counters.epoch)[counters.batch :]:
            left_out = {text.split(": ", 1)[0] for text in counters.left_out}
            present = [row for row in batch if row.name not in left_out]
            for group in self.stepper.optimiser.param_groups:
                group["lr"] = self._learning_rate()
            if present:
                self._note(self.stepper.step(present, counters.epoch, self.cancel))
            counters.batch += 1
            if time.perf_counter() - self._start > SAVE_SECONDS:
                self.save()
        tuning = self._tuned()
        counters.epoch, counters.batch = counters.epoch + 1, 0
        self._end_epoch(tuning)

    def _end_epoch(self, tuning: Tuning | None) -> None:
        """Keep the model if it is the best, and tell of the epoch."""
        counters = self.counters
        figures = {} if tuning is None else tuning.figures
        epoch = Epoch(
            number=counters.epoch,
            train_loss=counters.loss_sum / max(counters.loss_count, 1),
            tuning=figures,
            is_best=self._judge(tuning),
            seconds=counters.seconds + time.perf_counter() - self._start,
        )
        counters.loss_sum, counters.loss_count = 0.0, 0
        self.folder.log("epoch", dataclasses.asdict(epoch))
        named = {f"tune/{name}": value for name, value in figures.items()}
        self.board.add({"train/epoch_loss": epoch.train_loss, **named}, counters.step)
        if self.on_epoch is not None and self.folder.writes:
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

    def _note(self, result: StepResult) -> None:
        """Count and log a step."""
        counters = self.counters
        parts = self.stepper.workers.gathered((result.losses, result.left_out))
        losses = [loss for part in parts for loss in part[0]]
        left_out = [text for part in parts for text in part[1]]
        values = {
            "loss": sum(losses) / len(losses),
            "learning_rate": self._learning_rate(),
            "gradient_norm": result.gradient_norm,
        }
        counters.step += 1
        counters.loss_sum += sum(losses)
        counters.loss_count += len(losses)
        counters.left_out += left_out
        self.folder.log("step", {"step": counters.step, "epoch": counters.epoch + 1, **values})
        for text in left_out:
            self.folder.log("left out", {"slide": text})
        self.board.add({f"train/{name}": value for name, value in values.items()}, counters.step)

    def _tuned(self) -> Tuning | None:
        """Return the logits of the tuning slides; None where there are none."""
        cohort, stepper = self.cohort.of_split("tune"), self.stepper
        if not len(cohort):
            return None
        rows = stepper.workers.share(cohort.rows)
        part = tune(stepper.network, stepper.slides, rows, stepper.loss, self.cancel)
        found = joined(cohort, stepper.workers.gathered(part))
        if not np.isfinite(found.losses).all():
            name = found.cohort.rows[int(np.flatnonzero(~np.isfinite(found.losses))[0])].name
            raise TrainingError(f"epoch {self.counters.epoch + 1}: the loss of tuning slide {name} is not finite")
        return found

    def _judge(self, tuning: Tuning | None) -> bool:
        """Keep the model if it is the best so far; without tuning slides the latest one is."""
        counters = self.counters
        rank = None if tuning is None else tuning.rank(self.recipe.select_by)
        if rank is not None and counters.best is not None and rank <= counters.best:
            return False
        counters.best, counters.best_epoch = rank, counters.epoch
        figures = {} if tuning is None else tuning.figures
        self._best.write(self.stepper.network.model, counters.epoch, figures)
        return True

    @property
    def _best(self) -> BestModel:
        return BestModel(folder=self.folder, cohort=self.cohort)

    def calibrated(self) -> dict[str, float]:
        """Fit the best model's temperature on the tuning slides, put it into its last layer, and return its figures.

        Of a model that is calibrated already it comes out as 1.
        """
        network, workers = self.stepper.network, self.stepper.workers
        workers.wait()
        network.model.load_state_dict(self._best.read(network.device).state_dict())
        tuning = self._tuned()
        if tuning is None:
            return {}
        if not self.recipe.calibrate or self.cohort.task != "classification":
            return tuning.figures
        temperature = best_softmax_temperature(tuning.logits, tuning.cohort.targets)
        divide_logits(network.model.head, temperature)
        self._best.write(network.model, self.counters.best_epoch, tuning.figures, temperature)
        return {**tuning.figures, "temperature": temperature}

    def save(self) -> None:
        """Write the state.

        Raises
        ------
        OutputError
            If it cannot be written; the one before stays.
        """
        now = time.perf_counter()
        self.counters.seconds += now - self._start
        self._start = now
        if self.folder.writes:
            save_state(
                self.folder.path, self.stepper.network.model, self.stepper.optimiser, self.counters, self.key
            )  # fmt: skip

    def _tell(self, row: CohortRow) -> None:
        """Report a slide."""
        workers, recipe = self.stepper.workers, self.recipe
        self._done += workers.count
        if self.progress is None or not workers.is_first:
            return
        per_epoch = len(self.cohort.of_split("train"))
        before = self._first_epoch * per_epoch
        total = recipe.epochs * per_epoch
        self.progress(
            Progress(
                done=min(self._done, total - before),
                total=total - before,
                unit="slide",
                phase=f"epochs {self._first_epoch + 1} to {recipe.epochs}",
                seconds=time.perf_counter() - self._began,
            )
        )

    def close(self) -> None:
        """Let go of slides and logs."""
        self.stepper.slides.close()
        self.board.close()
