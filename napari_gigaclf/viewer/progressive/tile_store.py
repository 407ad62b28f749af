"""Tiles in memory, up to a number of bytes, shared by all levels of a slide; the coarsest stay for good."""

import threading
from collections import OrderedDict
from typing import Any

from numpy.typing import NDArray

Key = tuple[int, int, int]
"""Level, row and column of a tile."""


class TileStore:
    """Least recently used tiles; safe to use from several threads.

    Parameters
    ----------
    max_bytes
        Bytes kept at most, beside the tiles that are kept for good.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._num_bytes = 0
        self._passing: OrderedDict[Key, NDArray[Any]] = OrderedDict()
        self._lasting: dict[Key, NDArray[Any]] = {}
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Bytes of the tiles that may be forgotten."""
        return self._num_bytes

    def __contains__(self, key: Key) -> bool:
        return key in self._passing or key in self._lasting

    def __len__(self) -> int:
        """Tiles kept now."""
        return len(self._passing) + len(self._lasting)

    def get(self, key: Key) -> NDArray[Any] | None:
        """Return a tile, (h, w, c), and mark it as used; None if it is not kept."""
        with self._lock:
            tile = self._passing.get(key)
            if tile is None:
                return self._lasting.get(key)
            self._passing.move_to_end(key)
            return tile

    def put(self, key: Key, tile: NDArray[Any], *, for_good: bool = False) -> None:
        """Keep a tile; those used longest ago are forgotten where it gets too much."""
        with self._lock:
            if for_good:
                self._lasting[key] = tile
                return
            old = self._passing.pop(key, None)
            self._passing[key] = tile
            self._num_bytes += tile.nbytes - (0 if old is None else old.nbytes)
            while self._num_bytes > self.max_bytes and len(self._passing) > 1:
                _, dropped = self._passing.popitem(last=False)
                self._num_bytes -= dropped.nbytes

    def clear(self) -> None:
        """Forget every tile."""
        with self._lock:
            self._passing.clear()
            self._lasting.clear()
            self._num_bytes = 0
