"""Training from labelled tiles: files by class, or tiles drawn from annotated regions of slides.

Importing this package does not import torch; ``train_on_tiles`` loads it on first use.
"""

from typing import TYPE_CHECKING

from napari_gigaclf.training.from_tiles.recipe import PRESETS, TileRecipe, dump_recipe, preset, read_recipe

if TYPE_CHECKING:
    from napari_gigaclf.training.from_tiles.start import train_on_tiles

__all__ = ["PRESETS", "TileRecipe", "dump_recipe", "preset", "read_recipe", "train_on_tiles"]


def __getattr__(name: str) -> object:
    if name == "train_on_tiles":
        from napari_gigaclf.training.from_tiles.start import train_on_tiles

        return train_on_tiles
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
