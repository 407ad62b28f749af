"""Reads the tiles of a plain TIFF image by themselves, straight from where the file says they lie.

Most slides hold one image per level, in tiles or strips with all colours of a pixel together. For these no array
library is needed between the file and its decoder: opening the first slide is quicker by what zarr takes to import, and
a region by what zarr takes per tile. Whatever is stored in another way (stacks of pages, separate colour planes,
volumes) is read through zarr, see ``tiff_levels``.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box

_PLAIN_AXES = ("YX", "YXS")
_CONTIGUOUS = 1
_FEWEST_WORKERS = 3
"""With fewer threads than this, tifffile decodes one tile after the other too: two cores are busy enough."""
_TILES_PER_WORKER = 2
_Place = tuple[int, int]
"""Row and column of a tile."""


def is_plain(series: Any) -> bool:  # noqa: ANN401 - tifffile has no stable types
    """Return whether a tifffile series is one image whose tiles or strips hold all samples of their pixels."""
    if str(series.axes) not in _PLAIN_AXES or len(series.pages) != 1 or series.transform is not None:
        return False
    page = series.keyframe
    return (
        series.pages[0] is not None
        and tuple(series.shape) == tuple(page.shape)
        and len(page.chunks) == len(page.shape)
        and (page.samplesperpixel == 1 or page.planarconfig == _CONTIGUOUS)
        and not page.is_volumetric
    )


class TileReader:
    """Reads boxes of a plain image (see ``is_plain``); safe to use from several threads.

    Parameters
    ----------
    series
        The tifffile series.
    fill
        Sample of tiles that are not stored.
    workers
        Threads that decode at most; by default as many as tifffile would take.
    """

    def __init__(self, series: Any, fill: int, *, workers: int | None = None) -> None:  # noqa: ANN401 - tifffile
        self._page = series.pages[0]
        self._keyframe = series.keyframe
        self._fill = fill
        self._dtype = np.dtype(series.dtype).newbyteorder("=")
        self._samples = tuple(int(n) for n in series.shape[2:])
        self._tall, self._wide = (int(side) for side in self._keyframe.chunks[:2])
        self._columns = -(-int(series.shape[1]) // self._wide)
        self._options: dict[str, Any] = {"_fullsize": bool(self._keyframe.is_tiled)}
        if self._page.jpegtables is not None:
            self._options["jpegtables"] = self._page.jpegtables
        if self._keyframe.jpegheader is not None:
            self._options["jpegheader"] = self._keyframe.jpegheader
        self._file = self._page.parent.filehandle
        self._file.set_lock(True)  # the lock of the handle itself, shared with every other reader of the file
        self._workers = int(self._keyframe.maxworkers) if workers is None else workers

    def read(self, box: Box) -> NDArray[Any]:
        """Return the stored samples of a box inside the image, (h, w) or (h, w, samples).

        Raises
        ------
        ValueError, RuntimeError
            A tile cannot be decoded (imagecodecs and tifffile raise these and others).
        """
        block = np.full((*box.shape, *self._samples), self._fill, self._dtype)
        rows = range(box.y0 // self._tall, -(-box.y1 // self._tall))
        columns = range(box.x0 // self._wide, -(-box.x1 // self._wide))
        places = [(row, column) for row in rows for column in columns]

        def put(place: _Place) -> None:
            tile = self._tile(place)
            if tile is None:
                return
            lies = Box(0, tile.shape[0], 0, tile.shape[1]).shifted(place[0] * self._tall, place[1] * self._wide)
            common = lies.intersection(box)
            block[common.shifted(-box.y0, -box.x0).slices] = tile[common.shifted(-lies.y0, -lies.x0).slices]

        workers = min(self._workers, len(places) // _TILES_PER_WORKER)
        if workers < _FEWEST_WORKERS:
            for place in places:
                put(place)
        else:
            # Threads of our own, so that they run at the priority of the thread that asks.
            with ThreadPoolExecutor(workers, thread_name_prefix="gigaclf-tiles") as pool:
                for _ in pool.map(put, places):
                    pass
        return block

    def _tile(self, place: _Place) -> NDArray[Any] | None:
        """Return a decoded tile, (h, w) or (h, w, samples), or None where none is stored."""
        index = place[0] * self._columns + place[1]
        if index >= len(self._page.dataoffsets):
            return None  # Philips leaves out the last row of tiles
        offset, count = int(self._page.dataoffsets[index]), int(self._page.databytecounts[index])
        if offset == 0 or count == 0:
            return None
        with self._file.lock:
            self._file.seek(offset)
            data = self._file.read(count)
        decoded = self._keyframe.decode(data, index, **self._options)[0]
        tile: NDArray[Any] = decoded.reshape(*decoded.shape[1:3], *self._samples)
        if tile.dtype.itemsize != self._dtype.itemsize:
            raise ValueError(f"a tile holds samples of {tile.dtype}, not {self._dtype}")
        typed: NDArray[Any] = tile.view(self._dtype)
        return typed
