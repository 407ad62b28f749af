"""Where an image is glass, as coarsely as choosing tiles needs it: large tiles run much glass beside little tissue.

The image is asked as a whole, then its halves along every axis, and theirs, where they are not flat: pieces of a
quadtree (in two axes), so that a slide with little tissue costs few questions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.streaming.network.operations import Extent

LEAF_SIDE = 128
"""Pixels per axis below which nothing is asked."""
MAX_QUESTIONS = 120_000
"""Pieces that are asked about at most, about a second's work; then they stay as coarse as they are."""


@dataclass(frozen=True, slots=True)
class Glass:
    """What is not flat in an image."""

    side: int
    """Pixels per axis of a piece."""
    live: NDArray[np.bool_]
    """Which pieces are not flat, one axis per axis of space."""

    @property
    def key(self) -> tuple[int, tuple[int, ...], bytes]:
        """What tells it from others."""
        return (self.side, self.live.shape, np.packbits(self.live).tobytes())

    def live_share(self, views: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> float:
        """Return the share of tiles that see anything but glass.

        Parameters
        ----------
        views
            Per axis: first and end pixel on which each tile depends.
        """
        total: NDArray[np.int64] = np.pad(self.live.astype(np.int64), [(1, 0)] * self.live.ndim)
        for axis in range(self.live.ndim):
            total = total.cumsum(axis)
        corners = [
            (np.clip(start // self.side, 0, size), np.clip(-(-stop // self.side), 0, size))
            for (start, stop), size in zip(views, self.live.shape, strict=True)
        ]
        counts: NDArray[np.int64] = np.zeros(tuple(len(start) for start, _ in views), dtype=np.int64)
        for choice in product((0, 1), repeat=self.live.ndim):
            sign = (-1) ** (self.live.ndim - sum(choice))
            counts += sign * total[np.ix_(*(axis[which] for axis, which in zip(corners, choice, strict=True)))]
        return float((counts > 0).mean())


def find_glass(is_flat: Callable[[Extent], bool], space: Sequence[int]) -> Glass | None:
    """Ask where an image is flat; None where no piece is.

    Parameters
    ----------
    is_flat
        Says whether a region is known to be flat.
    space
        Pixels per axis.
    """
    side = LEAF_SIDE
    while side < max(space):
        side *= 2
    live: NDArray[np.bool_] = np.ones((1,) * len(space), dtype=np.bool_)
    asked = 0
    while True:
        places = np.argwhere(live)
        asked += len(places)
        for place in places:
            extent = tuple((int(i) * side, min((int(i) + 1) * side, n)) for i, n in zip(place, space, strict=True))
            live[tuple(place)] = not is_flat(extent)
        if side == LEAF_SIDE or asked + live.sum() * 2 ** len(space) > MAX_QUESTIONS:
            break
        side //= 2
        live = _halved(live, tuple(-(-size // side) for size in space))
    return None if live.all() else Glass(side, live)


def _halved(live: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pieces of half the side, each as live as the one it is cut from."""
    for axis, size in enumerate(shape):
        live = np.repeat(live, 2, axis).take(np.arange(size), axis)
    assert prod(live.shape) == prod(shape)
    return live
