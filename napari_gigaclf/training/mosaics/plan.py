"""Decides what a slide is made of, tile by tile; a pure function of settings, tiles, seed, split and number.

Slides come in **twins**, numbers 2 k and 2 k + 1, one of each label in random order. Twins share the outline, the
stain, the background tiles with their turns, and the shapes and places of the clusters. They differ in this:

- *metastasis*: the cluster of the positive twin holds tumour tiles; that of the negative one (the sham) holds their
  colour-matched normal partners.
- *arrangement*: both hold the same tumour tiles and the same partners. In class 1 the tumour tiles form the cluster and
  the partners lie strewn; in class 0 the other way round. Whatever looks at tiles one by one sees the same set.
- *regression*: two clusters, one of tumour tiles and one of partners, together 99 tiles; the other twin has the
  partner of each. The score is the share of tumour among the tiles of tissue; label 1 has more than half of the 99.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import CohortError
from napari_gigaclf.training.mosaics.grid import Grid, make_grid
from napari_gigaclf.training.mosaics.pools import TilePool
from napari_gigaclf.training.mosaics.settings import LESION_TILES, SCORED_TILES, SPLITS, Lesion, MosaicSettings, Split
from napari_gigaclf.training.mosaics.shapes import Cells, Mask, away_from, grown, strewn, tissue_outline

BACKGROUND: Final = 0
TUMOUR: Final = 1
SHAM: Final = 2
NUM_TURNS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlidePlan:
    """All that is decided about a slide; T tiles."""

    name: str
    split: Split
    number: int
    label: int
    lesion: Lesion | None
    side_px: int
    um_per_px: float
    grid: Grid
    cells: Cells
    """(T, 2) row and column, sorted."""
    tiles: NDArray[np.int64]
    """(T,) index into the pool's images."""
    turns: NDArray[np.int64]
    """(T,) 0 to 7: quarter turns, mirrored from 4 on."""
    roles: NDArray[np.int64]
    """(T,) BACKGROUND, TUMOUR or SHAM."""
    stain: tuple[float, float, float]
    """Factors of haematoxylin, eosin and the residual."""

    @property
    def num_tumour(self) -> int:
        """Tiles of tumour."""
        return int(np.sum(self.roles == TUMOUR))

    @property
    def score(self) -> float:
        """Share of tumour among the tiles of tissue."""
        return self.num_tumour / len(self.tiles)

    @property
    def group(self) -> str:
        """Name that the twins share."""
        return f"{self.split}-{self.number // 2:04d}"

    @property
    def repeats_tiles(self) -> bool:
        """True where a tile stands in the slide more than once."""
        return len(np.unique(self.tiles)) < len(self.tiles)


@dataclass(frozen=True, slots=True)
class _Marked:
    """Tiles that are no background: where, which, what they are and how they are turned."""

    cells: Cells
    tiles: NDArray[np.int64]
    roles: NDArray[np.int64]
    turns: NDArray[np.int64]


def plan_slide(settings: MosaicSettings, pool: TilePool, *, seed: int, split: Split, number: int) -> SlidePlan:
    """Return the plan of one slide.

    Parameters
    ----------
    settings
        What set it belongs to.
    pool
        The tiles of its split.
    seed
        Of the whole set.
    split
        Slides of different splits are drawn apart, even with the same seed and number.
    number
        From 0; 2 k and 2 k + 1 are twins.

    Raises
    ------
    CohortError
        The pool or the slide is too small.
    """
    pair = number // 2
    generator = np.random.default_rng([seed, SPLITS.index(split), pair])
    positive_first = bool(generator.integers(2))
    positive = positive_first == (number % 2 == 0)
    grid = make_grid(settings)
    tissue = tissue_outline(grid.num, generator.uniform(*settings.tissue), generator)
    stain = 1.0 + settings.stain * generator.uniform(-1.0, 1.0, 3)
    lesion = None if settings.kind == "regression" else settings.lesions[pair % len(settings.lesions)]
    marked = _marked(settings, pool, lesion, tissue, positive, generator)
    cells, tiles, roles, turns = _with_background(settings, pool, tissue, marked, generator)
    return SlidePlan(
        name=f"{split}-{number:04d}",
        split=split,
        number=number,
        label=int(positive),
        lesion=lesion,
        side_px=settings.side_px,
        um_per_px=settings.um_per_px,
        grid=grid,
        cells=cells,
        tiles=tiles,
        turns=turns,
        roles=roles,
        stain=(float(stain[0]), float(stain[1]), float(stain[2])),
    )


def _marked(
    settings: MosaicSettings,
    pool: TilePool,
    lesion: Lesion | None,
    tissue: Mask,
    positive: bool,
    generator: np.random.Generator,
) -> _Marked:
    """Draw both twins' clusters; only what is put there depends on ``positive``, never a draw."""
    if lesion is None:
        return _scored(pool, tissue, positive, generator)
    low, high = LESION_TILES[lesion]
    count = int(generator.integers(low, high + 1))
    cluster = grown(tissue, count, generator)
    pairs = _pairs(pool, count, generator)
    turns = generator.integers(0, NUM_TURNS, (2, count))
    kinds = np.repeat([TUMOUR, SHAM], count).reshape(2, count)
    tiles = np.stack([pool.tumour[pairs], pool.sham[pairs]])
    if settings.kind == "metastasis":
        which = 0 if positive else 1
        return _Marked(cluster, tiles[which], kinds[which], turns[0])
    apart = strewn(away_from(cluster, tissue), count, generator)
    places = (cluster, apart) if positive else (apart, cluster)
    return _Marked(np.concatenate(places), tiles.ravel(), kinds.ravel(), turns.ravel())


def _scored(pool: TilePool, tissue: Mask, positive: bool, generator: np.random.Generator) -> _Marked:
    """Draw the two clusters of a regression slide."""
    more = int(generator.integers(SCORED_TILES // 2 + 1, SCORED_TILES + 1))
    first = grown(tissue, more, generator)
    second = grown(away_from(first, tissue), SCORED_TILES - more, generator) if more < SCORED_TILES else first[:0]
    pairs = _pairs(pool, SCORED_TILES, generator)
    turns = generator.integers(0, NUM_TURNS, SCORED_TILES)
    tumour = (np.arange(SCORED_TILES) < more) == positive
    tiles = np.where(tumour, pool.tumour[pairs], pool.sham[pairs])
    return _Marked(np.concatenate([first, second]), tiles, np.where(tumour, TUMOUR, SHAM), turns)


def _pairs(pool: TilePool, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    if len(pool.tumour) < count:
        raise CohortError(f"a slide needs {count} pairs of tiles, there are {len(pool.tumour)}: give more tiles")
    return generator.permutation(len(pool.tumour))[:count]


def _with_background(
    settings: MosaicSettings, pool: TilePool, tissue: Mask, marked: _Marked, generator: np.random.Generator
) -> tuple[Cells, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Fill the rest of the tissue; returns cells, tiles, roles and turns by row and column."""
    shape = tissue.shape
    rest = tissue.copy()
    rest[marked.cells[:, 0], marked.cells[:, 1]] = False
    count = int(rest.sum())
    if count > len(pool.background) and not settings.repeat_tiles:
        raise CohortError(
            f"a slide needs {count} background tiles, there are {len(pool.background)}: make the slide smaller"
        )
    rounds = -(-count // max(len(pool.background), 1))
    order = np.concatenate([generator.permutation(pool.background) for _ in range(max(rounds, 1))])
    tiles = np.full(shape, -1, np.int64)
    tiles[rest] = order[:count]
    roles = np.full(shape, BACKGROUND, np.int64)
    turns = generator.integers(0, NUM_TURNS, shape)
    where = marked.cells[:, 0], marked.cells[:, 1]
    tiles[where], roles[where], turns[where] = marked.tiles, marked.roles, marked.turns
    return np.argwhere(tissue), tiles[tissue], roles[tissue], turns[tissue]
