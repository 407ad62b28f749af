"""What the network is shown: tissue as it is, everything else as one constant white.

Each mask is a raster of yes and no over the input. A pixel is shown where the mask pixel holding its centre says yes,
in every mask; elsewhere it is white. A region that some mask leaves out entirely is *known* to be white without being
read, which is how the engine skips glass exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.resample import Image, LevelImage
from napari_gigaclf.slides.mask_sums import Sums, integral

if TYPE_CHECKING:
    from napari_gigaclf.slides.tissue import TissueMask

WHITE = 1.0
"""Value of everything left out, in each channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputMask:
    """A raster of yes and no, seen from the pixels of the input."""

    shown: NDArray[np.bool_]
    """Yes and no, (rows, columns)."""
    row_of: NDArray[np.intp]
    """Row of the raster that holds the centre of each input row."""
    column_of: NDArray[np.intp]
    """Column of the raster that holds the centre of each input column."""
    total: Sums
    """Number of yes above and to the left, (rows + 1, columns + 1)."""

    @classmethod
    def over(
        cls,
        shown: NDArray[np.bool_],
        mask_grid: PixelGrid,
        input_grid: PixelGrid,
        sums: "Callable[[], Sums] | None" = None,
    ) -> "InputMask":
        """Lay a raster over the input; pixels beyond the raster's edge take the nearest of its values.

        Parameters
        ----------
        shown
            Yes and no, (rows, columns).
        mask_grid, input_grid
            Places of the raster and of the input's pixels over level 0.
        sums
            Gives the sum of the whole raster, if somebody keeps it; asked only where the whole raster is used.
        """
        # Mask pixels that hold no centre are dropped, so that counts over a box are exact.
        rows, row_of = np.unique(_holder(input_grid, mask_grid, axis=0), return_inverse=True)
        columns, column_of = np.unique(_holder(input_grid, mask_grid, axis=1), return_inverse=True)
        if (len(rows), len(columns)) != shown.shape:
            shown = shown[np.ix_(rows, columns)]
            sums = None
        return cls(shown=shown, row_of=row_of, column_of=column_of, total=integral(shown) if sums is None else sums())

    @classmethod
    def of_tissue(cls, tissue: "TissueMask", input_grid: PixelGrid) -> "InputMask":
        """Lay a tissue mask over the input; its sum, 160 MB for a gigapixel slide, is shared by all that do."""
        return cls.over(tissue.mask, tissue.grid, input_grid, sums=lambda: tissue.sums)

    def none_shown(self, box: Box) -> bool:
        """Return True if no pixel of a box of the input is shown."""
        y0, y1 = int(self.row_of[box.y0]), int(self.row_of[box.y1 - 1]) + 1
        x0, x1 = int(self.column_of[box.x0]), int(self.column_of[box.x1 - 1]) + 1
        total = self.total
        return bool(total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0] == 0)

    def crop(self, box: Box) -> NDArray[np.bool_]:
        """Return which pixels of a box of the input are shown, (y, x)."""
        return self.shown[np.ix_(self.row_of[box.y0 : box.y1], self.column_of[box.x0 : box.x1])]


def _holder(pixels: PixelGrid, raster: PixelGrid, axis: int) -> NDArray[np.intp]:
    """Return, for each pixel along an axis, the raster position that holds its centre."""
    centre = pixels.origin[axis] + (np.arange(pixels.shape[axis]) + 0.5) * pixels.step[axis]
    index: NDArray[np.float64] = np.floor((centre - raster.origin[axis]) / raster.step[axis])
    return index.clip(0, raster.shape[axis] - 1).astype(np.intp)


def share_shown(shown: NDArray[np.bool_], mask_grid: PixelGrid, cells: PixelGrid) -> NDArray[np.float64]:
    """Return the share of each cell's area that a raster covers with yes, (rows, columns), 0 to 1.

    The integral image, interpolated linearly along each axis, is the exact area of a raster of constant pixels.
    """
    touched, places = [], []  # of a large raster only what the cells lie over is added up
    for axis in (0, 1):
        edges = cells.origin[axis] + np.arange(cells.shape[axis] + 1) * cells.step[axis]
        place = np.clip((edges - mask_grid.origin[axis]) / mask_grid.step[axis], 0, mask_grid.shape[axis])
        first = min(int(place[0]), max(mask_grid.shape[axis] - 1, 0))
        touched.append(slice(first, max(first + 1, int(np.ceil(place[-1])))))
        places.append(place - first)
    total: NDArray[Any] = integral(shown[tuple(touched)])  # whole numbers until few enough rows are left
    for axis, place in enumerate(places):
        below = np.minimum(np.floor(place).astype(np.intp), max(total.shape[axis] - 2, 0))
        part = (place - below).reshape((-1, 1) if axis == 0 else (1, -1))
        total = np.take(total, below, axis) * (1 - part) + np.take(total, below + 1, axis) * part
        total = np.diff(total, axis=axis)
    area = cells.step[0] * cells.step[1] / (mask_grid.step[0] * mask_grid.step[1])
    share: NDArray[np.float64] = total / area
    return share


class MaskedImage:
    """The engine's source: a box of the input with what is masked out made white.

    Parameters
    ----------
    image
        The input, whole slide.
    box
        Part of the input that is the source, pixels of the input.
    masks
        Rasters that say what is shown; none shows everything.
    """

    dtype = np.dtype(np.float32)
    """Type of the pixels, values in [0, 1]."""

    def __init__(self, image: LevelImage, box: Box, masks: tuple[InputMask, ...] = ()) -> None:
        self._image = image
        self._masks = masks
        self.box = box
        self.num_reads = 0
        """Regions read so far, glass among them."""

    def part(self, box: Box, *further: InputMask) -> "MaskedImage":
        """Return another box of the same input as a source, with further masks."""
        return MaskedImage(self._image, box, (*self._masks, *further))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (3, *self.box.shape)

    @property
    def flat_value(self) -> Image | None:
        """The constant of masked regions, (C,); None if nothing is masked."""
        return np.full(3, WHITE, dtype=np.float32) if self._masks else None

    def is_flat(self, *slices: slice) -> bool:
        """Return True if a region, (rows, columns) of the source, is masked out entirely."""
        box = self._inner(*slices)
        return any(mask.none_shown(box) for mask in self._masks)

    def read(self, *slices: slice) -> Image:
        """Return a region, (rows, columns) of the source, as (3, y, x); the file is not touched where all is masked."""
        box = self._inner(*slices)
        self.num_reads += 1
        if any(mask.none_shown(box) for mask in self._masks):
            return np.full((3, *box.shape), WHITE, dtype=np.float32)
        pixels = self._image.read(*box)
        pixels[:, ~self._shown(box)] = WHITE
        return pixels

    def shown(self, *slices: slice) -> NDArray[np.bool_]:
        """Return which pixels of a region, (rows, columns) of the source, are the slide's own, (y, x)."""
        return self._shown(self._inner(*slices))

    def _shown(self, box: Box) -> NDArray[np.bool_]:
        """Combine the masks over a box of the input."""
        shown = np.ones(box.shape, dtype=np.bool_)
        for mask in self._masks:
            shown &= mask.crop(box)
        return shown

    def _inner(self, rows: slice, columns: slice) -> Box:
        """Turn slices of the source into a box of the input."""
        y0, y1, _ = rows.indices(self.box.shape[0])
        x0, x1, _ = columns.indices(self.box.shape[1])
        return Box(y0, y1, x0, x1).shifted(self.box.y0, self.box.x0)
