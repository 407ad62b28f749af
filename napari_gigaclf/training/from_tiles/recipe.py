"""How a network is trained on labelled tiles: every number a setting, with presets.

The default follows how the built-in classifiers were trained: AdamW with a learning rate that rises and falls once,
weights averaged over steps, tiles turned, moved, stained, lit and focused otherwise each time.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from napari_gigaclf.models.config import MIN_SIDE_PX, NetworkName, Pooling
from napari_gigaclf.models.registry import model_config
from napari_gigaclf.training.augmentation import Augmentation
from napari_gigaclf.training.runs.settings import check_um_per_px, dump_settings, named_preset, read_settings

CELL_NET_PX = 96
"""What a cell of a cell-net sees (``models.networks.cell_net.CONTEXT_PX``, which needs torch)."""

USUAL_NETWORK: NetworkName = "cell-net"
"""Where neither the recipe nor a model to start from says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecipe:
    """Everything that decides a training run on tiles, but for the tiles.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    network: NetworkName | None = None
    """By name; None: that of the model to start from, without such a model "cell-net"."""
    pooling: Pooling = "mean"
    """How the cells of a tile, and later of a slide, become one answer."""
    start_from: str = ""
    """Built-in model or model folder to go on from: layers of the same name and shape take its weights; empty: none."""
    frozen: tuple[str, ...] = ()
    """Parts that are not trained: names of layers, or patterns, such as "trunk" or "trunk.conv*"."""
    um_per_px: float | None = None
    """Scale of the tiles, micrometres per pixel; it must be given, since pictures do not say it."""
    tile_px: int = 0
    """Side of a tile, of larger pictures their middle; 0: as the pictures are, or what the network sees at once."""
    label_px: int = 0
    """Of tiles from regions: side of the middle that lies wholly in a region of its class; 0: the whole tile."""
    tissue: bool = True
    """Of tiles from regions: whether the slide's background is made white, as ``classify`` does."""
    max_tiles: int = 500
    """Of tiles from regions: most that are taken of one class on one slide."""
    tune_share: float = 0.15
    """Share of the patients to tune on, where nothing is divided yet."""
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 3e-3
    """Its peak: it rises over the first fifth of the steps and falls to nearly nothing (Smith and Topin 2018)."""
    weight_decay: float = 0.05
    """Of AdamW; biases and batch norms do not decay."""
    average: float = 0.999
    """Decay of the moving average of the weights, per step; the average is what is kept. 0: none."""
    dropout: float | None = None
    """Before the last layer; None: as the network has it."""
    class_weights: bool = False
    """Whether rare classes count more, so that all count the same in sum."""
    label_smoothing: float = 0.05
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How far tiles are changed."""
    clip_norm: float | None = None
    """Longest gradient of a step; None: not clipped."""
    normalisation_tiles: int = 2000
    """Training tiles from which the spread of each colour channel, and the card's colours, are taken."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network; weights, gradients and what is saved stay float32."""
    select_by: Literal["loss", "auc"] = "loss"
    """What makes an epoch the best, on the tuning tiles."""
    patience: int | None = None
    """Epochs without a better one after which training stops; None: never."""
    calibrate: bool = True
    """Whether the best model's temperature is fitted on the tuning tiles."""
    seed: int = 0
    deterministic: bool = False
    """Whether PyTorch may use only operations that repeat to the last bit."""

    def __post_init__(self) -> None:
        check_um_per_px(self.um_per_px)
        positive = {
            "learning_rate": self.learning_rate,
            "clip_norm": 1.0 if self.clip_norm is None else self.clip_norm,
        }
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, not {value}")
        whole = {
            "tile_px": (self.tile_px, 0), "label_px": (self.label_px, 0), "max_tiles": (self.max_tiles, 1),
            "epochs": (self.epochs, 1), "batch_size": (self.batch_size, 1), "seed": (self.seed, 0),
            "normalisation_tiles": (self.normalisation_tiles, 1),
            "patience": (1 if self.patience is None else self.patience, 1),
        }  # fmt: skip
        for name, (number, least) in whole.items():
            if number < least:
                raise ValueError(f"{name} must be at least {least}, not {number}")
        if not 0 < self.tune_share < 1:
            raise ValueError(f"tune_share must be above 0 and below 1, not {self.tune_share}")
        shares = {"average": self.average, "label_smoothing": self.label_smoothing, "dropout": self.dropout or 0.0}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, not {share}")
        if self.weight_decay < 0:
            raise ValueError("weight_decay must be 0 or more")
        if self.tile_px and self.label_px > self.tile_px:
            raise ValueError(f"label_px={self.label_px} is more than tile_px={self.tile_px}")


PRESETS: Final = MappingProxyType(
    {
        "default": TileRecipe(),
        "small": TileRecipe(epochs=5),
        "fine-tune": TileRecipe(epochs=8, learning_rate=3e-4),
        "unchanged": TileRecipe(
            augmentation=Augmentation(
                shift_px=0, stain=0.0, brightness=0.0, contrast=0.0, saturation=0.0, tint=0.0, sharpness=0.0
            )
        ),
    }
)
"""Recipes by name: the usual one, a first look, on from a model, and one whose tiles are only turned and mirrored."""


def preset(name: str) -> TileRecipe:
    """Return a recipe by name.

    Raises
    ------
    CohortError
        If there is none of this name.
    """
    return named_preset(PRESETS, name)


def read_recipe(path: Path) -> TileRecipe:
    """Read a recipe from a TOML or, by its ending, a JSON file; what it does not say is as in the preset it names.

    Raises
    ------
    CohortError
        If the file cannot be read, or holds an unknown key (with the nearest known one) or a value that makes no sense.
    """
    return read_settings(path, PRESETS)


def dump_recipe(recipe: TileRecipe) -> str:
    """Return a recipe as JSON text, which ``read_recipe`` gives back."""
    return dump_settings(recipe)


def network_of(recipe: TileRecipe) -> NetworkName:
    """Return which network is trained.

    Raises
    ------
    ModelError
        If there is no such model to start from.
    """
    if recipe.network is not None:
        return recipe.network
    return model_config(recipe.start_from).network if recipe.start_from else USUAL_NETWORK


def least_side(network: NetworkName) -> int:
    """Return the smallest tile, in pixels, from which a network has an answer without looking beyond the tile."""
    return CELL_NET_PX if network.startswith("cell-net") else MIN_SIDE_PX[network]
