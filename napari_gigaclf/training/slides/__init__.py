"""Training on whole slides, from one label or score per slide: recipe, windows, steps, and the run's folder.

Importing this package does not import torch; ``train`` and its result load it on first use.
"""

from typing import TYPE_CHECKING

from napari_gigaclf.training.runs.epoch import Epoch
from napari_gigaclf.training.runs.settings import with_settings
from napari_gigaclf.training.slides.changes import ChangeSettings
from napari_gigaclf.training.slides.recipe import PRESETS, Recipe, dump_recipe, preset, read_recipe

if TYPE_CHECKING:
    from napari_gigaclf.training.runs.result import TrainResult
    from napari_gigaclf.training.slides.start import train

__all__ = [
    "PRESETS",
    "ChangeSettings",
    "Epoch",
    "Recipe",
    "TrainResult",
    "dump_recipe",
    "preset",
    "read_recipe",
    "train",
    "with_settings",
]


def __getattr__(name: str) -> object:
    if name in ("TrainResult", "train"):
        from napari_gigaclf.training.slides import start

        found: object = getattr(start, name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
