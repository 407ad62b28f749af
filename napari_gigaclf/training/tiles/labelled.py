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
