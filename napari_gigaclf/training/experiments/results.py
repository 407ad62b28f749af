"""What an arm said of every test slide, as one JSON file per experiment, arm and seed."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.models.records import ConfigError, parse
from napari_gigaclf.training.evaluation.ranking import auc, spearman
from napari_gigaclf.training.mosaics import SlidePlan
from napari_gigaclf.writing import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Slides with what an arm said of them; N slides."""

    groups: tuple[str, ...]
    """Of twins the same."""
    labels: tuple[float, ...]
    """1 or 0; of regressions the share of tumour."""
    scores: tuple[float, ...]

    @property
    def is_regression(self) -> bool:
        """True if labels are shares."""
        return not set(self.labels) <= {0, 1}

    @property
    def figure(self) -> float:
        """AUC, or of regressions Spearman's rho."""
        return spearman(self.scores, self.labels) if self.is_regression else self.auc

    @property
    def auc(self) -> float:
        """Area under the ROC curve."""
        return auc(self.scores, self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an arm with one seed."""

    experiment: str
    arm: str
    seed: int
    key: str
    """Digest of everything it depends on."""
    test: Scored
    rebuilt: tuple[Scored, ...]
    train_losses: tuple[float, ...] = ()
    """By epoch."""
    tune_aucs: tuple[float, ...] = ()
    """Before training, then by epoch."""
    streamed_difference: float | None = None
    """Largest difference between the score from the kept map and that of streaming the whole network."""
    seconds: float = 0.0
    """Processor time of this arm; the first that needs them makes the maps of all."""
    date: str = ""


def scored(plans: Sequence[SlidePlan], scores: NDArray[np.float64], *, shares: bool = False) -> Scored:
    """Return slides with their scores; with ``shares`` what is to be told is the share of tumour."""
    return Scored(
        groups=tuple(plan.group for plan in plans),
        labels=tuple(float(plan.score if shares else plan.label) for plan in plans),
        scores=tuple(scores.tolist()),
    )


def result_path(folder: Path, experiment: str, arm: str, seed: int) -> Path:
    """Return where a result lies."""
    return folder / "results" / f"{experiment}, {arm}, {seed}.json"


def tiles_of(experiment: str) -> str:
    """Return the name under which an experiment's figures of single tiles lie."""
    return f"{experiment}, tiles"


def write_result(path: Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(dataclasses.asdict(result), allow_nan=False) + "\n", encoding="utf-8")


def read_result(path: Path) -> Result:
    """Read a result.

    Raises
    ------
    CohortError
        It is none.
    """
    try:
        found = parse(Result, json.loads(path.read_text(encoding="utf-8")), "result")
    except (OSError, ValueError, ConfigError) as error:
        raise CohortError(f"{path}: no result of an experiment ({error}); remove it and run again") from error
    assert isinstance(found, Result)
    return found


def read_results(folder: Path, experiment: str) -> list[Result]:
    """Return all results of an experiment, by name of the arm and seed."""
    found = [read_result(path) for path in sorted((folder / "results").glob("*.json"))]
    return sorted((one for one in found if one.experiment == experiment), key=lambda one: (one.arm, one.seed))


def results_by_arm(folder: Path, experiment: str) -> dict[str, list[Result]]:
    """Return an experiment's results, one per seed, by the name of the arm."""
    found = groupby(read_results(folder, experiment), key=lambda one: one.arm)
    return {arm: list(results) for arm, results in found}
