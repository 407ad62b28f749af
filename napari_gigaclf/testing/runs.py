"""What tests ask of a run's folder (log, losses, weights) and of a report (its problems); runs in two processes."""

import json
import os
import subprocess
import sys
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


def run_in_two_processes(*arguments: str) -> str:
    """Run ``napari-gigaclf`` in two processes by ``torchrun``, one thread each; return what they wrote to stdout."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
    command += ["-m", "napari_gigaclf", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
