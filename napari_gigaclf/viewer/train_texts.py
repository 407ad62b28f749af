"""The sentences of the Train widget: what a check found, epochs, how a run ended."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_gigaclf.progress import Progress
from napari_gigaclf.viewer.texts import RESEARCH_USE, count_text, problem_text

if TYPE_CHECKING:
    from napari_gigaclf.training.cohort import CohortReport
    from napari_gigaclf.training.slides import Epoch, TrainResult
    from napari_gigaclf.viewer.controllers.train_jobs import RunLook

FIGURES = {"loss": "loss", "auc": "AUC", "spearman": "Spearman", "temperature": "temperature"}
"""How figures on the tuning slides are called."""
DIVIDED = "The table divides nothing: 70 % of the patients will train, 15 % tune and 15 % test."

_ENLARGING = r"to enlarge it all the same give um_per_px=.*$"
"""What ``classify`` advises for a slide that is too coarse."""


def training_problem_text(text: str) -> str:
    """Return an error in the words of the Train widget."""
    advice = "choose a larger Scale, no finer than the slides, or leave such slides out"
    return problem_text(re.sub(_ENLARGING, advice, text))


def learns_no_more(progress: Progress) -> bool:
    """Return whether a run has learnt from all slides: it still looks at the tuning slides, which is not counted."""
    return progress.phase.startswith("epoch") and progress.done >= progress.total


def figures_text(figures: dict[str, float]) -> str:
    """Return figures in one line.

    Examples
    --------
    >>> figures_text({"loss": 0.5, "auc": 0.9})
    'loss 0.5000, AUC 0.9000'
    """
    return ", ".join(f"{FIGURES.get(name, name)} {value:.4f}" for name, value in figures.items())


def counts_text(report: "CohortReport") -> str:
    """Return the slides per split and class, one line per split, and how many problems there are."""
    lines = [
        f"{split}: {', '.join(f'{number} {name}' for name, number in of_split.items())}"
        for split, of_split in report.counts.items()
    ]
    errors, warnings = len(report.errors), len(report.warnings)
    found = f"{count_text(errors, 'error')}, {count_text(warnings, 'warning')}"
    return "\n".join([*lines, "No problems found." if not report.problems else f"{found}:"])


def problem_lines(report: "CohortReport") -> list[str]:
    """Return one line per problem, errors first."""
    return [str(problem) for problem in (*report.errors, *report.warnings)]


def best_number(epochs: "Sequence[Epoch]") -> int:
    """Return the number of the best epoch, which is the last that was better than those before; 0: none."""
    return max((epoch.number for epoch in epochs if epoch.is_best), default=0)


def epoch_lines(epochs: "Sequence[Epoch]") -> list[str]:
    """Return one line per epoch, the best one marked."""
    best = best_number(epochs)
    return [
        f"epoch {epoch.number}{' (best)' if epoch.number == best else ''}: loss {epoch.train_loss:.4f}; "
        f"tuning: {figures_text(epoch.tuning) or 'no slides'}"
        for epoch in epochs
    ]


def look_text(look: "RunLook", wanted: int) -> str:
    """Return what there is to go on with in a folder; nothing where there is none.

    Parameters
    ----------
    look
        At the folder.
    wanted
        Epochs that are asked for.
    """
    if not look.has_run:
        return ""
    done = len(look.epochs)
    if 0 < wanted <= done:
        found = f"The run in this folder is done ({count_text(done, 'epoch')})."
        return f"{found} With more Epochs, Resume goes on with it."
    found = f"A run with {count_text(done, 'finished epoch')} is in this folder."
    return f"{found} Resume goes on with it; for a new run choose another folder."


def stopped_text(epochs: "Sequence[Epoch]") -> str:
    """Return that a run was stopped, and what there is of it."""
    best = best_number(epochs)
    model = f", and the model of epoch {best}" if best else ""
    return (
        f"Stopped after {count_text(len(epochs), 'finished epoch')}. What was learnt is kept, but for the mini-batch "
        f"it was at{model}. Resume goes on from there."
    )


def result_text(result: "TrainResult") -> str:
    """Return what a run came to."""
    figures = f"; {figures_text(result.figures)}" if result.figures else ""
    lines = [f"Done. Best: epoch {result.best_epoch} of {result.epochs}{figures}.", f"Model: {result.model}"]
    lines += [f"left out: {text}" for text in result.left_out]
    return "\n".join([*lines, RESEARCH_USE])
