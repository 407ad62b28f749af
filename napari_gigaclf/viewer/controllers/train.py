"""Decides what happens when a person checks a table, trains, stops, resumes or closes; without a window.

    no table -> checking -> refused / ready -> training -> (stopping) -> ready

Every request has a generation: an answer of an older one, or of a widget that was closed, is dropped. A check and a run
share the long worker (a run needs the check's answer); the look at the run's folder is the quick one's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.controllers.seldom import seldom
from napari_gigaclf.viewer.controllers.train_jobs import RunLook, check_table, look_at_run, run_training
from napari_gigaclf.viewer.controllers.train_wishes import TrainWishes
from napari_gigaclf.viewer.train_texts import look_text, result_text, stopped_text
from napari_gigaclf.viewer.worker import Job, Post, Worker

if TYPE_CHECKING:
    from napari_gigaclf.training.cohort import Cohort, CohortReport
    from napari_gigaclf.training.slides import Epoch, TrainResult

REFRESH_SECONDS = 0.5
"""Least time between two reports of progress: each costs a new layout."""


class TrainState(Enum):
    """What the controller is doing."""

    NO_TABLE = "no table"
    CHECKING = "checking"
    REFUSED = "refused"
    READY = "ready"
    TRAINING = "training"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a person can do now."""

    state: TrainState
    can_train: bool = False
    can_resume: bool = False
    note: str = ""
    """What is missing, or what there is to go on with."""

    @property
    def busy(self) -> bool:
        """Whether something runs that can be stopped."""
        return self.state in (TrainState.CHECKING, TrainState.TRAINING)


class TrainView(Protocol):
    """What the controller asks of the widget; all calls come on the GUI thread."""

    def show_offer(self, offer: Offer) -> None:
        """Enable and disable what fits the state."""
        ...

    def show_report(self, report: "CohortReport | None") -> None:
        """Show what a check found; None: nothing is known yet."""
        ...

    def show_run(self, look: RunLook) -> None:
        """Show with which recipe and table the run in the chosen folder was made."""
        ...

    def show_progress(self, progress: Progress) -> None:
        """Show how far the check or the run is."""
        ...

    def show_epochs(self, epochs: "Sequence[Epoch]") -> None:
        """Show what was learnt so far."""
        ...

    def show_outcome(self, text: str) -> None:
        """Show how the last thing ended, or why it could not be done."""
        ...

    def show_model(self, folder: Path, *, finished: bool) -> None:
        """Make a model folder that was written (anew) known; ``finished``: no better one will follow."""
        ...


class TrainController:
    """Checks and trains for a widget, one thing at a time.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    quick, long
        Workers for looks and for checks and runs.
    post
        Carries calls to the GUI thread.
    """

    def __init__(self, view: TrainView, *, quick: Worker, long: Worker, post: Post) -> None:
        self._view = view
        self._quick = quick
        self._long = long
        self._post = post
        self.wishes = TrainWishes()
        self.report: CohortReport | None = None
        self.look: RunLook | None = None
        self.epochs: list[Epoch] = []
        self._stopping = False
        self._check_generation = 0
        self._check_job: Job[CohortReport] | None = None
        self._look_generation = 0
        self._wanted: bool | None = None
        """A start that waits for the look at the folder: whether it is to resume."""
        self._run_generation = 0
        self._run_job: Job[TrainResult] | None = None
        self._run_folder: Path | None = None

    @property
    def training(self) -> bool:
        """True from Train to the answer, also while it is being stopped."""
        return self._run_job is not None

    @property
    def state(self) -> TrainState:
        """What the controller is doing."""
        if self.training:
            return TrainState.STOPPING if self._stopping else TrainState.TRAINING
        if self._check_job is not None:
            return TrainState.CHECKING
        if self.wishes.table is None:
            return TrainState.NO_TABLE
        return TrainState.READY if self._cohort() is not None else TrainState.REFUSED

    # --- wishes -----------------------------------------------------------------------------------------------------

    def choose(self, wishes: TrainWishes) -> None:
        """Take what is chosen in the widget now; another table is checked, another folder looked at."""
        if self.training:
            return
        before, self.wishes = self.wishes, wishes
        if wishes.output != before.output:
            self.look_again(fill=True)
        if wishes.table != before.table:
            self.check()
        else:
            self._tell()

    def check(self) -> None:
        """Check the chosen table and its slides anew."""
        if self.training:
            return
        self._drop_check()
        self.report = None
        self._view.show_report(None)
        generation, table = self._check_generation, self.wishes.table
        if table is not None:
            report = self._reporter(lambda: generation == self._check_generation)
            self._check_job = self._long.submit(
                lambda job: check_table(table, report, job),
                done=lambda found: self._checked(generation, found),
                failed=lambda text: self._check_failed(generation, text),
            )
        self._tell()

    def train(self, *, resume: bool) -> None:
        """Begin a run, or go on with the one in the folder."""
        cohort, wishes = self._cohort(), self.wishes
        if self.training or cohort is None or wishes.output is None:
            return
        if self.look is None:
            self._wanted = resume
            return
        if self.look.has_run != resume:
            return
        self._drop_check()
        self._run_generation += 1
        generation = self._run_generation
        self._stopping, self._run_folder = False, wishes.output
        self.epochs = list(self.look.epochs) if resume else []
        self._view.show_epochs(self.epochs)
        self._view.show_outcome("")
        self._run_job = self._long.submit(
            lambda job: self._work(job, generation, wishes, cohort, resume),
            done=lambda result: self._trained(generation, result),
            failed=lambda text: self._run_failed(generation, text),
        )
        self._tell()

    def stop(self) -> None:
        """Ask the run or the check to stop; what was learnt so far stays."""
        if self._run_job is not None:
            self._stopping = True
            self._run_job.cancel()
        elif self._check_job is not None:
            self._check_job.cancel()
        self._tell()

    def look_again(self, *, fill: bool) -> None:
        """Look into the chosen folder.

        Parameters
        ----------
        fill
            Whether the widget is to show the recipe of a run that is there.
        """
        self._look_generation += 1
        generation, folder = self._look_generation, self.wishes.output
        self.look, self._wanted = None, None
        if folder is None:
            return
        self._quick.submit(
            lambda _job: look_at_run(folder),
            done=lambda look: self._looked(generation, look, fill=fill),
            failed=lambda text: self._look_failed(generation, text),
        )

    def close(self) -> bool:
        """Stop everything, drop what is still to come, and wait for the workers; True if they ended in time."""
        self._drop_check()
        self._look_generation += 1
        self._run_generation += 1
        self._quick.cancel_all()
        self._long.cancel_all()
        ended = self._quick.close()
        return self._long.close() and ended

    # --- on the worker ----------------------------------------------------------------------------------------------

    def _work(
        self, job: "Job[Any]", generation: int, wishes: TrainWishes, cohort: "Cohort", resume: bool
    ) -> "TrainResult":  # fmt: skip
        """Train on the long worker; what happens on the way is posted to the window."""
        return run_training(
            wishes, cohort, resume=resume, cancel=job,
            progress=self._reporter(lambda: generation == self._run_generation),
            on_epoch=lambda epoch: self._post(lambda: self._epoch_done(generation, epoch)),
        )  # fmt: skip

    def _reporter(self, is_wanted: Callable[[], bool]) -> Callable[[Progress], object]:
        """Return what posts progress to the window, for as long as it is wanted."""

        def show(progress: Progress) -> None:
            if is_wanted():
                self._view.show_progress(progress)

        return seldom(lambda progress: self._post(lambda: show(progress)), lambda: REFRESH_SECONDS)

    # --- answers, on the GUI thread ---------------------------------------------------------------------------------

    def _checked(self, generation: int, report: "CohortReport") -> None:
        if generation == self._check_generation:
            self._check_job = None
            self.report = report
            self._view.show_report(report)
            self._tell()

    def _check_failed(self, generation: int, text: str) -> None:
        if generation == self._check_generation:
            self._check_job = None
            self._view.show_outcome(text or "The check was stopped; Check begins it anew.")
            self._tell()

    def _looked(self, generation: int, look: RunLook, *, fill: bool) -> None:
        if generation != self._look_generation or self.training:
            return
        self.look = look
        if fill or look.epochs:
            self.epochs = list(look.epochs)
            self._view.show_epochs(self.epochs)
        wanted, self._wanted = self._wanted, None
        if fill:
            self._view.show_run(look)
        self._tell()
        if wanted is not None:
            self.train(resume=wanted)

    def _look_failed(self, generation: int, text: str) -> None:
        if generation == self._look_generation:
            self._view.show_outcome(text)
            self._tell()

    def _epoch_done(self, generation: int, epoch: "Epoch") -> None:
        if generation != self._run_generation or self._run_folder is None:
            return
        self.epochs = [one for one in self.epochs if one.number < epoch.number] + [epoch]
        self._view.show_epochs(self.epochs)
        if epoch.is_best:
            self._view.show_model(self._run_folder / "model", finished=False)

    def _trained(self, generation: int, result: "TrainResult") -> None:
        if generation == self._run_generation:
            self._end_run(result_text(result))
            self._view.show_model(result.model, finished=True)

    def _run_failed(self, generation: int, text: str) -> None:
        if generation == self._run_generation:
            self._end_run(text or stopped_text(self.epochs))

    def _end_run(self, text: str) -> None:
        self._run_job = None
        self._stopping = False
        self._view.show_outcome(text)
        self.look_again(fill=False)
        self._tell()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _drop_check(self) -> None:
        """Let no answer of a check through."""
        self._check_generation += 1
        if self._check_job is not None:
            self._check_job.cancel()
            self._check_job = None

    def _cohort(self) -> "Cohort | None":
        """Return the slides to train on; None while they are not known to be in order."""
        report = self.report
        if report is None or report.stopping(leave_out=self.wishes.leaves_out):
            return None
        return report.cohort

    def _tell(self) -> None:
        """Tell the view what can be done now."""
        state = self.state
        is_ready = state is TrainState.READY and self.look is not None and self.wishes.base is not None
        has_run = self.look is not None and self.look.has_run
        self._view.show_offer(
            Offer(
                state=state,
                can_train=is_ready and not has_run,
                can_resume=is_ready and has_run,
                note=self._missing(state),
            )
        )

    def _missing(self, state: TrainState) -> str:
        """Return what is still to be done before a run, or what there is to go on with."""
        if state is TrainState.NO_TABLE:
            return "Choose a table of slides (CSV or Parquet), or drop one here."
        if state is TrainState.REFUSED:
            if self.report is None:
                return "Check the table before training."
            return "The errors above stop a run: correct the table, then press Check."
        if state is TrainState.READY:
            if self.wishes.output is None:
                return "Choose an output folder for the run."
            return "" if self.look is None else look_text(self.look, self.wishes.epochs)
        return ""
