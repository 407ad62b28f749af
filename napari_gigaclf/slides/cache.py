"""Keeps the tiles decoded last, up to a number of bytes, so that neighbouring reads do not decode them again."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box

_Key = tuple[int, int, int]


class ChunkCache:
    """Least recently used decoded chunks of a slide's levels; safe to use from several threads.

    Parameters
    ----------
    max_bytes
        Bytes kept at most. A read of several chunks that needs more than half of them goes past the cache; a single
        larger chunk (a file of one strip) is kept alone, since each read would decode the whole file again otherwise.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._chunks: OrderedDict[_Key, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Bytes kept now."""
        return self._num_bytes

    def clear(self) -> None:
        """Forget all chunks."""
        with self._lock:
            self._chunks.clear()
            self._num_bytes = 0

    def read(
        self,
        level: int,
        box: Box,
        *,
        shape: tuple[int, int],
        chunks: tuple[int, int],
        pixel_bytes: int,
        fetch: Callable[[Box], NDArray[Any]],
    ) -> NDArray[Any]:
        """Return the pixels of a box inside a level, fetching only the hull of the chunks that are not kept.

        Parameters
        ----------
        level
            Number of the level, part of a chunk's name.
        box
            Pixels wanted, inside the level.
        shape, chunks
            Height and width of the level and of its chunks.
        pixel_bytes
            Bytes of one pixel with all its channels.
        fetch
            Decodes a box.
        """
        rows = range(box.y0 // chunks[0], -(-box.y1 // chunks[0]))
        columns = range(box.x0 // chunks[1], -(-box.x1 // chunks[1]))
        num_chunks = len(rows) * len(columns)
        if num_chunks > 1 and 2 * num_chunks * chunks[0] * chunks[1] * pixel_bytes > self._max_bytes:
            return fetch(box)
        kept = self._take([(level, row, column) for row in rows for column in columns])
        missing = [(row, column) for row in rows for column in columns if (level, row, column) not in kept]
        if not missing:
            return _assemble(kept, box, chunks)
        hull = _hull(missing, chunks, shape)
        block = fetch(hull)
        fresh = self._keep(level, missing, chunks, hull, block)
        return _assemble(kept | fresh, box, chunks) if kept else _cut(block, hull, box)

    def _take(self, keys: list[_Key]) -> dict[_Key, NDArray[Any]]:
        """Return those of the chunks that are kept, and mark them as used."""
        with self._lock:
            found = {key: self._chunks[key] for key in keys if key in self._chunks}
            for key in found:
                self._chunks.move_to_end(key)
            return found

    def _keep(
        self, level: int, places: list[tuple[int, int]], chunks: tuple[int, int], hull: Box, block: NDArray[Any]
    ) -> dict[_Key, NDArray[Any]]:
        """Cut a fetched block into chunks, keep copies of them, forget the oldest."""
        fresh: dict[_Key, NDArray[Any]] = {}
        for row, column in places:
            y, x = row * chunks[0] - hull.y0, column * chunks[1] - hull.x0
            fresh[level, row, column] = block[y : y + chunks[0], x : x + chunks[1]].copy()
        with self._lock:
            for key, chunk in fresh.items():
                old = self._chunks.pop(key, None)
                self._chunks[key] = chunk
                self._num_bytes += chunk.nbytes - (0 if old is None else old.nbytes)
            while self._num_bytes > self._max_bytes and len(self._chunks) > 1:
                _, dropped = self._chunks.popitem(last=False)
                self._num_bytes -= dropped.nbytes
        return fresh


def _hull(places: list[tuple[int, int]], chunks: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the smallest box that holds the chunks, cut at the level's edge."""
    rows, columns = [row for row, _ in places], [column for _, column in places]
    return Box(
        min(rows) * chunks[0],
        min((max(rows) + 1) * chunks[0], shape[0]),
        min(columns) * chunks[1],
        min((max(columns) + 1) * chunks[1], shape[1]),
    )


def _cut(block: NDArray[Any], origin: Box, box: Box) -> NDArray[Any]:
    """Return the part of a block that lies in a box, as its own array."""
    part: NDArray[Any] = np.ascontiguousarray(block[box.shifted(-origin.y0, -origin.x0).slices])
    return part


def _assemble(kept: dict[_Key, NDArray[Any]], box: Box, chunks: tuple[int, int]) -> NDArray[Any]:
    """Put a box together from its chunks."""
    first = next(iter(kept.values()))
    result: NDArray[Any] = np.empty((*box.shape, *first.shape[2:]), first.dtype)
    for (_, row, column), chunk in kept.items():
        place = Box(0, chunk.shape[0], 0, chunk.shape[1]).shifted(row * chunks[0], column * chunks[1])
        common = place.intersection(box)
        source = chunk[common.shifted(-place.y0, -place.x0).slices]
        result[common.shifted(-box.y0, -box.x0).slices] = source
    return result
