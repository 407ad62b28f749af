"""What a set of mosaics is: its kind, how large its slides and their lesions are, how their seams are blended."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from napari_gigaclf.errors import CohortError

MosaicKind = Literal["metastasis", "arrangement", "regression"]
Lesion = Literal["macro", "micro", "isolated"]
Split = Literal["train", "tune", "test"]

SPLITS: Final[tuple[Split, ...]] = get_args(Split)
LESION_TILES: Final[dict[Lesion, tuple[int, int]]] = {"macro": (50, 64), "micro": (10, 10), "isolated": (1, 3)}
"""Fewest and most tiles of a lesion of each size class."""
SCORED_TILES: Final = 99
"""Tiles of tumour and sham together in a slide of a regression set; odd, so that twins never share a score."""
CENTRE_PX: Final = 32
"""Side of the part of a tile that its label speaks of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicSettings:
    """How slides are made; with a seed and a number it says everything about a slide but the tiles to choose from.

    Raises
    ------
    CohortError
        Settings that fit no slide.
    """

    kind: MosaicKind = "metastasis"
    side_px: int = 2048
    """Height and width of a slide."""
    lesions: tuple[Lesion, ...] = ("macro", "micro", "isolated")
    """Size classes, taken in turn; not used by regression sets."""
    tile_px: int = 96
    """Height and width of a tile."""
    overlap_px: int = 12
    """How far neighbouring tiles are blended into each other; the centre of a tile is never touched."""
    tissue: tuple[float, float] = (0.68, 0.84)
    """Least and largest share of the grid that is tissue."""
    stain: float = 0.15
    """Half width of the factor of each stain's concentration, drawn once for two twins."""
    um_per_px: float = 0.97
    repeat_tiles: bool = False
    """Let background tiles repeat within a slide where there are too few; for measuring speed and memory only."""

    def __post_init__(self) -> None:
        """Check what was given."""
        if self.kind not in get_args(MosaicKind):
            raise CohortError(f"there are no mosaics of kind {self.kind!r}: one of {', '.join(get_args(MosaicKind))}")
        unknown = [lesion for lesion in self.lesions if lesion not in LESION_TILES]
        if unknown or not self.lesions:
            raise CohortError(f"lesions cannot be {self.lesions!r}: one or more of {', '.join(LESION_TILES)}")
        if self.kind == "arrangement" and "isolated" in self.lesions:
            raise CohortError(
                "an arrangement needs tiles to arrange: leave out 'isolated' lesions (give micro or macro)"
            )
        most = (self.tile_px - CENTRE_PX) // 2
        if not 1 <= self.overlap_px <= most:
            raise CohortError(f"tiles of {self.tile_px} px overlap by 1 to {most} px, not {self.overlap_px}")
        if self.side_px < 6 * self.tile_px:
            raise CohortError(f"a slide of {self.side_px} px is too small: {6 * self.tile_px} px or more")
        low, high = self.tissue
        if not 0.2 <= low <= high <= 0.9:
            raise CohortError(f"the share of tissue cannot be {self.tissue}: two ascending numbers from 0.2 to 0.9")
        if not 0 <= self.stain <= 0.5:
            raise CohortError(f"the stains' factor cannot vary by {self.stain}: 0 to 0.5")
        if not self.um_per_px > 0:
            raise CohortError(f"a pixel cannot be {self.um_per_px} um wide: a positive number")
