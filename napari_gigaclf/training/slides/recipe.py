"""How a network is trained on whole slides: every number a setting, with the paper's as presets.

The presets follow Pinckaers, van Ginneken and Litjens (TPAMI 2020, section 4): Adam at 1e-4, decayed by 0.99 per epoch,
mini-batches by adding up gradients, global max-pooling, dropout before the last layer for TUPAC16, layer-sequential
unit-variance initialisation and weight decay 1e-6 for CAMELYON17. What they do not say is ours, and stands here too.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from napari_gigaclf.models.config import NetworkName, Pooling
from napari_gigaclf.training.runs.settings import check_um_per_px, dump_settings, named_preset, read_settings
from napari_gigaclf.training.slides.changes import ChangeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a training run, but for the cohort.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    network: NetworkName | None = None
    """By name; None: that of the model to start from, without such a model "paper-table1"."""
    pooling: Pooling = "max"
    """How the feature map becomes one vector: "max" (the paper), "mean", or "attention" (gated, as StreamingCLAM)."""
    start_from: str = ""
    """Built-in model or model folder to go on from: layers of the same name and shape take its weights; empty: none."""
    frozen: tuple[str, ...] = ()
    """Parts that are not trained: names of layers, or patterns, such as "trunk" or "trunk.conv*"."""
    um_per_px: float = 0.97
    """Scale of the network's input, micrometres per pixel."""
    input_px: int = 0
    """Side of the input: larger slides are cropped at random, smaller ones padded with white; 0: as the tissue."""
    tissue: bool = True
    """Whether the background is found and made white; without it everything is looked at."""
    epochs: int = 50
    batch_size: int = 16
    """Slides per step of the optimiser; one after the other, their gradients added up."""
    learning_rate: float = 1e-4
    decay: float = 0.99
    """Factor of the learning rate per epoch."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""
    weight_decay: float = 0.0
    """Of Adam, as in the paper: added to the gradient."""
    dropout: float | None = None
    """Before the last layer; None: as the network has it."""
    initialisation: Literal["he", "lsuv"] = "he"
    """He et al. 2015; or, on top of it, layer-sequential unit variance (Mishkin and Matas 2016) by streaming."""
    initialisation_slides: int = 8
    """Training slides of the mini-batches from which LSUV takes its variances."""
    normalisation_slides: int = 16
    """Training slides from which the spread of each colour channel is taken."""
    class_weights: bool = False
    """Whether rare classes count more, so that all count the same in sum."""
    label_smoothing: float = 0.0
    huber_delta: float = 1.0
    """Of the loss of regression: errors beyond it count linearly."""
    changes: ChangeSettings = field(default_factory=ChangeSettings)
    """Augmentation."""
    clip_norm: float | None = None
    """Longest gradient of a step; None: not clipped."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network; weights, gradients and what is saved stay float32."""
    memory: str = ""
    """What the engine may hold, such as "2GB"; empty: little."""
    select_by: Literal["loss", "auc"] = "loss"
    """What makes an epoch the best, on the tuning slides."""
    patience: int | None = None
    """Epochs without a better one after which training stops; None: never."""
    bad_slides: Literal["stop", "leave-out"] = "stop"
    """What happens with a slide that cannot be read."""
    calibrate: bool = True
    """Whether the best model's temperature is fitted on the tuning slides (classification only)."""
    seed: int = 0
    deterministic: bool = False
    """Whether PyTorch may use only operations that repeat to the last bit."""

    def __post_init__(self) -> None:
        check_um_per_px(self.um_per_px)
        positive = {
            "learning_rate": self.learning_rate, "decay": self.decay,
            "huber_delta": self.huber_delta,
            "clip_norm": 1.0 if self.clip_norm is None else self.clip_norm,
        }  # fmt: skip
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, not {value}")
        whole = {
            "epochs": (self.epochs, 1), "batch_size": (self.batch_size, 1), "input_px": (self.input_px, 0),
            "warmup_steps": (self.warmup_steps, 0), "initialisation_slides": (self.initialisation_slides, 1),
            "normalisation_slides": (self.normalisation_slides, 1), "seed": (self.seed, 0),
            "patience": (1 if self.patience is None else self.patience, 1),
        }  # fmt: skip
        for name, (number, least) in whole.items():
            if number < least:
                raise ValueError(f"{name} must be at least {least}, not {number}")
        if self.weight_decay < 0 or not 0 <= self.label_smoothing < 1:
            raise ValueError("weight_decay must be 0 or more, label_smoothing 0 or more and below 1")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 or more and below 1, not {self.dropout}")
        if self.initialisation == "lsuv" and self.start_from:
            raise ValueError("initialisation 'lsuv' would overwrite the weights of start_from; choose one of them")


PRESETS: Final = MappingProxyType(
    {
        "default": Recipe(),
        "paper-camelyon17": Recipe(
            network="paper-table2-25", um_per_px=0.5, input_px=8192, initialisation="lsuv", weight_decay=1e-6,
            dropout=0.0, batch_size=16, changes=ChangeSettings.strong(),
        ),
        "paper-tupac16": Recipe(
            network="paper-table2-22", um_per_px=0.5, input_px=4096, dropout=0.5, batch_size=16,
            changes=ChangeSettings.strong(),
        ),
        "small": Recipe(
            network="paper-table1", input_px=1024, batch_size=8, epochs=20, learning_rate=3e-4, warmup_steps=10,
            changes=ChangeSettings.mild(),
        ),
    }
)  # fmt: skip
"""Recipes by name."""


def preset(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    CohortError
        If there is none of this name.
    """
    return named_preset(PRESETS, name)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML or, by its ending, a JSON file; what it does not say is as in the preset it names.

    Its key ``preset`` names the recipe that it changes (default: "default").

    Raises
    ------
    CohortError
        If the file cannot be read, or holds an unknown key (with the nearest known one) or a value that makes no sense.
    """
    return read_settings(path, PRESETS)


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as JSON text, which ``read_recipe`` gives back."""
    return dump_settings(recipe)
