"""What tests ask of a run's folder: its log, its losses, its weights; and of a report, which problems it has."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from napari_gigaclf.training.cohort import Report


def kinds(report: "Report") -> list[str]:
    """Return the kinds of all problems of a report, in order."""
    return [problem.kind for problem in report.problems]


def lines_of(run: Path) -> list[dict[str, Any]]:
    """Return the log of a run, line by line."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def losses_of(run: Path) -> list[float]:
    """Return the loss of each step of a run."""
    return [line["loss"] for line in lines_of(run) if line["what"] == "step"]


def weights_of(run: Path) -> "dict[str, Tensor]":
    """Return the weights and statistics of a run's model."""
    from napari_gigaclf.models import load_model

    return load_model(run / "model").state_dict()


def assert_same_weights(one: Path, other: Path) -> None:
    """Compare the models of two runs to the last bit."""
    from torch import equal

    others = weights_of(other)
    for name, value in weights_of(one).items():
        assert equal(value, others[name]), name
