"""Paints planned slides: tiles turned, blended at their seams, then stained, a region at a time.

A tile's weight is 1 inside and falls to 0 over the overlap along a raised cosine, so that the weights of neighbours add
up to 1; what is left at the edge of the tissue is white glass:

    I(p) = 255 + sum_t w_t(p) (I_t(p) - 255),   w_t(y, x) = r(y) r(x),   r(k) = sin^2(pi / 2 (k + 1/2) / overlap)

The weights know nothing of a tile's role: seams in, around and out of clusters are blended alike. A tile's label speaks
of its central 32 x 32 px, which no seam ever reaches. Two things follow, which hold for every slide made this way:

- The rim of a *normal* tile (outside its centre) may hold tumour, so a slide labelled negative may hold some. That is
  noise of the labels, not a hint: twins share their background, and shams add rims to the negatives alone.
- A tumour tile may hold as little as one pixel of tumour in its centre.

The stain is changed in optical density, where dyes add up: c = OD M^-1, c' = s c, one s per slide, M of Ruifrok and
Johnston (2001). It comes last and acts on single pixels, so a region painted alone is the region of the whole.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.level import LevelSource
from napari_gigaclf.training.mosaics.plan import SlidePlan
from napari_gigaclf.training.mosaics.pools import TilePool
from napari_gigaclf.training.stain import change_rows, stain_change

WHITE: Final = 255
_BLOCK: Final = 512

Pixels = NDArray[np.uint8]


def tile_weight(tile_px: int, overlap_px: int) -> NDArray[np.float32]:
    """Return the weight of every tile, (tile_px, tile_px): the outer product of two raised-cosine ramps."""
    ramp = np.ones(tile_px)
    rise = np.sin(0.5 * np.pi * (np.arange(overlap_px) + 0.5) / overlap_px) ** 2
    ramp[:overlap_px], ramp[tile_px - overlap_px :] = rise, rise[::-1]
    return np.outer(ramp, ramp).astype(np.float32)


def turned(tile: Pixels, turn: int) -> Pixels:
    """Return a tile (h, w, 3) after quarter turns, and mirrored from 4 on; no pixel is interpolated."""
    square = tile[:, ::-1] if turn >= 4 else tile
    return np.rot90(square, turn % 4)


class MosaicSlide(ArraySlide):
    """A mosaic that is painted where it is read; implements ``Slide`` with one level.

    Parameters
    ----------
    plan
        What lies where.
    pool
        The tiles of the plan's split.
    """

    def __init__(self, plan: SlidePlan, pool: TilePool) -> None:
        self.plan = plan
        self._images = pool.images
        self._weight = tile_weight(plan.grid.tile_px, plan.grid.overlap_px)[..., None]
        self._change = None if plan.stain == (1.0, 1.0, 1.0) else stain_change(plan.stain)
        self._at = np.full((plan.grid.num, plan.grid.num), -1, np.int64)
        self._at[plan.cells[:, 0], plan.cells[:, 1]] = np.arange(len(plan.cells))
        super().__init__(
            SlideFacts(
                name=plan.name,
                path=None,
                format="mosaic",
                dtype=np.dtype(np.uint8),
                num_channels=3,
                um_per_px=(plan.um_per_px, plan.um_per_px),
                um_per_px_source="mosaic",
            ),
            [LevelSource(shape=(plan.side_px,) * 2, chunks=(_BLOCK, _BLOCK), fetch=self._paint, cached=False)],
            kind="brightfield",
            fingerprint=self._digest,
        )

    def _digest(self) -> str:
        plan = self.plan
        parts = (plan.cells, plan.tiles, plan.turns, self._images[plan.tiles])
        text = f"{plan.side_px} {plan.grid} {plan.stain}".encode()
        return hashlib.sha256(text + b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()

    def _paint(self, box: Box) -> Pixels:
        """Return the pixels of a box, block by block so that the sums in floating point stay small."""
        out = np.empty((*box.shape, 3), np.uint8)
        for y in range(box.y0, box.y1, _BLOCK):
            for x in range(box.x0, box.x1, _BLOCK):
                block = Box(y, min(y + _BLOCK, box.y1), x, min(x + _BLOCK, box.x1))
                out[block.shifted(-box.y0, -box.x0).slices] = self._paint_block(block)
        return out

    def _paint_block(self, box: Box) -> Pixels:
        ink = np.zeros((*box.shape, 3), np.float32)
        rows, columns = self._cells_in(box.y0, box.y1), self._cells_in(box.x0, box.x1)
        for row in rows:
            for column in columns:
                if self._at[row, column] >= 0:
                    self._lay(ink, box, row, column)
        ink += WHITE
        if self._change is not None:
            # White is log 1 = 0 and stays white under any factor.
            np.log(np.maximum(ink, 1.0, out=ink) / WHITE, out=ink)
            ink = np.exp(change_rows(ink, self._change)) * WHITE
        return np.clip(np.rint(ink), 0, WHITE).astype(np.uint8)

    def _cells_in(self, low: int, high: int) -> range:
        """Return the rows (or columns) of cells whose tiles reach into pixels ``low`` to ``high``."""
        grid = self.plan.grid
        first = (low - grid.offset_px - grid.tile_px) // grid.stride_px + 1
        last = (high - 1 - grid.offset_px) // grid.stride_px
        return range(max(first, 0), min(last, grid.num - 1) + 1)

    def _lay(self, ink: NDArray[np.float32], box: Box, row: int, column: int) -> None:
        """Add a tile's difference from white, times its weight."""
        index = self._at[row, column]
        whole = self.plan.grid.tile_box(row, column)
        part = whole.intersection(box)
        inside = part.shifted(-whole.y0, -whole.x0).slices
        tile = turned(self._images[self.plan.tiles[index]], int(self.plan.turns[index]))[inside]
        ink[part.shifted(-box.y0, -box.x0).slices] += self._weight[inside] * (tile.astype(np.float32) - WHITE)
