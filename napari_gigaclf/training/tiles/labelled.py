"""Labelled tiles in memory: one uint8 array, and a class index each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Tiles with their class."""

    images: NDArray[np.uint8]
    """(N, H, W, 3), RGB."""
    labels: NDArray[np.int64]
    """(N,), class index."""

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64]) -> "Tiles":
        """Return the tiles at these indices (copied)."""
        return Tiles(images=self.images[indices], labels=self.labels[indices])


def split(labels: NDArray[np.int64], num_held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (kept, held out) indices; the held-out tiles have each class in proportion."""
    generator = np.random.default_rng(seed)
    held: list[NDArray[np.int64]] = []
    classes: Sequence[int] = np.unique(labels).tolist()
    for label in classes:
        members = np.flatnonzero(labels == label)
        held.append(generator.permutation(members)[: round(num_held_out * len(members) / len(labels))])
    held_out = np.sort(np.concatenate(held))
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    return kept.astype(np.int64), held_out.astype(np.int64)


def split_by_place(
    labels: NDArray[np.int64], places: NDArray[np.int64], num_held_out: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Return (kept, held out) indices such that no place is in both.

    Parameters
    ----------
    labels, places
        (N,) class and place of each tile (see :func:`~napari_gigaclf.training.tiles.same_place`).
    num_held_out
        About how many tiles are held out, one of each place, each class in proportion. The others of their places are
        in neither part.
    seed
        Draws places, and the tile of each.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    one_each = shuffled[np.unique(places[shuffled], return_index=True)[1]]
    held: list[NDArray[np.int64]] = []
    for label in np.unique(labels).tolist():
        count = round(num_held_out * np.count_nonzero(labels == label) / len(labels))
        held.append(np.random.default_rng([seed, label]).permutation(one_each[labels[one_each] == label])[:count])
    held_out = np.sort(np.concatenate(held))
    kept = np.flatnonzero(~np.isin(places, places[held_out]))
    return kept.astype(np.int64), held_out.astype(np.int64)


def odds_by_place(labels: NDArray[np.int64], places: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """Return how often each tile is to be drawn, (N,), summing to 1: all classes alike, crowded places less.

    A place that n tiles show is drawn n ** (1 - ``power``) times as often as one that a single tile shows: 0 counts
    tiles, 1 counts places.
    """
    counts = np.unique(places, return_inverse=True, return_counts=True)
    odds = counts[2][counts[1]].astype(np.float64) ** -power
    classes = np.unique(labels)
    for label in classes:
        odds[labels == label] /= odds[labels == label].sum() * len(classes)
    return odds
