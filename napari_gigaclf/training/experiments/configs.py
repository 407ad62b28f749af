"""What is run: each experiment with every number it depends on, in full and in a size that fits a coffee break."""

import dataclasses
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from napari_gigaclf.training.mosaics import MosaicSettings
from napari_gigaclf.training.mosaics.settings import MosaicKind, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How layers behind a frozen trunk are trained."""

    epochs: int = 10
    batch_size: int = 8
    """Slides per step."""
    learning_rate: float = 1e-3
    """Of AdamW at the start; falls to zero along a cosine."""
    weight_decay: float = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Slides, how many of each split, and how layers are trained on them."""

    mosaics: MosaicSettings
    """Of the test slides."""
    train_side_px: int
    """Side of the slides for training and tuning. Smaller ones cost less, and what teaches is a slide's label:
    four of 1024 px say more than one of 2048 px for the same arithmetic."""
    num_train: int
    """Slides of a split; twins, so even numbers."""
    num_tune: int
    num_test: int
    rebuilds: int
    """Times that half of the test tiles are drawn and slides are made anew of them, for intervals."""
    num_rebuilt: int
    """Slides of each rebuild."""
    num_looked_at: int
    """Positive test slides on which is measured where a network looks."""
    fit: FitSettings = field(default_factory=FitSettings)

    def settings_of(self, split: Split) -> MosaicSettings:
        """Return how slides of a split are made."""
        side = self.mosaics.side_px if split == "test" else self.train_side_px
        return dataclasses.replace(self.mosaics, side_px=side)

    def small(self) -> "Experiment":
        """Return the same in minutes: to see that it runs, not what comes out."""
        return dataclasses.replace(
            self, num_train=16, num_tune=8, num_test=8, rebuilds=2, num_rebuilt=4, num_looked_at=2,
            fit=dataclasses.replace(self.fit, epochs=2),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionExperiment:
    """Networks of one field of view at several resolutions: how they learn from tiles, then from slides."""

    kind: MosaicKind = "metastasis"
    side_px: int = 2048
    """Of the test slides, at full resolution."""
    train_side_px: int = 1024
    """Of the slides to learn from."""
    tile_epochs: int = 12
    num_tiles: int = 12000
    """Tiles to learn from before slides."""
    num_tuning_tiles: int = 2000
    num_train: int = 128
    """Slides with lesions of all sizes, in turn."""
    num_test: int = 40
    """Slides of each size of lesion."""
    epochs: int = 3
    batch_size: int = 4
    learning_rate: float = 5e-4
    num_looked_at: int = 12
    """Test slides with tumour, of macro and of micro, on which is measured where a network looks."""

    def small(self) -> "ResolutionExperiment":
        """Return the same in minutes: to see that it runs, not what comes out."""
        return dataclasses.replace(
            self, tile_epochs=1, num_tiles=256, num_tuning_tiles=64, num_train=8, num_test=8, epochs=1, num_looked_at=2
        )


EXPERIMENTS: Final = MappingProxyType(
    {
        "arrangement": Experiment(
            mosaics=MosaicSettings(kind="arrangement", lesions=("macro",)), train_side_px=2048,
            num_train=48, num_tune=12, num_test=40, rebuilds=5, num_rebuilt=12, num_looked_at=6,
            fit=FitSettings(epochs=6, batch_size=4),
        ),
        "micro": Experiment(
            mosaics=MosaicSettings(lesions=("micro",)), train_side_px=1024,
            num_train=320, num_tune=60, num_test=60, rebuilds=5, num_rebuilt=24, num_looked_at=12,
            fit=FitSettings(epochs=8),
        ),
        "isolated": Experiment(
            mosaics=MosaicSettings(lesions=("isolated",)), train_side_px=1024,
            num_train=320, num_tune=60, num_test=60, rebuilds=5, num_rebuilt=24, num_looked_at=12,
            fit=FitSettings(epochs=8),
        ),
    }
)  # fmt: skip
"""Experiments by name."""

RESOLUTIONS: Final = MappingProxyType(
    {
        "resolution": ResolutionExperiment(),
        # A mean over all cells moves more with a step than the ten highest do; 5e-4 loses the network in an epoch.
        "regression": ResolutionExperiment(
            kind="regression", side_px=1536, train_side_px=1536, num_train=80, learning_rate=1e-4
        ),
    }
)
"""Experiments on resolution by name; both begin with the same networks."""
