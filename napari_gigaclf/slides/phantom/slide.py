"""The phantom as a slide: levels, regions, and the truth about its tumours.

A phantom is a stand-in for a real slide of which everything is known: where the tissue is, where the tumours are, down
to a few cells. It is computed where it is looked at, so it may be as large as one likes. The same seed, size and scale
give the same pixels, for as long as ``PHANTOM_VERSION`` stays the same; a change of appearance raises it.

Known weakness: nobody's pathology. The tissue is a caricature, and a model which knows it knows nothing of real tissue.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.progress import ProgressCallback
from napari_gigaclf.slides.array import ArraySlide, SlideFacts
from napari_gigaclf.slides.level import LevelSource
from napari_gigaclf.slides.limits import MAX_READ_BYTES
from napari_gigaclf.slides.phantom.fields import Fields
from napari_gigaclf.slides.phantom.layout import TumourKind, make_layout
from napari_gigaclf.slides.phantom.noise import Noise
from napari_gigaclf.slides.phantom.render import Painter
from napari_gigaclf.slides.phantom.stain import Camera, make_stain
from napari_gigaclf.slides.slide import PHANTOM_FORMAT

PHANTOM_VERSION: Final = 1
"""Version of the appearance: pixels are the same for the same seed, shape and scale while this stays the same."""

CHUNK: Final = 512
_BLOCK: Final = 1024
_COARSEST: Final = 1024
_LARGEST_SIDE: Final = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class TumourRegion:
    """A tumour of the phantom."""

    kind: TumourKind
    """``"macro"`` (parts of a mm to mm), ``"micro"`` (0.1 to 0.6 mm) or ``"cells"`` (a few cells)."""
    polygon: shapely.Polygon
    """Its outline, (x, y), level-0 pixels, corner convention."""
    area_um2: float


class PhantomSlide(ArraySlide):
    """A procedural slide stained with haematoxylin and eosin; implements ``Slide``.

    Parameters
    ----------
    seed
        Everything that is random follows from it: layout, tissue, stain, blur.
    shape
        Height and width of level 0 in pixels.
    um_per_px
        Micrometres per pixel of level 0.
    tumour
        False gives the same kind of slide without any tumour.

    Raises
    ------
    SlideError
        If the size or the scale make no sense.

    Examples
    --------
    >>> slide = PhantomSlide(1, shape=(2048, 2048))
    >>> slide.read(0, 1000, 1010, 1000, 1020).shape
    (10, 20, 3)
    """

    def __init__(
        self, seed: int, shape: tuple[int, int] = (8192, 8192), um_per_px: float = 0.5, *, tumour: bool = True
    ) -> None:
        height, width = int(shape[0]), int(shape[1])
        name = f"phantom-{seed}"
        if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
            raise SlideError(name, f"a phantom has 1 to {_LARGEST_SIDE} pixels along each side, not {height} x {width}")
        if not 0.05 <= um_per_px <= 20.0:
            raise SlideError(name, f"a phantom has between 0.05 and 20 um per pixel, not {um_per_px}")
        self.seed = int(seed)
        self._um = float(um_per_px)
        noise = Noise(self.seed)
        self._layout = make_layout(self.seed, noise, height * self._um, width * self._um, tumour=tumour)
        stain = make_stain(self.seed)
        self._camera = Camera(self.seed, stain)
        self._painter = Painter(self.seed, Fields(self.seed, self._layout, noise), stain.blur_um)
        facts = SlideFacts(
            name=name,
            path=None,
            format=PHANTOM_FORMAT,
            dtype=np.dtype(np.uint8),
            num_channels=3,
            um_per_px=(self._um, self._um),
            um_per_px_source="phantom",
            properties={
                "phantom.seed": str(self.seed),
                "phantom.version": str(PHANTOM_VERSION),
                "phantom.tumour": str(tumour),
            },
        )
        self._closed = False
        text = f"phantom {PHANTOM_VERSION} {self.seed} {height} {width} {self._um!r} {tumour}"
        super().__init__(
            facts,
            list(self._sources(height, width)),
            kind="brightfield",
            fingerprint=lambda: hashlib.sha256(text.encode()).hexdigest(),
            on_close=self._note_closed,
        )

    def _note_closed(self) -> None:
        self._closed = True

    def _sources(self, height: int, width: int) -> Iterator[LevelSource]:
        for level in range(64):
            step = 2**level
            shape = (-(-height // step), -(-width // step))
            yield LevelSource(
                shape=shape,
                chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
                fetch=partial(self._compute, level),
                step=(float(step), float(step)),
            )
            if max(shape) <= _COARSEST:
                return

    def read(self, level: int, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Read a half-open region, as ``Slide.read``; it is computed alone, without the chunks around it."""
        box = Box(y0, y1, x0, x1)
        if not self._closed and 0 <= level < len(self.levels) and not box.empty:
            whole = self.levels[level]
            inside = box.intersection(Box(0, whole.height, 0, whole.width))
            if inside == box and box.shape[0] * box.shape[1] * 3 <= MAX_READ_BYTES:
                return self._compute(level, box)
        return super().read(level, y0, y1, x0, x1)

    def _compute(self, level: int, box: Box) -> NDArray[np.uint8]:
        """Return the pixels of a box inside a level, block by block so that memory stays bounded."""
        out = np.empty((*box.shape, 3), dtype=np.uint8)
        for y in range(box.y0, box.y1, _BLOCK):
            for x in range(box.x0, box.x1, _BLOCK):
                block = Box(y, min(y + _BLOCK, box.y1), x, min(x + _BLOCK, box.x1))
                out[block.shifted(-box.y0, -box.x0).slices] = self._paint(level, block)
        return out

    def _paint(self, level: int, box: Box) -> NDArray[np.uint8]:
        um_per_px = self._um * 2**level
        haematoxylin, eosin = self._painter.dyes(box, (um_per_px, um_per_px))
        rows, columns = np.arange(box.y0, box.y1), np.arange(box.x0, box.x1)
        return self._camera.expose(haematoxylin, eosin, level=level, rows=rows, columns=columns)

    def save(self, path: str | Path, *, quality: int = 80, progress: ProgressCallback | None = None) -> Path:
        """Write the slide as a pyramidal OME-TIFF with JPEG tiles of 256 and um per pixel; memory stays bounded.

        Coarser levels are exact means of level 0, not the direct painting that ``read`` gives for them.

        Parameters
        ----------
        path
            ``.ome.tif`` or ``.ome.tiff``.
        quality
            JPEG quality, 1 to 100.
        progress
            Told after each row of tiles (unit ``"row"``).

        Raises
        ------
        OutputError
            If the file cannot be written; nothing half written is left.
        """
        from napari_gigaclf.slides.phantom.export import save_pyramid

        name = f"phantom, seed {self.seed}, version {PHANTOM_VERSION}"
        return save_pyramid(self, path, quality=quality, name=name, progress=progress)

    def truth(self) -> list[TumourRegion]:
        """Return the tumours with their exact outlines, largest kinds first as they were placed."""
        regions = []
        for tumour in self._layout.tumours:
            corners = tumour.outline.vertices_um()
            polygon = shapely.Polygon(corners[:, ::-1] / self._um)
            regions.append(TumourRegion(kind=tumour.kind, polygon=polygon, area_um2=float(polygon.area) * self._um**2))
        return regions

    def tumour_polygons(self) -> list[shapely.Polygon]:
        """Return the tumours' outlines, (x, y), level-0 pixels."""
        return [region.polygon for region in self.truth()]

    def tumour_mask(self, box: Box, step: float = 1.0) -> NDArray[np.bool_]:
        """Return where a raster's pixel centres lie in a tumour.

        Parameters
        ----------
        box
            Region of level 0, in pixels.
        step
            Side of a mask pixel, in level-0 pixels; the mask has as many as fit into the box, rounded up.
        """
        height, width = box.shape
        shape = (int(np.ceil(height / step)), int(np.ceil(width / step)))
        grid = PixelGrid(origin=(float(box.y0), float(box.x0)), step=(step, step), shape=shape)
        return self._share_inside(grid, 1) > 0.5

    def tumour_fraction(self, grid: PixelGrid, samples: int = 8) -> NDArray[np.float32]:
        """Return for each pixel of a grid over level 0 the share of it that is tumour (samples x samples points)."""
        return self._share_inside(grid, samples)

    def _share_inside(self, grid: PixelGrid, samples: int) -> NDArray[np.float32]:
        share = np.zeros(grid.shape, dtype=np.float32)
        offsets = (np.arange(samples) + 0.5) / samples
        for polygon in self.tumour_polygons():
            x0, y0, x1, y1 = polygon.bounds
            top, left = grid.index_of((y0, x0))
            bottom, right = grid.index_of((y1, x1))
            near = Box(top, bottom + 1, left, right + 1).intersection(Box(0, grid.shape[0], 0, grid.shape[1]))
            if near.empty:
                continue
            shapely.prepare(polygon)
            for strip in range(near.y0, near.y1, 256):
                part = Box(strip, min(strip + 256, near.y1), near.x0, near.x1)
                rows = (np.arange(part.y0, part.y1)[:, None] + offsets).ravel() * grid.step[0] + grid.origin[0]
                columns = (np.arange(part.x0, part.x1)[:, None] + offsets).ravel() * grid.step[1] + grid.origin[1]
                inside = shapely.contains_xy(polygon, *np.meshgrid(columns, rows))
                h, w = part.shape
                share[part.slices] += inside.reshape(h, samples, w, samples).mean(axis=(1, 3), dtype=np.float32)
        return np.minimum(share, np.float32(1))
