"""Cells of made-up slides with their truth: what the phantom's classifier learns from and is measured on.

A cell is tumour if at least a quarter of its central 32 x 32 px is.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.models.networks.cell_net import CELL_PX, CONTEXT_PX
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.training.tiles import Tiles

UM_PER_PX = 1.0
"""Scale of the model."""
TUMOUR_SHARE = 0.25
"""Share of a cell that must be tumour for it to be called so."""
_GLASS = 225.0
"""Mean intensity above which a pixel is glass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellImage:
    """A phantom at the model's scale with the truth per cell."""

    image: NDArray[np.uint8]
    """(H, W, 3), H and W multiples of 32."""
    share: NDArray[np.float32]
    """(H // 32, W // 32), share of each cell that is tumour."""
    tissue: NDArray[np.bool_]
    """(H // 32, W // 32), whether at least half of the cell is tissue."""


def cell_image(
    seed: int, side_cells: int, *, from_finer: bool, jpeg_quality: int | None, white_glass: bool
) -> CellImage:
    """Render a phantom and its truth.

    Parameters
    ----------
    seed
        The phantom's seed.
    side_cells
        Height and width in cells.
    from_finer
        True renders at half the model's scale and takes means of 2 x 2 pixels, as a slide's coarse level is made.
    jpeg_quality
        Compress and decompress as a slide is stored; None leaves the pixels as they are.
    white_glass
        True turns glass into pure white, as a tissue mask does.
    """
    side = side_cells * CELL_PX
    slide = PhantomSlide(seed, shape=(2 * side, 2 * side), um_per_px=UM_PER_PX / 2)
    if from_finer:
        fine = slide.read(0, 0, 2 * side, 0, 2 * side)
        image = np.rint(fine.reshape(side, 2, side, 2, 3).mean((1, 3))).astype(np.uint8)
    else:
        image = np.asarray(slide.read(1, 0, side, 0, side))
    if jpeg_quality is not None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=jpeg_quality)
        image = np.asarray(Image.open(buffer))
    glass = image.mean(axis=-1) > _GLASS
    if white_glass:
        image = np.where(glass[..., None], np.uint8(255), image)
    step = 2.0 * CELL_PX
    grid = PixelGrid(origin=(0.0, 0.0), step=(step, step), shape=(side_cells, side_cells))
    tissue = 1.0 - glass.reshape(side_cells, CELL_PX, side_cells, CELL_PX).mean((1, 3))
    return CellImage(image=image, share=slide.tumour_fraction(grid), tissue=tissue >= 0.5)


def tiles_of(seeds: Iterable[int], side_cells: int, per_class: int) -> Tiles:
    """Return up to ``per_class`` tumour cells, as many others, and a few of glass from each seed, in their context.

    Rendering varies with the seed: a quarter from the finer level, JPEG quality 70 to 95, glass white in half of them.
    """
    images, labels = [], []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        quality = int(generator.integers(70, 96))
        cells = cell_image(
            seed, side_cells, from_finer=seed % 4 == 0, jpeg_quality=quality, white_glass=bool(seed // 4 % 2)
        )
        margin = (CONTEXT_PX - CELL_PX) // 2
        framed = np.pad(cells.image, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
        tumour = cells.share >= TUMOUR_SHARE
        for group, count in ((tumour, per_class), (~tumour & cells.tissue, per_class), (~tumour & ~cells.tissue, 8)):
            places = np.argwhere(group)
            for row, column in generator.permutation(places)[:count] * CELL_PX:
                images.append(framed[row : row + CONTEXT_PX, column : column + CONTEXT_PX])
                labels.append(int(group is tumour))
    return Tiles(images=np.stack(images), labels=np.array(labels, np.int64))
