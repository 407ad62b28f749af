"""Where tiles lie on a slide: a square grid of overlapping tiles, centred on the glass."""

from dataclasses import dataclass

from napari_gigaclf.geometry import Box
from napari_gigaclf.training.mosaics.settings import MosaicSettings


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of tiles; cell (row, column) counts from the top left."""

    num: int
    """Cells along each axis."""
    tile_px: int
    overlap_px: int
    offset_px: int
    """Glass above and left of the first tile."""

    @property
    def stride_px(self) -> int:
        """Pixels from one tile to the next."""
        return self.tile_px - self.overlap_px

    def tile_box(self, row: int, column: int) -> Box:
        """Return the pixels that a cell's tile has any weight in."""
        y, x = (self.offset_px + k * self.stride_px for k in (row, column))
        return Box(y, y + self.tile_px, x, x + self.tile_px)

    def cell_bounds(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return y0, y1, x0, x1 of a cell from the middle of one seam to the middle of the next: cells touch."""
        y, x = (self.offset_px + k * self.stride_px + self.overlap_px / 2 for k in (row, column))
        return y, y + self.stride_px, x, x + self.stride_px


def make_grid(settings: MosaicSettings) -> Grid:
    """Return the largest grid that fits a slide."""
    stride = settings.tile_px - settings.overlap_px
    num = (settings.side_px - settings.overlap_px) // stride
    used = num * stride + settings.overlap_px
    return Grid(num, settings.tile_px, settings.overlap_px, (settings.side_px - used) // 2)
