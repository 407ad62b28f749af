"""The answer about a slide: probabilities, where they come from, and everything needed to ask further.

A ``Prediction`` knows no viewer and needs neither the slide nor the model: any place can be asked again from the stored
features, also after it was saved and loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.asked import Asked, Place, asked
from napari_gigaclf.inference.cells import Cells
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.head import StoredHead
from napari_gigaclf.inference.masking import share_shown
from napari_gigaclf.inference.query import THRESHOLD, Answerer, RegionAnswer
from napari_gigaclf.inference.record import RunRecord
from napari_gigaclf.inference.saliency import Saliency

if TYPE_CHECKING:
    from napari_gigaclf.slides.tissue import TissueMask

MIN_CELL_TISSUE = 0.25
"""Share of a cell that must be tissue for the cell to be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says of a slide.

    Examples
    --------
    >>> prediction = classify("slide.svs", "lymph-node-metastasis")  # doctest: +SKIP
    >>> prediction.query(np.array([[0, 0], [0, 900], [900, 900]])).probabilities  # doctest: +SKIP
    """

    classes: tuple[str, ...]
    """Names of the classes, in the order of the map."""
    probabilities: dict[str, float]
    """Class probabilities of the slide (of what was computed, if not complete); empty if there was no tissue."""
    probability_map: Any
    """Class probabilities of every cell, float32 (class, y, x), NaN where nothing was computed; array-like."""
    grid: PixelGrid
    """Place of the map's cells over level 0."""
    saliency: Saliency | None
    """Why the slide got its answer; None if it was not asked for or not reached."""
    tissue: "TissueMask | None"
    """What was looked at; None if everything was."""
    complete: bool
    """False if the run was stopped before its end."""
    message: str
    """What a person must know of the result, such as that no tissue was found; often empty."""
    record: RunRecord
    """What ran, on what, and what it cost."""
    store: FeatureStore
    """Features of the computed cells."""
    head: StoredHead
    """Pooling and head of the model, with its card."""
    input_step: tuple[float, float]
    """Side of a pixel of the network's input, (y, x) level-0 pixels."""

    def query(self, region: Place, *, threshold: float = THRESHOLD) -> RegionAnswer:
        """Say what the network thinks of a region, from the stored features; the network does not run.

        Parameters
        ----------
        region
            A polygon (shapely in (x, y), a ``Box``, or vertices (N, 2) in (y, x)), or a point (y, x) (or a shapely
            point in (x, y)), which stands for the field around it stated in the model's card. Level-0 pixels.
        threshold
            Probability from which a cell counts for ``share_above``.

        Returns
        -------
        RegionAnswer
            Without probabilities where no computed tissue lies in the region.

        Raises
        ------
        RegionError
            The region is empty, lies outside the slide, or is neither polygon nor point.

        Notes
        -----
        Cells belong to a polygon if their centre lies in it, holes respected. A run keeps
        features in float32, but a question rounds them to half precision, as they are in a saved result, so that its
        answer is the same before and after: the whole slide asked as one polygon differs from ``probabilities`` by
        that rounding.
        """
        what = self._asked(region)
        return self._answerer().answer(what, threshold, self._num_missing(what.cells))

    def pool_ahead(self) -> None:
        """Pool blocks of cells now, so that not even the first question about a large region waits for it."""
        pooling = self.head.config.pooling
        if pooling != "highest":
            self.store.pool_ahead(pooling)

    def save(self, path: str | Path, *, overwrite: bool = False, whole_features: bool = False) -> Path:
        """Write the result to a ``.gigaclf`` folder, whole or not at all, and return its path.

        Parameters
        ----------
        path
            The folder to write.
        overwrite
            Whether one that stands there is replaced.
        whole_features
            Keep the cells' features in float32, as teaching needs them, and not in half precision: twice as much.

        Raises
        ------
        OutputError
            The folder cannot be written to, the disk is full, something stands there and ``overwrite`` is false, or
            whole features are asked for and this result was opened from a file that has none.
        """
        from napari_gigaclf.inference.files import write_prediction

        return write_prediction(self, Path(path), overwrite=overwrite, whole_features=whole_features)

    @classmethod
    def load(cls, path: str | Path) -> "Prediction":
        """Open a ``.gigaclf`` folder; maps and features are read when they are used.

        Raises
        ------
        ResultError
            The folder is missing, damaged, or not a result.
        """
        from napari_gigaclf.inference.files import read_prediction

        return read_prediction(Path(path))

    def _answerer(self) -> Answerer:
        return Answerer(
            classes=self.classes,
            store=self.store,
            cell_probabilities=self._cell_probabilities,
            pooling=self.head.config.pooling,
            head=self.head.probabilities,
            um_per_px=self.record.slide.um_per_px,
            scores=self.head.config.is_regression,
        )

    def _cell_probabilities(self, cells: Cells) -> NDArray[np.float32]:
        """Return the map at some cells, (classes, n), reading only the box of the map that holds them."""
        rows, columns = cells.box.slices
        part = np.asarray(self.probability_map[:, rows, columns], dtype=np.float32)
        if cells.inside.all():
            return part.reshape(len(part), -1)
        return np.stack([plane[cells.inside] for plane in part])

    def _asked(self, region: Place) -> Asked:
        """Return the cells and the outline of a region, or of the field around a point."""
        field = self.head.config.card.field
        return asked(region, self.record.slide.shape, field, self.grid, self.input_step)

    def _num_missing(self, cells: Cells) -> int:
        """Return how many of some cells are tissue but were not computed."""
        left = cells.inside & ~self.store.kept[cells.box.slices]
        if self.tissue is None or not left.any():
            return int(np.count_nonzero(left))
        share = share_shown(self.tissue.mask, self.tissue.grid, self.grid.part(cells.box))
        return int(np.count_nonzero(left & (share >= MIN_CELL_TISSUE)))
