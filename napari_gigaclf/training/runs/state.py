"""Where training stands, so that a run that was stopped goes on as if it had not been.

Kept are the weights, the optimiser's moments, and the counters; randomness needs no keeping, since everything drawn is
a function of seed, epoch and slide or tile. A state is a folder of tensors (safetensors) and JSON, written beside and
renamed: a full disk or a killed process leaves the one before.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.runs.folder import COUNTERS_NAME, STATE_NAME
from napari_gigaclf.writing import replacing

_TENSORS = "tensors.safetensors"
FORMAT = "napari-gigaclf training state 1"


@dataclass(slots=True, kw_only=True)
class Counters:
    """Everything about a run but its tensors."""

    epoch: int = 0
    """Epochs that are finished."""
    batch: int = 0
    """Mini-batches of the present epoch that are finished."""
    step: int = 0
    """Steps of the optimiser."""
    loss_sum: float = 0.0
    """Of what was learnt from in the present epoch so far."""
    loss_count: int = 0
    best: float | None = None
    """Best figure of tuning so far."""
    best_epoch: int = 0
    left_out: list[str] = field(default_factory=list)
    """What could not be read, each with the reason."""
    seconds: float = 0.0
    """Spent so far, over all runs."""
    finished: bool = False


def save_state(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, counters: Counters, key: str) -> None:
    """Write the state of a run into its folder.

    Parameters
    ----------
    folder
        Of the run.
    model, optimiser, counters
        What is kept.
    key
        What the state belongs to: recipe and data; another run does not go on from it.

    Raises
    ------
    OutputError
        If it cannot be written; the state before is still there.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    scalars: dict[str, Any] = {}
    for number, values in optimiser.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser/{number}/{name}"] = value
            else:
                scalars[f"{number}/{name}"] = value
    with replacing(folder / STATE_NAME) as beside:
        beside.mkdir()
        save_file({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, beside / _TENSORS)
        text = {"format": FORMAT, "key": key, "counters": dataclasses.asdict(counters), "optimiser": scalars}
        (beside / COUNTERS_NAME).write_text(json.dumps(text, allow_nan=False), encoding="utf-8")


def load_state(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, key: str) -> Counters | None:
    """Put the state in a run's folder into model and optimiser; None where there is none.

    Raises
    ------
    CohortError
        If it is damaged, or belongs to another recipe or other data.
    """
    place = folder / STATE_NAME
    if not place.is_dir():
        return None
    try:
        text = json.loads((place / COUNTERS_NAME).read_text(encoding="utf-8"))
        tensors = load_file(place / _TENSORS)
        counters = Counters(**text["counters"])
        found_key, scalars = text["key"], text["optimiser"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CohortError(f"{place}: this state of a run cannot be read ({error}); remove it to begin anew") from error
    if found_key != key:
        raise CohortError(
            f"{folder}: the run there has another recipe or other data; go on with the same, or give another --output"
        )
    try:
        model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
    except RuntimeError as error:
        raise CohortError(f"{place}: the weights there belong to another network") from error
    states: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser/"):
            _, number, what = name.split("/")
            states.setdefault(int(number), {})[what] = tensor
    for name, value in scalars.items():
        number, what = name.split("/")
        states.setdefault(int(number), {})[what] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
    return counters
