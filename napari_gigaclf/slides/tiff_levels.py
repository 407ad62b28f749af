"""The levels of a TIFF slide: which of its images form the pyramid, and how a region of one is read.

A TIFF holds a list of images. Some are the same picture at several sizes; others are the paper label, an overview
camera shot or a thumbnail, which must never be taken for a level. A level is accepted only if it is smaller than the
one before and shows the same picture to within a pixel.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import SlideError
from napari_gigaclf.geometry import Box
from napari_gigaclf.slides.colour import Colours
from napari_gigaclf.slides.level import same_picture
from napari_gigaclf.slides.limits import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_SIDE
from napari_gigaclf.slides.tiff_guard import guard_decoding
from napari_gigaclf.slides.tiff_tiles import TileReader, is_plain

CHANNEL_AXES = "CS"
PLANE_AXES = "ZIQRH"
"""Axes that count as focal planes: Z, and the unnamed axes of a stack of pages."""
_NEVER_LEVEL = ("label", "macro", "thumbnail", "overview")
_MACRO_SUBFILE = 9
MAPPED_CHUNK = 512
"""Side of the chunks said of an uncompressed image, any part of which can be read by itself."""


def image_size(series: Any) -> tuple[int, int]:  # noqa: ANN401 - tifffile has no stable types
    """Return (height, width) of a tifffile series; (0, 0) if it is no image."""
    axes, shape = str(series.axes), tuple(series.shape)
    if axes.count("Y") != 1 or axes.count("X") != 1:
        return (0, 0)
    return (int(shape[axes.index("Y")]), int(shape[axes.index("X")]))


def _may_be_level(finest: Any, other: Any) -> bool:  # noqa: ANN401 - tifffile
    """Return whether a separate series could be a coarser level that tifffile did not join."""
    page, first = other.keyframe, finest.keyframe
    description = str(page.description).lower()
    return (
        other.axes == finest.axes
        and other.dtype == finest.dtype
        and page.samplesperpixel == first.samplesperpixel
        and page.photometric == first.photometric
        and page.subfiletype != _MACRO_SUBFILE
        and not any(word in description for word in _NEVER_LEVEL)
    )


def pyramid(finest: Any, others: list[Any]) -> list[Any]:  # noqa: ANN401 - tifffile
    """Return the series that form the pyramid, fine to coarse.

    Parameters
    ----------
    finest
        The series of level 0 with the levels tifffile joined to it.
    others
        Series of a generic TIFF which may be further levels: tifffile joins only by one factor of 2, 3 or 4.
    """
    first = finest.levels[0]
    size0 = image_size(first)
    joined = list(finest.levels[1:]) + [s for s in others if _may_be_level(first, s)]
    levels = [first]
    for level in sorted(joined, key=lambda s: -image_size(s)[0] * image_size(s)[1]):
        size = image_size(level)
        if same_picture(size0, size) and same_picture(image_size(levels[-1]), size):
            levels.append(level)
    return levels


def zarr_array(series: Any, level: int, fill: int) -> Any:  # noqa: ANN401 - tifffile and zarr
    """Return one level of a series as a zarr array, whatever the versions of tifffile and zarr.

    tifffile before 2026.5 gives a zarr-2 store, later ones a zarr-3 store; either opens as a group where tifffile sees
    a pyramid, else as an array.
    """
    import zarr

    opened = zarr.open(series.levels[level].aszarr(level=0, fillvalue=fill), mode="r")
    return opened if isinstance(opened, zarr.Array) else opened["0"]


def _bound_byte_counts(series: Any, num_places: int) -> NDArray[np.bool_]:  # noqa: ANN401 - tifffile
    """Cut byte counts that reach beyond the end of the file: tifffile takes that much memory before it reads.

    Returns
    -------
    NDArray
        Per place of a tile (row by row) whether it begins beyond the end of the file: it is lost, not missing, and must
        not be taken for glass.
    """
    lost = np.zeros(num_places, dtype=np.bool_)
    for page in series.pages:
        if page is None:
            continue
        length = int(page.parent.filehandle.size)
        stored = min(len(page.dataoffsets), len(page.databytecounts))
        offsets = np.asarray(page.dataoffsets[:stored], dtype=np.uint64)
        beyond = (offsets >= length) & (np.asarray(page.databytecounts[:stored], dtype=np.uint64) > 0)
        places = np.flatnonzero(beyond)
        lost[places % num_places] = True
        if max(page.databytecounts, default=0) > length or len(places):
            page.databytecounts = tuple(
                min(int(count), max(0, length - int(offset)))
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
            )
    return lost


def _mappable(series: Any) -> bool:  # noqa: ANN401 - tifffile
    """Return whether the pixels lie in the file as they are, one after the other: no strip need be read whole."""
    page = series.keyframe
    return len(series.pages) == 1 and not page.is_tiled and bool(page.is_memmappable)


def _mapped_array(series: Any) -> NDArray[Any]:  # noqa: ANN401 - tifffile
    """Return an uncompressed image as an array over the file, of which only what is indexed gets read."""
    page = series.keyframe
    mapped: NDArray[Any] = page.parent.filehandle.memmap_array(
        page.parent.byteorder + page.dtype.char, tuple(series.shape), page.dataoffsets[0]
    )
    return mapped


class TiffLevel:
    """Reads boxes of one level of a TIFF, with missing tiles filled.

    Parameters
    ----------
    path
        Names the file in errors.
    series
        The level's tifffile series.
    colours
        How samples become pixels.
    z
        Focal plane.
    """

    def __init__(self, path: str, series: Any, colours: Colours, z: int) -> None:  # noqa: ANN401 - tifffile
        self.series = series
        self._colours = colours
        self._arrays: dict[int, Any] = {}
        self._plain = is_plain(series)
        self._lock = threading.Lock()
        self._mapped = False
        self._path = path
        self._bounded = False
        self._lost: NDArray[np.bool_] | None = None
        self._axes = str(series.axes)
        self.size = image_size(series)
        self._index = self._fixed_index(z)
        self._order = [self._axes.index("Y"), self._axes.index("X")]
        self._order += [i for i, axis in enumerate(self._axes) if axis in CHANNEL_AXES]
        self.chunks = self._checked_chunks(path)

    def _fixed_index(self, z: int) -> list[Any]:
        """Return the index of every axis but y and x; axes that are neither channels nor planes stay at 0."""
        index: list[Any] = []
        free = z
        for axis, length in zip(self._axes, self.series.shape, strict=True):
            if axis in CHANNEL_AXES or axis in "YX":
                index.append(slice(None))
            elif axis in PLANE_AXES and length > 1:
                index.append(min(free, length - 1))
                free = 0
            else:
                index.append(0)
        return index

    def _checked_chunks(self, path: str) -> tuple[int, int]:
        """Return (height, width) of a tile or strip after comparing sizes with the limits."""
        page = self.series.keyframe
        if max(self.size) > MAX_SIDE:
            raise SlideError(path, f"a level of {self.size[0]} x {self.size[1]} pixels is larger than is supported")
        tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        tall, wide = min(int(tall), self.size[0]), min(int(wide), self.size[1])
        if tall < 1 or wide < 1:
            raise SlideError(path, f"tiles of {tall} x {wide} pixels")
        chunk_bytes = math.prod(int(side) for side in page.chunks) * page.dtype.itemsize
        if chunk_bytes > MAX_CHUNK_BYTES:
            if _mappable(self.series):
                self._mapped = True
                return (min(MAPPED_CHUNK, self.size[0]), min(MAPPED_CHUNK, self.size[1]))
            raise SlideError(
                path,
                f"its pixels are stored in blocks of {chunk_bytes / 2**20:.0f} MiB and at most "
                f"{MAX_CHUNK_BYTES / 2**20:.0f} MiB are read; convert it into a tiled pyramid first",
            )
        if -(-self.size[0] // tall) * -(-self.size[1] // wide) > MAX_CHUNKS:
            raise SlideError(path, f"a level of {self.size[0]} x {self.size[1]} pixels in tiles of {tall} x {wide}")
        return (tall, wide)

    def _array(self, fill: int) -> Any:  # noqa: ANN401 - TileReader, numpy or zarr array
        """Return what reads the pixels, with a fill for missing tiles; made once."""
        with self._lock:
            if fill not in self._arrays:
                self._bound()
                guard_decoding(self.series.keyframe)
                if self._mapped:
                    self._arrays[fill] = _mapped_array(self.series)
                elif self._plain:
                    self._arrays[fill] = TileReader(self.series, fill)
                else:
                    self._arrays[fill] = zarr_array(self.series, 0, fill)
            return self._arrays[fill]

    def _bound(self) -> None:
        """Compare where tiles are said to lie with the length of the file, once."""
        if self._bounded or self._mapped:
            return
        self._bounded = True
        rows, columns = (-(-side // chunk) for side, chunk in zip(self.size, self.chunks, strict=True))
        lost = _bound_byte_counts(self.series, rows * columns)
        if lost.any():
            self._lost = lost.reshape(rows, columns)

    def fetch(self, box: Box, fill: int) -> NDArray[Any]:
        """Return the pixels of a box inside the level, (h, w, c)."""
        array = self._array(fill)
        self._refuse_lost(box)
        block = array.read(box).reshape(*box.shape, -1) if isinstance(array, TileReader) else self._indexed(array, box)
        pixels: NDArray[Any] = self._colours.apply(block).astype(self._colours.dtype, copy=False)
        return pixels

    def _indexed(self, array: Any, box: Box) -> NDArray[Any]:  # noqa: ANN401 - numpy or zarr array
        """Return the samples of a box of an array with the axes of the series, (h, w, stored)."""
        index = list(self._index)
        index[self._order[0]], index[self._order[1]] = box.slices
        block = np.asarray(array[tuple(index)])
        kept = [i for i, part in enumerate(index) if isinstance(part, slice)]
        return block.transpose([kept.index(axis) for axis in self._order]).reshape(*box.shape, -1)

    def _refuse_lost(self, box: Box) -> None:
        """Raise if a tile of the box lies beyond the end of the file."""
        if self._lost is None:
            return
        tall, wide = self.chunks
        if self._lost[box.y0 // tall : -(-box.y1 // tall), box.x0 // wide : -(-box.x1 // wide)].any():
            raise SlideError(
                self._path,
                f"the file is cut short: {int(self._lost.sum())} of {self._lost.size} tiles of a level lie beyond its "
                "end; copy it again",
            )

    def present_chunks(self, most: int) -> list[Box]:
        """Return boxes of up to ``most`` tiles that are stored, spread evenly over the first plane."""
        with self._lock:
            self._bound()  # tiles that are lost count as not stored
        counts = np.asarray(self.series.keyframe.databytecounts)
        columns = -(-self.size[1] // self.chunks[1])
        places = np.flatnonzero(counts)[: columns * -(-self.size[0] // self.chunks[0])]
        chosen = places[np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)]
        bounds = Box(0, self.size[0], 0, self.size[1])
        boxes = []
        for place in chosen:
            y, x = int(place) // columns * self.chunks[0], int(place) % columns * self.chunks[1]
            boxes.append(Box(y, y + self.chunks[0], x, x + self.chunks[1]).intersection(bounds))
        return [box for box in boxes if not box.empty]
