"""Arrays as sources: numpy, zarr, dask, anything with a shape that is read by slices.

Tiles and the chunks of a compressed array do not fit each other, so that a chunk would be decoded for every tile it
touches. It is held instead until all of its positions have been read, which in a pass over the image is once.
"""

from collections import OrderedDict
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIPS_HELD = 2
"""Decoded chunks held at most, in strips of chunks across the image: what a strip of tiles leaves half read, and what
it took over half read."""

Place = tuple[int, ...]


class ArraySource:
    """An array ``(C, *space)`` as a source.

    Parameters
    ----------
    array
        Has ``shape``, ``dtype`` and is read by slices. Its ``chunks``, if they are one length per axis, are decoded
        once.
    """

    def __init__(self, array: Any) -> None:  # noqa: ANN401 - anything array-like
        self.array = array
        self.shape = tuple(int(size) for size in array.shape)
        self.dtype = array.dtype
        self.chunks = _chunks_over_space(array)
        self._held: OrderedDict[Place, _Chunk] = OrderedDict()
        self._most = 0
        if self.chunks is not None:
            counts = [-(-n // c) for n, c in zip(self.shape[1:], self.chunks, strict=True)]
            self._most = STRIPS_HELD * prod(counts[1:])

    def read(self, *slices: slice) -> NDArray[Any]:
        """Return ``(C, *block)``."""
        if self.chunks is None:
            return np.asarray(self.array[(slice(None), *slices)])
        block = np.empty((self.shape[0], *(part.stop - part.start for part in slices)), dtype=self.dtype)
        touched = (range(s.start // c, -(-s.stop // c)) for s, c in zip(slices, self.chunks, strict=True))
        for place in product(*touched):
            self._copy(place, slices, block)
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        return block

    def _copy(self, place: Place, slices: tuple[slice, ...], block: NDArray[Any]) -> None:
        """Copy what a chunk has of a region."""
        assert self.chunks is not None
        chunk = self._decoded(place)
        source, target = [slice(None)], [slice(None)]
        for index, length, part in zip(place, self.chunks, slices, strict=True):
            start, stop = max(part.start, index * length), min(part.stop, (index + 1) * length)
            source.append(slice(start - index * length, stop - index * length))
            target.append(slice(start - part.start, stop - part.start))
        block[tuple(target)] = chunk.values[tuple(source)]
        chunk.unread -= prod(part.stop - part.start for part in target[1:])
        if chunk.unread <= 0:
            del self._held[place]

    def _decoded(self, place: Place) -> "_Chunk":
        """Return a chunk, decoded now if it is not held."""
        assert self.chunks is not None
        if place in self._held:
            self._held.move_to_end(place)
            return self._held[place]
        where = tuple(
            slice(i * c, min((i + 1) * c, n)) for i, c, n in zip(place, self.chunks, self.shape[1:], strict=True)
        )
        chunk = _Chunk(np.asarray(self.array[(slice(None), *where)]))
        self._held[place] = chunk
        return chunk


class _Chunk:
    """A decoded chunk and how many of its positions nobody has read yet."""

    __slots__ = ("unread", "values")

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self.unread = prod(values.shape[1:])


def _chunks_over_space(array: Any) -> Place | None:  # noqa: ANN401
    """Return the lengths of an array's chunks over space; None where it has none, or holds its values in memory."""
    chunks = getattr(array, "chunks", None)
    if not isinstance(chunks, tuple) or not all(isinstance(length, int) and length > 0 for length in chunks):
        return None
    return chunks[1:]
