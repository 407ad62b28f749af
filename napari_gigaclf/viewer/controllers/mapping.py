"""The map while it fills in: an array that starts as NaN, and what of it is shown."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.models.map_scale import PROBABILITY, MapScale
from napari_gigaclf.viewer.layers import DEFAULT_THRESHOLD, thresholded

if TYPE_CHECKING:
    from napari_gigaclf.inference import MapUpdate


class LiveMap:
    """Numbers (class, y, x) of a run, and the one class on show with its threshold, an array (y, x) kept in step.

    ``shown`` stays the same array for the whole run, so that a layer which displays it only needs to be refreshed.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        grid: PixelGrid,
        class_name: str,
        threshold: float = DEFAULT_THRESHOLD,
        scale: MapScale = PROBABILITY,
    ) -> None:
        self.classes = classes
        self.grid = grid
        self.class_name = class_name
        self.threshold = threshold
        self._scale = scale
        self.values: NDArray[np.float32] = np.full((len(classes), *grid.shape), np.nan, dtype=np.float32)
        self.shown: NDArray[np.float32] = np.full(grid.shape, np.nan, dtype=np.float32)

    @property
    def share_done(self) -> float:
        """Share of cells that have a value."""
        return float(np.isfinite(self.values[0]).mean()) if self.values.size else 0.0

    @property
    def scale(self) -> MapScale:
        """What the numbers are, and from where to where the class on show is drawn."""
        return self._scale.over(self.values[self._index])

    def update(self, update: "MapUpdate") -> None:
        """Take the block of a finished tile."""
        _, height, width = update.probabilities.shape
        rows, columns = slice(update.y0, update.y0 + height), slice(update.x0, update.x0 + width)
        self.values[:, rows, columns] = update.probabilities
        self.shown[rows, columns] = thresholded(self.values[self._index, rows, columns], self.threshold)

    def fill(self, probability_map: NDArray[np.floating]) -> None:
        """Take a whole map (class, y, x)."""
        self.values[...] = probability_map
        self._show()

    def look(self, class_name: str, threshold: float) -> None:
        """Show another class or another threshold; nothing is computed again."""
        self.class_name, self.threshold = class_name, threshold
        self._show()

    @property
    def _index(self) -> int:
        return self.classes.index(self.class_name)

    def _show(self) -> None:
        self.shown[...] = thresholded(self.values[self._index], self.threshold)
