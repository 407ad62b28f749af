"""The answer about a slide: probabilities, where they come from, and everything needed to ask further.

A ``Prediction`` knows no viewer and needs neither the slide nor the model: any place can be asked again from the stored
features, also after it was saved and loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.features import FeatureStore
from napari_gigaclf.inference.head import StoredHead
from napari_gigaclf.inference.masking import share_shown
from napari_gigaclf.inference.query import (
    NO_TISSUE,
    NOT_COMPUTED,
    THRESHOLD,
    TOO_SMALL,
    Answerer,
    RegionAnswer,
    cells_of_box,
)
from napari_gigaclf.inference.record import RunRecord
from napari_gigaclf.inference.region import Region, as_geometry, cells_inside, field_cells, field_outline, is_points
from napari_gigaclf.inference.saliency import Saliency
from napari_gigaclf.models.card import FieldSpec

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

    def query(self, region: Region | tuple[float, float], *, threshold: float = THRESHOLD) -> RegionAnswer:
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
        Cells belong to a polygon if their centre lies in it, holes respected. Features are in half precision, so that
        the whole slide asked as one polygon differs from ``probabilities`` by rounding.
        """
        geometry = as_geometry(point_or_region(region), self.record.slide.shape)
        if is_points(geometry):
            cells, outline = self._field(geometry)
        else:
            cells, outline = cells_inside(geometry, self.grid), geometry
        return self._answerer().answer(cells, outline, threshold, lambda: self._why_empty(cells))

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
        )

    def _cell_probabilities(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the map at kept cells, (classes, n), reading only the box of the map that holds them."""
        row, column = np.unravel_index(np.flatnonzero(self.store.kept)[numbers], self.store.kept.shape)
        y0, x0 = int(row.min()), int(column.min())
        part = np.asarray(self.probability_map[:, y0 : int(row.max()) + 1, x0 : int(column.max()) + 1])
        return np.asarray(part[:, row - y0, column - x0], dtype=np.float32)

    def _field(self, geometry: BaseGeometry) -> tuple[NDArray[np.bool_], BaseGeometry]:
        """Return cells and outline of the field around a point."""
        return field_of(geometry, self.head.config.card.field, self.grid, self.input_step)

    def _why_empty(self, cells: NDArray[np.bool_]) -> str:
        """Say why no computed cell is among some cells."""
        if not cells.any():
            return TOO_SMALL
        if self.tissue is None:
            return NOT_COMPUTED
        rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
        box = Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        share = share_shown(self.tissue.mask, self.tissue.grid, sub_grid(self.grid, box))
        tissue = bool((share[cells[box.slices]] >= MIN_CELL_TISSUE).any())
        return NOT_COMPUTED if tissue else NO_TISSUE


def point_or_region(region: Region | tuple[float, float]) -> Region:
    """Turn a point given as (y, x) numbers into a shapely point; leave everything else."""
    if isinstance(region, Box | BaseGeometry):
        return region
    values = np.asarray(region, dtype=np.float64)
    if values.shape == (2,):
        from shapely import Point

        return Point(values[1], values[0])
    return values


def field_of(
    point: BaseGeometry, field: FieldSpec, grid: PixelGrid, input_step: tuple[float, float]
) -> tuple[NDArray[np.bool_], BaseGeometry]:
    """Return the cells (rows, columns) and the outline of the field that a model's card states around a point.

    Parameters
    ----------
    point
        Shapely point or points, (x, y) level-0 pixels.
    field
        The card's ``FieldSpec``.
    grid
        Place of the map's cells over level 0.
    input_step
        Side of a pixel of the network's input, (y, x) level-0 pixels.
    """
    import shapely

    cells = np.zeros(grid.shape, dtype=np.bool_)
    outlines = []
    for x, y in shapely.get_coordinates(point):
        box = field_cells((float(y), float(x)), field.cells, grid)
        cells |= cells_of_box(box, grid.shape)
        side = (field.px * input_step[0], field.px * input_step[1])
        outlines.append(field_outline(box, side, grid))
    return cells, shapely.union_all(outlines)


def sub_grid(grid: PixelGrid, box: Box) -> PixelGrid:
    """Return the part of a raster in a box of its pixels."""
    origin = (grid.origin[0] + box.y0 * grid.step[0], grid.origin[1] + box.x0 * grid.step[1])
    return PixelGrid(origin=origin, step=grid.step, shape=box.shape)
