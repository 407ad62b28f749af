"""A run, epoch by epoch: mini-batches, steps, the look at what is kept aside, the best model, the state."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from napari_gigaclf.errors import TrainingError
from napari_gigaclf.progress import CancelToken, Progress, ProgressCallback
from napari_gigaclf.training.cohort import Cohort
from napari_gigaclf.training.evaluation import best_softmax_temperature
from napari_gigaclf.training.runs.best import BestModel, divide_logits
from napari_gigaclf.training.runs.epoch import Epoch
from napari_gigaclf.training.runs.folder import Board, RunFolder
from napari_gigaclf.training.runs.learner import Learner, StepResult
from napari_gigaclf.training.runs.state import Counters, save_state
from napari_gigaclf.training.runs.tuning import Tuning

SAVE_SECONDS = 300.0
"""A state is written at least this often, between steps."""


class RunRecipe(Protocol):
    """What a recipe says about the run as such."""

    @property
    def epochs(self) -> int:
        """How many."""

    @property
    def patience(self) -> int | None:
        """Epochs without a better one after which training stops; None: never."""

    @property
    def select_by(self) -> Literal["loss", "auc"]:
        """What makes an epoch the best."""

    @property
    def calibrate(self) -> bool:
        """Whether the best model's temperature is fitted."""


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that is set up."""

    cohort: Cohort
    """Slides or tiles; those of split "train" are learnt from."""
    recipe: RunRecipe
    folder: RunFolder
    board: Board
    learner: Learner
    best: BestModel
    counters: Counters
    key: str
    progress: ProgressCallback | None = None
    cancel: CancelToken | None = None
    on_epoch: Callable[[Epoch], object] | None = None
    _start: float = field(default_factory=time.perf_counter)
    """When seconds were last added to the counters."""
    _began: float = field(default_factory=time.perf_counter)
    _torn: bool = False
    """Whether weights, counters and best model do not belong together: one of them is being changed."""
    _done: int = 0
    """Slides or tiles that this part of the run has learnt from."""
    _first_epoch: int = field(init=False)
    _ahead: int = field(init=False)
    """Slides or tiles that this part of the run has before it."""

    def __post_init__(self) -> None:
        counters, batches = self.counters, self.learner.batches(self.counters.epoch)
        self._first_epoch = counters.epoch
        per_epoch = sum(map(len, batches))
        self._ahead = (self.recipe.epochs - counters.epoch) * per_epoch - sum(map(len, batches[: counters.batch]))

    def go(self) -> None:
        """Run the epochs that are left."""
        counters, recipe = self.counters, self.recipe
        while not counters.finished and counters.epoch < recipe.epochs:
            self._steps()
            tuning = self._tuned()
            self._torn = True
            epoch = self._ended(tuning)
            stale = counters.epoch - counters.best_epoch
            counters.finished = recipe.patience is not None and stale >= recipe.patience
            self._torn = False
            self.save()
            if self.on_epoch is not None and self.folder.writes:
                self.on_epoch(epoch)

    def _steps(self) -> None:
        """Learn from the mini-batches that are left of an epoch."""
        counters = self.counters
        for batch in self.learner.batches(counters.epoch)[counters.batch :]:
            left_out = {text.split(": ", 1)[0] for text in counters.left_out}
            present = [row for row in batch if row.name not in left_out]
            for group in self.learner.optimiser.param_groups:
                group["lr"] = self.learner.learning_rate(counters)
            if present:
                result = self.learner.gradient(present, counters.epoch, self._tell, self.cancel)
                self._torn = True
                self.learner.step()
                self._note(result)
            counters.batch += 1
            self._torn = False
            if time.perf_counter() - self._start > SAVE_SECONDS:
                self.save()

    def _ended(self, tuning: Tuning | None) -> Epoch:
        """Keep the model if it is the best, and return what the epoch came to."""
        counters = self.counters
        counters.epoch, counters.batch = counters.epoch + 1, 0
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
        return epoch

    def _note(self, result: StepResult) -> None:
        """Count and log a step."""
        counters = self.counters
        parts = self.learner.workers.gathered((result.losses, result.left_out))
        losses = [loss for part in parts for loss in part[0]]
        left_out = [text for part in parts for text in part[1]]
        values = {
            "loss": sum(losses) / len(losses),
            "learning_rate": self.learner.learning_rate(counters),
            "gradient_norm": result.gradient_norm,
        }
        counters.step += 1
        counters.loss_sum += sum(losses)
        counters.loss_count += len(losses)
        counters.left_out += left_out
        self.folder.log("step", {"step": counters.step, "epoch": counters.epoch + 1, **values})
        for text in left_out:
            self.folder.log("left out", {self.learner.unit: text})
        self.board.add({f"train/{name}": value for name, value in values.items()}, counters.step)

    def _tuned(self) -> Tuning | None:
        """Return the logits of what is kept aside; None where there is nothing."""
        found = self.learner.tuned(self.cancel)
        if found is not None and found.first_bad is not None:
            what = f"{self.learner.unit} {found.first_bad}"
            raise TrainingError(f"epoch {self.counters.epoch + 1}: the loss of tuning {what} is not finite")
        return found

    def _judge(self, tuning: Tuning | None) -> bool:
        """Keep the model if it is the best so far; without anything kept aside the latest one is."""
        counters = self.counters
        rank = None if tuning is None else tuning.rank(self.recipe.select_by)
        if rank is not None and counters.best is not None and rank <= counters.best:
            return False
        counters.best, counters.best_epoch = rank, counters.epoch
        figures = {} if tuning is None else tuning.figures
        self.best.write(self.learner.model, counters.epoch, figures)
        return True

    def calibrated(self) -> dict[str, float]:
        """Fit the best model's temperature on what is kept aside, put it into its last layer, and return its figures.

        Of a model that is calibrated already it comes out as 1. Where every tuning slide or tile is answered rightly no
        temperature is the best (the colder, the better), and the model is left as it is.
        """
        learner = self.learner
        learner.workers.wait()
        learner.model.load_state_dict(self.best.read(learner.device).state_dict())
        tuning = self._tuned()
        if tuning is None:
            return {}
        if not self.recipe.calibrate or self.cohort.task != "classification":
            return tuning.figures
        if (tuning.logits.argmax(axis=1) == tuning.cohort.targets).all():
            return {**tuning.figures, "temperature": 1.0}
        temperature = best_softmax_temperature(tuning.logits, tuning.cohort.targets)
        divide_logits(learner.model.head, temperature)
        self.best.write(learner.model, self.counters.best_epoch, tuning.figures, temperature)
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
            save_state(self.folder.path, self.learner.kept, self.learner.optimiser, self.counters, self.key)

    def keep(self) -> None:
        """Write the state of a run that breaks off, unless it broke within a change: the state before then stays.

        Raises
        ------
        OutputError
            If it cannot be written; the one before stays.
        """
        if not self._torn:
            self.save()

    def _tell(self, count: int) -> None:
        """Report so many more slides or tiles."""
        self._done += count
        if self.progress is None or not self.learner.workers.is_first:
            return
        counters, total = self.counters, max(self._ahead, 0)
        self.progress(
            Progress(
                done=min(self._done, total),
                total=total,
                unit=self.learner.unit,
                phase=f"epochs {self._first_epoch + 1} to {self.recipe.epochs}",
                seconds=time.perf_counter() - self._began,
                note=f"loss {counters.loss_sum / counters.loss_count:.4f}" if counters.loss_count else "",
            )
        )

    def close(self) -> None:
        """Let go of files and logs."""
        self.learner.close()
        self.board.close()
