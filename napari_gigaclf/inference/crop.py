"""The part of the slide that some cells see: what a run over a region, a question and a gradient read, and no more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.cells import CellAxis, Cells, bounds, seen
from napari_gigaclf.inference.masking import InputMask, MaskedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """What some cells see."""

    source: MaskedImage
    """The part of the masked input; what none of the cells sees is white in it."""
    first_cell: tuple[int, int]
    """Cell of the whole slide's map that is cell (0, 0) of the crop."""

    def kept(self, cells: Cells, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which cells of the crop's own map, (rows, columns) as given, are among some cells of the slide's."""
        y0, x0 = self.first_cell
        return cells.within(Box(y0, y0 + shape[0], x0, x0 + shape[1]))


def crop_of(whole: MaskedImage, pixels: PixelGrid, axes: tuple[CellAxis, CellAxis], cells: Cells) -> Crop:
    """Return the part of a slide that some cells (at least one) see.

    What lies in the crop but is seen by none of the cells is left out like glass: no cell can tell.

    Parameters
    ----------
    whole
        The masked input of the whole slide.
    pixels
        Place of its pixels over level 0.
    axes
        Cells along y and x.
    cells
        Cells of the whole slide's map.
    """
    box = bounds(cells.inside).shifted(cells.box.y0, cells.box.x0)
    first_row, y0, y1 = axes[0].crop(box.y0, box.y1, pixels.shape[0])
    first_column, x0, x1 = axes[1].crop(box.x0, box.x1, pixels.shape[1])
    part = Box(y0, y1, x0, x1)
    inside = cells.within(Box(first_row, box.y1, first_column, box.x1))
    strides = seen(inside, axes, part.shape)
    corner = pixels.part(part)
    step = (axes[0].stride * pixels.step[0], axes[1].stride * pixels.step[1])
    grid = PixelGrid(origin=corner.origin, step=step, shape=(strides.shape[0], strides.shape[1]))
    return Crop(source=whole.part(part, InputMask.over(strides, grid, pixels)), first_cell=(first_row, first_column))
