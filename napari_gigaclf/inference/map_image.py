"""A map as an image of its own: numbers per class and cell, where they lie on the slide, and coarser copies of them.

A cell of a coarser copy is the mean of the four below it that hold a number; it is NaN only where none does, so that
glass stays empty and a lonely cell at the border of the tissue stays to be seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid

SMALLEST_LEVEL = 64
"""Copies get coarser until the longer side is at most this many cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapImage:
    """Float values over a slide, channel by channel."""

    values: NDArray[np.float32]
    """(channel, y, x); NaN where nothing was computed."""
    channels: tuple[str, ...]
    """Name of each channel: the classes."""
    grid: PixelGrid
    """Where the cells lie on level 0."""
    um_per_px: tuple[float, float] | None
    """Micrometres per level-0 pixel, (y, x); None where unknown."""
    name: str
    """Name of the image, for a person."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a reader should know: model, slide id, whether it is complete."""
    limits: tuple[float, float] = (0.0, 1.0)
    """From where to where it is to be drawn."""

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.values.shape != (len(self.channels), *self.grid.shape):
            raise ValueError(f"values {self.values.shape} do not fit {len(self.channels)} x {self.grid.shape}")

    @property
    def cell_um(self) -> tuple[float, float] | None:
        """Side of a cell in micrometres, (y, x); None where unknown."""
        if self.um_per_px is None:
            return None
        return self.grid.step[0] * self.um_per_px[0], self.grid.step[1] * self.um_per_px[1]

    @property
    def place(self) -> dict[str, list[float]]:
        """Where the map lies: level-0 pixels, (x, y), the corner of its first cell, the side of a cell; its limits."""
        return {
            "level0_corner_xy_px": [float(value) for value in self.grid.origin[::-1]],
            "level0_cell_xy_px": [float(value) for value in self.grid.step[::-1]],
            "shown_from_to": [float(value) for value in self.limits],
        }

    def pyramid(self) -> list["MapImage"]:
        """Return the map itself and its coarser copies, each half the size of the one before."""
        levels = [self]
        while max(levels[-1].grid.shape) > SMALLEST_LEVEL:
            levels.append(_halved(levels[-1]))
        return levels


def _halved(image: MapImage) -> MapImage:
    values = halved(image.values)
    step = (image.grid.step[0] * 2, image.grid.step[1] * 2)
    grid = PixelGrid(origin=image.grid.origin, step=step, shape=(values.shape[1], values.shape[2]))
    return MapImage(
        values=values,
        channels=image.channels,
        grid=grid,
        um_per_px=image.um_per_px,
        name=image.name,
        notes=image.notes,
        limits=image.limits,
    )


def halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (channel, y, x) at half the size, rounded up: the mean of the numbers in 2 x 2 cells, NaN without any."""
    channels, height, width = values.shape
    even = np.pad(values, ((0, 0), (0, height % 2), (0, width % 2)), constant_values=np.nan)
    blocks = even.reshape(channels, even.shape[1] // 2, 2, even.shape[2] // 2, 2)
    there = np.isfinite(blocks)
    total = np.where(there, blocks, 0).sum(axis=(2, 4), dtype=np.float64)
    count = there.sum(axis=(2, 4))
    mean: NDArray[np.float32] = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return mean
