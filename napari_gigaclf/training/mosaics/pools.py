"""The tiles that slides of one split may be made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.settings import Split

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TilePool:
    """Tumour tiles with a sham partner each, and a background of other normal tiles.

    Raises
    ------
    CohortError
        A tile has two roles, or pairs are incomplete.
    """

    images: NDArray[np.uint8]
    """(N, side, side, 3): all tiles of an archive, also those of other splits."""
    tumour: Indices
    """(P,) tiles with tumour."""
    sham: Indices
    """(P,) normal tiles; ``sham[i]`` has the colours of ``tumour[i]``."""
    background: Indices
    """(B,) normal tiles that are no one's partner."""

    def __post_init__(self) -> None:
        """Check what was given."""
        if len(self.tumour) != len(self.sham):
            raise CohortError(
                f"{len(self.tumour)} tumour tiles and {len(self.sham)} sham tiles: each needs its partner"
            )
        used = np.concatenate([self.tumour, self.sham, self.background])
        if len(np.unique(used)) != len(used):
            raise CohortError("a tile has two roles in one pool: give each tile one")

    def halved(self, generator: np.random.Generator) -> "TilePool":
        """Return a pool of half of the pairs and half of the background, drawn without replacement."""
        pairs = np.sort(generator.permutation(len(self.tumour))[: len(self.tumour) // 2])
        others = np.sort(generator.permutation(len(self.background))[: len(self.background) // 2])
        return TilePool(
            images=self.images,
            tumour=self.tumour[pairs],
            sham=self.sham[pairs],
            background=self.background[others],
        )


Pools = Mapping[Split, TilePool]
