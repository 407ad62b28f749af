"""Training on whole slides, from one label or score per slide: recipe, windows, steps, and the run's folder."""

from napari_gigaclf.training.slides.changes import ChangeSettings
from napari_gigaclf.training.slides.recipe import PRESETS, Recipe, dump_recipe, preset, read_recipe, with_settings
from napari_gigaclf.training.slides.run import Epoch
from napari_gigaclf.training.slides.train import TrainResult, train

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
