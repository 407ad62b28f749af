"""The folder of a run: everything that says what was done, on what, and what came of it.

recipe.json   cohort.csv   record.json     what was asked for, on which slides, with which versions
log.jsonl     tensorboard/                 what happened, step by step
state/                                     where it stands (see ``state``)
model/                                     the best model so far, as any model folder
"""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_gigaclf import __version__
from napari_gigaclf.errors import OutputError
from napari_gigaclf.training.cohort import Cohort, write_cohort
from napari_gigaclf.training.slides.recipe import Recipe, dump_recipe
from napari_gigaclf.writing import check_writable, reason_of, replacing

RECIPE_NAME = "recipe.json"
LOG_NAME = "log.jsonl"
MODEL_NAME = "model"


def run_key(recipe: Recipe, cohort: Cohort) -> str:
    """Return what a state belongs to: a digest of recipe and cohort, but for how long and with how much memory."""
    settings = json.loads(dump_recipe(recipe))
    for free in ("epochs", "memory", "patience"):
        del settings[free]
    rows = [
        (row.number, str(row.slide.resolve()), row.labels, row.score, row.split, row.um_per_px) for row in cohort.rows
    ]
    text = json.dumps([settings, cohort.task, cohort.classes, rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class RunFolder:
    """A run's folder, and its log.

    Parameters
    ----------
    path
        The folder.
    writes
        Whether this process writes; of several, only one does.
    """

    path: Path
    writes: bool = True

    @property
    def model(self) -> Path:
        """Where the best model is."""
        return self.path / MODEL_NAME

    def begin(self, recipe: Recipe, cohort: Cohort) -> None:
        """Write what the run is.

        Raises
        ------
        OutputError
            If the folder cannot be written to.
        """
        if not self.writes:
            return
        check_writable(self.path)
        with replacing(self.path / RECIPE_NAME) as beside:
            beside.write_text(dump_recipe(recipe), encoding="utf-8")
        write_cohort(cohort, self.path / "cohort.csv")
        record = {
            "napari_gigaclf": __version__,
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in ("torch", "numpy", "tifffile", "zarr", "imagecodecs")},
            "platform": platform.platform(),
            "began": _now(),
            "command": sys.argv,
            "cohort": {"table": str(cohort.table), "sha256": cohort.sha256, "slides": len(cohort)},
        }
        with replacing(self.path / "record.json") as beside:
            beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def log(self, what: str, values: Mapping[str, Any]) -> None:
        """Append a line to the log: a JSON object with the time and what it is about.

        Raises
        ------
        OutputError
            If the disk is full, or the file cannot be written.
        """
        if not self.writes:
            return
        line = json.dumps({"time": _now(), "what": what, **values}, allow_nan=False)
        try:
            with (self.path / LOG_NAME).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise OutputError(f"{self.path / LOG_NAME}: cannot be written: {reason_of(error)}") from error


class Board:
    """TensorBoard's log of a run, where the library is installed."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._writer: Any = None
        if writes:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add figures at a step of the optimiser."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
