"""A window of a slide, changed: the engine's source in training.

Pixels go through four steps, each a function of place or pixel alone:

    window pixel  --turn-->  unturned window  --bend-->  place in the slide  --read, or white-->  value  --colours-->

Places between pixels are interpolated linearly; outside the slide, and in cut-out squares, all is white.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.cells import CellAxis
from napari_gigaclf.inference.masking import WHITE, MaskedImage
from napari_gigaclf.inference.prediction import MIN_CELL_TISSUE
from napari_gigaclf.inference.resample import Image
from napari_gigaclf.training.slides.changes import Changes
from napari_gigaclf.training.slides.view import SlideView

SAMPLES_PER_CELL = 4
"""Places per axis at which a cell of a turned or bent window is looked at, to say whether it is tissue."""


@dataclass(frozen=True, slots=True)
class Window:
    """A changed window of a slide, ``(3, height, width)`` in [0, 1].

    Parameters
    ----------
    view
        The slide.
    box
        The window in pixels of the slide at the network's scale; may reach beyond it.
    changes
        What is done to it.
    """

    view: SlideView
    box: Box
    changes: Changes

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width, turned."""
        height, width = self.box.shape
        return (3, width, height) if self.changes.transposed else (3, height, width)

    @property
    def flat_value(self) -> Image:
        """What glass has become, (3,)."""
        return self._coloured(np.full((3, 1), WHITE, dtype=np.float32))[:, 0]

    def is_flat(self, *slices: slice) -> bool:
        """Return True if a region is known to be glass."""
        place = self._seen(self._unturned(*slices))
        return place.empty or self.view.whole.is_flat(*place.slices)

    def read(self, *slices: slice) -> Image:
        """Return a region, (3, y, x)."""
        region = self._unturned(*slices)
        pixels = self._bent(region)
        for cutout in self.changes.cutouts:
            hole = cutout.intersection(region).shifted(-region.y0, -region.x0)
            if not hole.empty:
                pixels[(slice(None), *hole.slices)] = WHITE
        return self._turned(self._coloured(pixels))

    def cells(self, axes: tuple[CellAxis, CellAxis], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which cells of the window's map are pooled: a quarter tissue at least; all, where none is.

        Parameters
        ----------
        axes
            How cells lie along y and x.
        shape
            Rows and columns of the map.
        """
        shown = self.view.shown
        if shown is None:
            return np.ones(shape, dtype=np.bool_)
        steps = (np.arange(SAMPLES_PER_CELL) + 0.5) / SAMPLES_PER_CELL
        y, x = (
            (axis.start + (np.arange(n)[:, None] + steps) * axis.stride - 0.5).ravel()
            for axis, n in zip(axes, shape, strict=True)
        )
        place = self._place_of(np.stack(np.meshgrid(y, x, indexing="ij")))
        rows, columns = (np.floor(p + 0.5).astype(np.int64) for p in place)
        inside = (rows >= 0) & (rows < len(shown.row_of)) & (columns >= 0) & (columns < len(shown.column_of))
        tissue = np.zeros(inside.shape, dtype=np.bool_)
        tissue[inside] = shown.shown[shown.row_of[rows[inside]], shown.column_of[columns[inside]]]
        share = tissue.reshape(shape[0], SAMPLES_PER_CELL, shape[1], SAMPLES_PER_CELL).mean(axis=(1, 3))
        found: NDArray[np.bool_] = share >= MIN_CELL_TISSUE
        return found if found.any() else np.ones(shape, dtype=np.bool_)

    def _place_of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where in the slide's input, pixels, places (2, ...) of the turned window come from."""
        height, width = self.box.shape
        y, x = points[::-1] if self.changes.transposed else points
        # The transposed window is flipped along its own axes; see _unturned.
        flip_y, flip_x = self._flips
        unturned = np.stack([height - 1 - y if flip_y else y, width - 1 - x if flip_x else x])
        if self.changes.bend is not None:
            unturned = self.changes.bend.source(unturned)
        corner = np.array([self.box.y0, self.box.x0]).reshape(-1, *[1] * (points.ndim - 1))
        place: NDArray[np.float64] = unturned + corner
        return place

    @property
    def _flips(self) -> tuple[bool, bool]:
        """Return the flips along the unturned window's axes."""
        return self.changes.flips[::-1] if self.changes.transposed else self.changes.flips

    def _unturned(self, rows: slice, columns: slice) -> Box:
        """Return the box of the unturned window that a region of the turned one shows."""
        _, height, width = self.shape
        spans = [rows.indices(height)[:2], columns.indices(width)[:2]]
        for axis, (flip, length) in enumerate(zip(self.changes.flips, (height, width), strict=True)):
            if flip:
                spans[axis] = (length - spans[axis][1], length - spans[axis][0])
        if self.changes.transposed:
            spans.reverse()
        return Box(*spans[0], *spans[1])

    def _turned(self, pixels: Image) -> Image:
        """Turn a region's pixels."""
        if self.changes.transposed:
            pixels = pixels.transpose(0, 2, 1)
        for axis, flip in enumerate(self.changes.flips, start=1):
            if flip:
                pixels = np.flip(pixels, axis)
        return np.ascontiguousarray(pixels)

    def _seen(self, region: Box) -> Box:
        """Return the part of the slide's input on which a region of the unturned window depends."""
        reach = 0 if self.changes.bend is None else self.changes.bend.reach + 1
        grown = Box(region.y0 - reach, region.y1 + reach, region.x0 - reach, region.x1 + reach)
        height, width = self.view.shape
        return grown.shifted(self.box.y0, self.box.x0).intersection(Box(0, height, 0, width))

    def _bent(self, region: Box) -> Image:
        """Return a region of the unturned window, without colours and cut-outs."""
        if self.changes.bend is None:
            return padded_read(self.view.whole, region.shifted(self.box.y0, self.box.x0))
        reach = self.changes.bend.reach + 1
        grown = Box(region.y0 - reach, region.y1 + reach, region.x0 - reach, region.x1 + reach)
        pixels = padded_read(self.view.whole, grown.shifted(self.box.y0, self.box.x0))
        y, x = np.arange(region.y0, region.y1, dtype=np.float64), np.arange(region.x0, region.x1, dtype=np.float64)
        places = self.changes.bend.source(np.stack(np.meshgrid(y, x, indexing="ij")))
        places -= np.array([grown.y0, grown.x0]).reshape(2, 1, 1)
        return np.stack([ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in pixels])

    def _coloured(self, pixels: Image) -> Image:
        return pixels if self.changes.colours is None else self.changes.colours.apply(pixels)


def padded_read(image: MaskedImage, box: Box) -> Image:
    """Read a box of an image, (3, y, x); what lies beyond the image is white."""
    inside = box.intersection(Box(0, image.shape[1], 0, image.shape[2]))
    if inside == box:
        return image.read(*box.slices)
    pixels = np.full((3, *box.shape), WHITE, dtype=np.float32)
    if not inside.empty:
        pixels[(slice(None), *inside.shifted(-box.y0, -box.x0).slices)] = image.read(*inside.slices)
    return pixels


def draw_box(view: SlideView, side: int, generator: np.random.Generator | None) -> Box:
    """Return a window of this side over the tissue: cropped at random where that is larger, placed where it is smaller.

    Parameters
    ----------
    view
        The slide.
    side
        Pixels; 0: as large as the tissue.
    generator
        Source of all randomness; None: the middle.
    """
    tissue = view.tissue_box
    if side == 0:
        return tissue
    spans = []
    for start, stop in ((tissue.y0, tissue.y1), (tissue.x0, tissue.x1)):
        low, high = sorted((start, stop - side))
        first = (low + high) // 2 if generator is None else int(generator.integers(low, high + 1))
        spans.append((first, first + side))
    return Box(*spans[0], *spans[1])
