"""Feeds the levels of one slide: answers a view from tiles in memory, and fetches on threads what is missing.

No Qt here. The answer is ready within milliseconds whatever the file; ``sharpened`` is called, from a thread, when
tiles have come that the last view lacked.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.progressive.enlarge import coarse_box, enlarge
from napari_gigaclf.viewer.progressive.tile_store import Key, TileStore
from napari_gigaclf.viewer.progressive.tiling import tile_box, tile_shape, tiles_ahead, tiles_of, travel
from napari_gigaclf.viewer.worker import lower_priority

MAX_BYTES = 256 * 2**20
"""Tiles of one slide kept at most; a canvas of a megapixel needs up to 60 MB of a pyramid that steps by four."""
LARGEST_VIEW = 0.75
"""A view that needs more than this share of the store is read exactly, as a whole, by whoever asks."""
LASTING_PIXELS = 6_000_000
"""Coarse levels of at most so many pixels together are fetched ahead and kept: the whole slide is sharp at once."""
LARGEST_OVERVIEW_PIXELS = 2**24
"""A coarsest level of at most so many pixels is kept; napari holds it as a whole, too. See ``needs_coarse_levels``."""
NUM_THREADS = 2
NICENESS = 3
"""Gives way to the window, but comes before a run: what one looks at is wanted first."""
IDLE_SECONDS = 1.0
"""A thread that has nothing to fetch ends after this time; the next view starts another."""
REDRAW_SECONDS = 0.1
"""While tiles arrive, the view is drawn again at most so often; each redraw costs the window some 30 ms."""


@dataclass(slots=True)
class View:
    """What one canvas shows of the slide, and what it waits for."""

    place: tuple[int, Box] | None = None
    """Level and box seen last."""
    wanted: list[Key] = field(default_factory=list)
    """Tiles to be fetched, the most urgent first."""
    ahead: list[Key] = field(default_factory=list)
    """Tiles which it will need next if it keeps its direction."""
    missing: set[Key] = field(default_factory=set)
    """Tiles that were drawn from a coarser level."""
    sharp: bool = True


class Feed:
    """Tiles of one slide for whoever draws it; several canvases share tiles and threads, and each has its own wishes.

    Parameters
    ----------
    levels
        The slide's levels, fine to coarse.
    sharpened
        Called, from any thread, when a view should be drawn again.
    failed
        Called, from any thread, with one line for a person when tiles cannot be read; once.
    background
        What to show, per channel, where no coarser level is small enough to be kept.
    max_bytes
        Tiles kept at most.
    """

    def __init__(
        self,
        levels: Sequence[Any],
        *,
        sharpened: Callable[[], None],
        failed: Callable[[str], None],
        background: Sequence[int] = (255,),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.levels = tuple(levels)
        self.store = TileStore(max_bytes)
        self._sharpened = sharpened
        self._failed = failed
        self._background_colour = tuple(background)
        self._shapes = [(level.height, level.width) for level in self.levels]
        self._tiles = [
            tile_shape(tuple(level.chunks[:2]), shape) for level, shape in zip(levels, self._shapes, strict=True)
        ]
        self._lasting = _lasting_levels(self._shapes)
        self._changed = threading.Condition()
        self._views: dict[str, View] = {}
        self._background = [key for index in self._lasting for key in self._all_tiles(index)]
        self._busy: set[Key] = set()
        self._broken: set[Key] = set()
        self._threads: list[threading.Thread] = []
        self._redrawn = float("-inf")
        self._generation = 0
        self._looks: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        self._coarsest: NDArray[Any] | None = None
        self._coarsest_lock = threading.Lock()

    # --- for whoever draws ------------------------------------------------------------------------------------------

    def tile(self, index: int) -> tuple[int, int]:
        """Return height and width of a level's tiles."""
        return self._tiles[index]

    @property
    def sharp(self) -> bool:
        """True if the last view of every canvas was answered with its own tiles alone."""
        return all(view.sharp for view in list(self._views.values()))

    def fits(self, index: int, box: Box) -> bool:
        """Return whether a view is small enough to be shown tile by tile."""
        level = self.levels[index]
        pixel_bytes = level.num_channels * level.dtype.itemsize
        return bool(box.shape[0] * box.shape[1] * pixel_bytes <= LARGEST_VIEW * self.store.max_bytes)

    def coarsest(self) -> NDArray[Any] | None:
        """Return the coarsest level as its file has it, (h, w, c), not to be written to; None if it is a large one.

        napari holds it as a whole for every layer that shows it, so it is read once, here. Reads it the first time:
        to be called on a thread of one's own before a layer is given to napari.
        """
        last = len(self.levels) - 1
        if last not in self._lasting:
            return None
        with self._coarsest_lock:
            if self._coarsest is None:
                height, width = self._shapes[last]
                pixels = np.ascontiguousarray(self.levels[last].read_inside(Box(0, height, 0, width)))
                pixels = pixels.view()  # a level may give what it keeps: only ours is locked
                pixels.flags.writeable = False
                self._coarsest = pixels
            return self._coarsest

    def show(self, index: int, box: Box, canvas: str = "") -> NDArray[Any]:
        """Return what is there of a box inside a level, (h, w, c), and fetch the rest.

        Never blocks for pixels, once the coarsest level is there.

        Parameters
        ----------
        index, box
            The level, and the pixels of it.
        canvas
            Who looks; this view takes the place of the canvas's view before.
        """
        level = self.levels[index]
        out = np.empty((*box.shape, level.num_channels), level.dtype)
        missing: list[Key] = []
        for place in tiles_of(box, self._tiles[index]):
            key = (index, *place)
            whole = tile_box(place, self._tiles[index], self._shapes[index])
            part = whole.intersection(box)
            into = out[part.shifted(-box.y0, -box.x0).slices]
            tile = self.store.get(key)
            if tile is not None:
                into[...] = tile[part.shifted(-whole.y0, -whole.x0).slices]
                continue
            into[...] = self._coarser(index, part)
            if key not in self._broken:
                missing.append(key)
        self._want(canvas, index, box, missing)
        return out

    @property
    def looks(self) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
        """What changes the pixels of tiles for the eye; None shows them as they are."""
        return self._looks

    def look_through(self, looks: Callable[[NDArray[Any]], NDArray[Any]] | None) -> None:
        """Change the pixels of tiles, (h, w, c), for the eye from now on; those that are seen are fetched again."""
        with self._changed:
            self._looks = looks
            self._generation += 1
            self.store.clear()
            self._background = [key for index in self._lasting for key in self._all_tiles(index)]
            for view in self._views.values():
                view.sharp = False
        self._sharpened()

    def forget(self, canvas: str) -> None:
        """Fetch nothing more for a canvas that does not show the slide any more."""
        with self._changed:
            self._views.pop(canvas, None)

    def stop(self) -> None:
        """Fetch nothing more for now and forget all tiles; the threads end soon."""
        with self._changed:
            self._generation += 1
            self._drop_wishes()
            self._changed.notify_all()
            self.store.clear()

    def join(self, timeout: float) -> bool:
        """Wait for the threads to end; True if they did. They end by themselves once there is nothing to fetch."""
        end = time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # --- inside -----------------------------------------------------------------------------------------------------

    def keep_coarsest(self) -> None:
        """Keep the tiles of the coarsest level: places of which nothing else is there are enlarged from them."""
        last = len(self.levels) - 1
        for key in self._all_tiles(last):
            if key not in self.store:
                self.store.put(key, self._read(key), for_good=True)

    def _coarser(self, index: int, box: Box) -> NDArray[Any]:
        """Return a box as the finest coarser level has it of which all tiles are there."""
        for coarser in range(index + 1, len(self.levels)):
            found = self._enlarged(index, box, coarser)
            if found is not None:
                return found
        last = len(self.levels) - 1
        if last in self._lasting and index < last:
            self.keep_coarsest()
            found = self._enlarged(index, box, last)
            if found is not None:
                return found
        return np.full((*box.shape, self.levels[index].num_channels), self._background_colour, self.levels[index].dtype)

    def _enlarged(self, index: int, box: Box, coarser: int) -> NDArray[Any] | None:
        """Return a box as a coarser level has it; None if not all of its tiles are there."""
        step, coarse_step = self.levels[index].step, self.levels[coarser].step
        shape, tile = self._shapes[coarser], self._tiles[coarser]
        source = coarse_box(box, step, coarse_step, shape)
        places = tiles_of(source, tile)
        if not all((coarser, *place) in self.store for place in places):
            return None
        block = np.empty((*source.shape, self.levels[coarser].num_channels), self.levels[coarser].dtype)
        for place in places:
            pixels = self.store.get((coarser, *place))
            if pixels is None:  # forgotten since
                return None
            whole = tile_box(place, tile, shape)
            part = whole.intersection(source)
            block[part.shifted(-source.y0, -source.x0).slices] = pixels[part.shifted(-whole.y0, -whole.x0).slices]
        return enlarge(block, source, box, step, coarse_step, shape)

    def _want(self, canvas: str, index: int, box: Box, missing: list[Key]) -> None:
        """Fetch the missing tiles of a view in place of those of the canvas's view before it."""
        with self._changed:
            view = self._views.setdefault(canvas, View())
            if view.place != (index, box):
                before = view.place
                direction = travel(before[1], box) if before is not None and before[0] == index else (0, 0)
                ahead = tiles_ahead(box, direction, self._tiles[index], self._shapes[index])
                view.ahead = [(index, *place) for place in ahead]
                view.place = (index, box)
            # A tile may have come since it was looked for: nobody would tell of it any more.
            view.wanted = [key for key in missing if key not in self.store]
            view.missing = set(view.wanted)
            view.sharp = not missing
            come_since = bool(missing) and not view.wanted
            if view.wanted or view.ahead or self._background:
                self._start_threads()
                self._changed.notify_all()
        if come_since:
            self._sharpened()

    def _start_threads(self) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for _ in range(NUM_THREADS - len(self._threads)):
            thread = threading.Thread(target=self._work, name="gigaclf-tiles", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        lower_priority(NICENESS)
        while (key := self._next()) is not None:
            generation = self._generation
            try:
                tile = self._read(key)
            except Exception as error:  # noqa: BLE001 - told to a person; the other tiles go on
                self._broke(key, str(error))
            else:
                self._arrived(key, tile, generation)

    def _next(self) -> Key | None:
        """Return the tile to fetch next; None once nobody looks, or when there was nothing to fetch for a while."""
        with self._changed:
            while True:
                for queue in self._queues():
                    while queue:
                        key = queue.pop(0)
                        if key not in self._busy and key not in self._broken and key not in self.store:
                            self._busy.add(key)
                            return key
                woken = bool(self._views) and self._changed.wait(IDLE_SECONDS)
                if not woken and not any(self._queues()):
                    # Leaves the list under the lock, so that a view that comes now starts another thread.
                    self._threads = [each for each in self._threads if each is not threading.current_thread()]
                    return None

    def _queues(self) -> list[list[Key]]:
        """Return what waits to be fetched, the most urgent first: what is seen, the overview, what comes next."""
        views = list(self._views.values())
        return [*(view.wanted for view in views), self._background, *(view.ahead for view in views)]

    def _read(self, key: Key) -> NDArray[Any]:
        index, *place = key
        box = tile_box((place[0], place[1]), self._tiles[index], self._shapes[index])
        whole = self.coarsest() if index == len(self.levels) - 1 else None
        tile = np.ascontiguousarray(self.levels[index].read_inside(box) if whole is None else whole[box.slices])
        looks = self._looks
        return tile if looks is None else looks(tile)

    def _arrived(self, key: Key, tile: NDArray[Any], generation: int) -> None:
        now = time.monotonic()
        with self._changed:
            self._busy.discard(key)
            if generation != self._generation:  # stopped meanwhile, or other colours are wanted
                for view in self._views.values():
                    view.wanted += [key] if key in view.missing else []
                return
            self.store.put(key, tile, for_good=key[0] in self._lasting)
            waiting = [view for view in self._views.values() if key in view.missing]
            for view in waiting:
                view.missing.discard(key)
            complete = any(not view.missing for view in waiting)
            if not waiting or (not complete and now - self._redrawn < REDRAW_SECONDS):
                return
            self._redrawn = now
        self._sharpened()

    def _broke(self, key: Key, message: str) -> None:
        with self._changed:
            first = not self._broken
            self._broken.add(key)
            self._busy.discard(key)
            for view in self._views.values():
                view.missing.discard(key)
            last = not any(view.missing for view in self._views.values())
        if first:
            self._failed(message)
        if last:
            self._sharpened()

    def _drop_wishes(self) -> None:
        self._background = []
        self._views = {}

    def _all_tiles(self, index: int) -> list[Key]:
        height, width = self._shapes[index]
        return [(index, *place) for place in tiles_of(Box(0, height, 0, width), self._tiles[index])]


def _lasting_levels(shapes: Sequence[tuple[int, int]]) -> list[int]:
    """Return the coarsest levels which together have few pixels; none if even the coarsest is large."""
    lasting: list[int] = []
    num_pixels = 0
    for index in range(len(shapes) - 1, -1, -1):
        num_pixels += shapes[index][0] * shapes[index][1]
        if num_pixels > (LASTING_PIXELS if lasting else LARGEST_OVERVIEW_PIXELS):
            break
        lasting.append(index)
    return lasting
