"""The folder of a run: everything that says what was done, on what, and what came of it.

recipe.json   record.json                  what was asked for, with which versions
cohort.csv or tiles.csv                    on which slides or tiles
log.jsonl     tensorboard/                 what happened, step by step
state/                                     where it stands (see ``state``)
model/                                     the best model so far, as any model folder
"""

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_gigaclf import __version__
from napari_gigaclf.errors import CohortError, OutputError
from napari_gigaclf.writing import check_writable, reason_of, replacing

RECIPE_NAME = "recipe.json"
LOG_NAME = "log.jsonl"
MODEL_NAME = "model"
STATE_NAME = "state"
COUNTERS_NAME = "counters.json"
"""In a state: what is kept beside the tensors."""
RECORD_NAME = "record.json"
WRITTEN = (RECIPE_NAME, RECORD_NAME, LOG_NAME, STATE_NAME, MODEL_NAME)
"""What every run writes."""


def refuse_others(folder: Path, names: Iterable[str], source: Path) -> None:
    """Refuse a folder in which a run would overwrite what no run wrote.

    Parameters
    ----------
    folder
        Of the run.
    names
        What it would write there.
    source
        What it learns from.

    Raises
    ------
    CohortError
        If what it learns from is, or lies in, one of these names, or one of them is there while no run is.
    """
    learnt_from = source.resolve()
    places = [folder / name for name in names]
    for place in places:
        if learnt_from.is_relative_to(place.resolve()):
            raise CohortError(f"{source}: the run would overwrite what it learns from; give another folder")
    if (folder / RECIPE_NAME).exists() or (folder / STATE_NAME / COUNTERS_NAME).exists():
        return
    for place in places:
        if place.exists() or place.is_symlink():
            raise CohortError(f"{place}: stands there, and no run wrote it; give another folder")


def run_key(recipe: str, free: Iterable[str], data: Sequence[object]) -> str:
    """Return what a state belongs to: a digest of a recipe, but for some of its settings, and of what is learnt from.

    Parameters
    ----------
    recipe
        As JSON.
    free
        Settings that a run which goes on may have otherwise.
    data
        Plain values that tell apart what is learnt from.
    """
    settings = json.loads(recipe)
    for name in free:
        del settings[name]
    text = json.dumps([settings, *data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def model_name(output: Path) -> str:
    """Return a model's name from its run's folder: letters, digits, space, '.', '_' and '-'."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "-" for c in output.resolve().name)[:100]
    return name if name and name[0].isalnum() else f"run{name[:97]}"


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

    def begin(self, recipe: str, about: Mapping[str, Any]) -> None:
        """Write what the run is: the recipe as JSON, and a record of versions and of ``about``, plain values.

        Raises
        ------
        OutputError
            If the folder cannot be written to.
        """
        if not self.writes:
            return
        check_writable(self.path)
        with replacing(self.path / RECIPE_NAME) as beside:
            beside.write_text(recipe, encoding="utf-8")
        record = {
            "napari_gigaclf": __version__,
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in ("torch", "numpy", "tifffile", "zarr", "imagecodecs")},
            "platform": platform.platform(),
            "began": _now(),
            "command": sys.argv,
            **about,
        }
        with replacing(self.path / RECORD_NAME) as beside:
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
