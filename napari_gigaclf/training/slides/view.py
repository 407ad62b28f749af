"""A slide as a training network sees it: at the recipe's scale, its background white, lazily.

What is seen of a slide without changes and without a window is, pixel by pixel and cell by cell, what ``classify``
shows a network of the same scale.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import ModelError
from napari_gigaclf.geometry import Box
from napari_gigaclf.inference.cells import CellAxis, bounds, cell_grid
from napari_gigaclf.inference.masking import InputMask, MaskedImage
from napari_gigaclf.inference.preparation import tissue_cells
from napari_gigaclf.inference.resample import LevelImage
from napari_gigaclf.inference.scale import InputScale, plan_scale
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.tissue import TissueMask, find_tissue

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gigaclf.slides import Slide


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideView:
    """A slide opened for training."""

    slide: "Slide"
    scale: InputScale
    tissue: TissueMask | None
    """None: everything is looked at."""
    whole: MaskedImage
    """The whole slide at the network's scale; source of the engine."""
    shown: InputMask | None
    """Which pixels of it are tissue."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the whole slide at the network's scale, pixels."""
        return self.scale.grid.shape

    @property
    def tissue_box(self) -> Box:
        """Smallest box of the input that holds all tissue; the whole where there is none, or no mask."""
        if self.shown is None or not self.shown.shown.any():
            return Box(0, self.shape[0], 0, self.shape[1])
        box = bounds(self.shown.shown)
        y, x = (
            np.flatnonzero((place >= first) & (place < last))
            for place, first, last in (
                (self.shown.row_of, box.y0, box.y1), (self.shown.column_of, box.x0, box.x1)
            )
        )  # fmt: skip
        return Box(int(y[0]), int(y[-1]) + 1, int(x[0]), int(x[-1]) + 1)

    def cells(self, axes: tuple[CellAxis, CellAxis], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which cells of the whole slide's map, of this shape, are pooled: tissue, or all if there is none."""
        found = tissue_cells(self.tissue, cell_grid(self.scale.grid, axes, shape))
        return found if found.any() else np.ones(shape, dtype=np.bool_)


def open_view(path: "Path", *, um_per_px: float, slide_um_per_px: float | None, tissue: bool | TissueMask) -> SlideView:
    """Open a slide and find its tissue.

    Parameters
    ----------
    path
        File or folder.
    um_per_px
        Scale of the network's input.
    slide_um_per_px
        Micrometres per pixel of level 0; None: what the file says.
    tissue
        Whether background becomes white; a mask that was found before is not looked for again.

    Raises
    ------
    SlideError
        If it cannot be opened or read.
    ScaleError
        If its scale is unknown or too coarse.
    ModelError
        If it is no 8-bit RGB brightfield slide.
    """
    slide = open_slide(path, um_per_px=slide_um_per_px)
    try:
        return view_of(slide, um_per_px, tissue=tissue)
    except BaseException:
        slide.close()
        raise


def check_brightfield(slide: "Slide") -> None:
    """Refuse a slide that networks cannot be trained on.

    Raises
    ------
    ModelError
        If it is no 8-bit RGB brightfield slide.
    """
    if not slide.is_brightfield:
        raise ModelError(f"{slide.name}: networks are trained on 8-bit RGB brightfield slides, and this is none")


def view_of(slide: "Slide", um_per_px: float, *, tissue: bool | TissueMask) -> SlideView:
    """Return the view of a slide."""
    check_brightfield(slide)
    scale = plan_scale(slide.levels, slide.um_per_px, um_per_px)
    mask = tissue if isinstance(tissue, TissueMask) else find_tissue(slide) if tissue else None
    level = slide.levels[scale.level]
    image = LevelImage(slide, scale.level, (level.height, level.width), scale.factor, scale.grid.shape)
    shown = None if mask is None else InputMask.of_tissue(mask, scale.grid)
    box = Box(0, scale.grid.shape[0], 0, scale.grid.shape[1])
    whole = MaskedImage(image, box, () if shown is None else (shown,))
    return SlideView(slide=slide, scale=scale, tissue=mask, whole=whole, shown=shown)
