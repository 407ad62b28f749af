"""A level of a slide as it is given to napari: quick for napari's slicing, exact for everybody else.

Without a window, in a script, nobody would draw again: then napari gets exact pixels, too.

napari's slicing is told from other readers by the module that asks. If another version of napari slices elsewhere,
every reader gets exact pixels, and the window waits for them, as it would without this.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import Box
from napari_gigaclf.viewer.progressive.feed import Feed
from napari_gigaclf.viewer.progressive.redrawing import Redrawing, window_post

SLICING: Final = "napari.layers._scalar_field._slice"
"""The module in which napari cuts what it draws out of a level."""
KEEPING: Final = "napari.layers._scalar_field.scalar_field"
"""The module in which napari makes an array of the whole coarsest level, to be kept with the layer and drawn from."""


class ShownLevel:
    """One level, or one channel of it, for a napari layer.

    Parameters
    ----------
    feed
        Tiles of the slide.
    index
        Number of the level.
    channel
        Show this channel alone, as a 2-D array; None shows the level as it is.
    canvas
        Name of the canvas for which it is; each has a view of its own (see ``Feed.show``).
    """

    def __init__(self, feed: Feed, index: int, channel: int | None = None, canvas: str = "") -> None:
        self.feed = feed
        self.index = index
        self.level = feed.levels[index]
        self.canvas = canvas
        self._channel = channel
        plane = channel is not None or self.level.ndim == 2
        self.shape: tuple[int, ...] = tuple(self.level.shape[:2]) if plane else tuple(self.level.shape)
        self.chunks: tuple[int, ...] = (*feed.tile(index), *self.shape[2:])
        self.dtype = self.level.dtype
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape, dtype=np.int64))

    def plane(self, channel: int) -> "ShownLevel":
        """Return one channel of the level."""
        return ShownLevel(self.feed, self.index, channel, self.canvas)

    def beside(self, canvas: str) -> "ShownLevel":
        """Return the same level for another canvas: the same tiles and threads, a view of its own."""
        return ShownLevel(self.feed, self.index, self._channel, canvas)

    def __getitem__(self, key: Any) -> NDArray[Any]:  # noqa: ANN401 - what numpy allows
        """Return pixels: what is there for napari's slicing, those of the file for everybody else."""
        if sys._getframe(1).f_globals.get("__name__") == SLICING and window_post() is not None:
            box = self._box(key)
            if box is not None and self.feed.fits(self.index, box):
                return self._of_channel(self.feed.show(self.index, box, self.canvas))
        return self._exact(key)

    def __len__(self) -> int:
        """Rows of pixels."""
        return self.shape[0]

    def __deepcopy__(self, memo: dict[int, object]) -> "ShownLevel":
        """Return the level itself: it is read-only, and napari deep-copies the data of a layer it duplicates."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - numpy's
        """Return the whole level exactly; napari does this with the coarsest one, which is kept and read-only.

        napari gets it as it is to be seen, as it gets the tiles of the other levels.
        """
        kept = self.feed.coarsest() if self.index == len(self.feed.levels) - 1 else None
        looks = self.feed.looks if sys._getframe(1).f_globals.get("__name__") == KEEPING else None
        if looks is not None:
            return np.asarray(self._of_channel(looks(self._exact(...) if kept is None else kept)), dtype=dtype)
        if kept is not None:
            return self._of_channel(kept).astype(self.dtype if dtype is None else dtype, copy=bool(copy))
        if copy is False:
            raise ValueError("a level is read from its file: it cannot be turned into an array without a copy")
        return np.asarray(self._exact(...), dtype=dtype)

    def __repr__(self) -> str:
        return f"<shown {self.level!r}>"

    def _exact(self, key: Any) -> NDArray[Any]:  # noqa: ANN401 - what numpy allows
        if self._channel is None:
            return np.asarray(self.level[key])
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in parts:
            parts = (*parts, ...)
        at = parts.index(Ellipsis)
        whole = (slice(None),) * (self.ndim - (len(parts) - 1))
        return np.asarray(self.level[(*parts[:at], *whole, *parts[at + 1 :], self._channel)])

    def _of_channel(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return what a layer of this level draws of (h, w, c) pixels."""
        if self._channel is not None:
            return block[..., self._channel]
        return block[..., 0] if self.ndim == 2 else block

    def _box(self, key: Any) -> Box | None:  # noqa: ANN401 - what numpy allows
        """Return the box that a plain pair of slices asks for; None for anything else."""
        parts = key if isinstance(key, tuple) else (key,)
        rest = parts[2:]
        if len(parts) < 2 or not all(isinstance(part, slice) for part in parts):
            return None
        if any(part.indices(size) != (0, size, 1) for part, size in zip(rest, self.shape[2:], strict=False)):
            return None
        rows, columns = (part.indices(size) for part, size in zip(parts[:2], self.shape[:2], strict=True))
        box = Box(rows[0], rows[1], columns[0], columns[1])
        return None if box.empty or (rows[2], columns[2]) != (1, 1) else box


def shown_levels(levels: list[Any], background: Sequence[int]) -> list[Any]:
    """Return a slide's levels as napari should be given them; those in memory are as quick as can be already.

    Levels that are no part of a file (placeholders) are left as they are.
    """
    from_file = [level for level in levels if hasattr(level, "read_inside")]
    if not from_file or all(level.in_memory for level in from_file):
        return levels
    redrawing = Redrawing()
    feed = Feed(from_file, sharpened=redrawing.soon, failed=redrawing.tell, background=background)
    redrawing.feed = feed
    return [*(ShownLevel(feed, index) for index in range(len(from_file))), *levels[len(from_file) :]]


def read_coarsest(levels: Sequence[Any]) -> None:
    """Read what napari reads of a layer first, so that the window does not wait for it; for a thread of one's own."""
    if levels and isinstance(levels[-1], ShownLevel):
        levels[-1].feed.coarsest()


def is_sharp(layer: Any) -> bool:  # noqa: ANN401 - a napari layer
    """Return whether a layer is drawn with the file's own pixels at every place one sees; True for other layers."""
    levels = layer.data if getattr(layer, "multiscale", False) else ()
    shown = levels[layer.data_level] if len(levels) else None
    if not isinstance(shown, ShownLevel) or layer.data_level == len(levels) - 1 or not layer.visible:
        return True
    return shown.feed.sharp
