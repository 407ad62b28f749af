"""Before a run: which level, which cells, on which device, how long; and the answer to a click without a run.

Everything is decided here; ``PreparedRun.run`` only executes. Nothing of the slide's pixels is read but what finds the
tissue, 24 small places that are compared with the training colours, and the field of a click.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.errors import ImageTooSmallError, ModelError, RegionError
from napari_gigaclf.geometry import Box, PixelGrid
from napari_gigaclf.inference.asked import Asked, Place, asked, field_of
from napari_gigaclf.inference.cells import Cells, cell_grid
from napari_gigaclf.inference.crop import Crop, crop_of
from napari_gigaclf.inference.devices import Device, find_device
from napari_gigaclf.inference.domain import scale_warnings, size_warnings, stain_warnings
from napari_gigaclf.inference.estimate import RunEstimate, estimate_run, fit_memory
from napari_gigaclf.inference.head import StoredHead
from napari_gigaclf.inference.masking import InputMask, MaskedImage, share_shown
from napari_gigaclf.inference.network import Network, make_network
from napari_gigaclf.inference.prediction import MIN_CELL_TISSUE, Prediction
from napari_gigaclf.inference.query import THRESHOLD, TOO_SMALL, RegionAnswer
from napari_gigaclf.inference.region import Region, as_geometry, cells_inside, is_points, region_warnings
from napari_gigaclf.inference.resample import Image, LevelImage
from napari_gigaclf.inference.scale import InputScale, plan_scale
from napari_gigaclf.models import load_model
from napari_gigaclf.progress import CancelToken, ProgressCallback
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.tissue import TissueMask, TissueSettings, find_tissue

if TYPE_CHECKING:
    from napari_gigaclf.inference.map_update import MapCallback
    from napari_gigaclf.models import Classifier
    from napari_gigaclf.slides import Slide

TissueChoice = bool | TissueMask | TissueSettings
"""True finds the tissue, False looks at everything, a mask is used as it is, settings say how to find it."""
SaliencyChoice = str | None
"""A class name, ``"predicted"``, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run that is decided but not done."""

    slide: "Slide"
    network: Network
    device: Device
    scale: InputScale
    """What the network sees."""
    tissue: TissueMask | None
    """What is looked at; None for everything."""
    region: BaseGeometry | None
    """The region asked for, (x, y) level-0 pixels; None for the whole slide."""
    grid: PixelGrid
    """Place of the map's cells over level 0, whole slide."""
    tissue_cells: NDArray[np.bool_]
    """Cells of the whole slide that are tissue, (rows, columns)."""
    kept: NDArray[np.bool_]
    """Cells that will be computed, (rows, columns) of the whole slide's map."""
    source: MaskedImage
    """Crop of the masked input that is streamed."""
    first_cell: tuple[int, int]
    """Cell of the whole slide's map that is cell (0, 0) of the crop."""
    whole: MaskedImage
    """Masked input of the whole slide, for clicks."""
    head: StoredHead
    """Copy of the model's pooling and head, for clicks and for the result."""
    estimate: RunEstimate
    warnings: tuple[str, ...]
    """What of the region is left out; where stain or scale is far from what the model was trained on."""
    parameters: dict[str, str]
    """What the caller asked for, as text."""
    seconds: float
    """How long deciding took."""

    @property
    def model(self) -> "Classifier":
        """The model that runs: a private copy."""
        return self.network.model

    def run(
        self,
        *,
        saliency: SaliencyChoice = "predicted",
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
        on_map: "MapCallback | None" = None,
    ) -> Prediction:
        """Classify the slide; see ``classify``."""
        from napari_gigaclf.inference.run import execute

        return execute(self, saliency=saliency, progress=progress, cancel=cancel, on_map=on_map)

    def ask(
        self,
        region: Place,
        *,
        threshold: float = THRESHOLD,
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> RegionAnswer:
        """Say what the network thinks of a region, by running it on what the region sees alone.

        Parameters
        ----------
        region
            A polygon (shapely in (x, y), a ``Box``, or vertices (N, 2) in (y, x)), or a point (y, x), which stands for
            the field around it stated in the model's card. Level-0 pixels.
        threshold
            Probability from which a cell counts for ``share_above``.
        progress
            Called after each tile.
        cancel
            Asked before each tile.

        Returns
        -------
        RegionAnswer
            The same numbers as ``Prediction.query(region)`` after a run over the whole slide; "no tissue" on glass.

        Raises
        ------
        RegionError
            The region is empty, lies outside the slide, or is neither polygon nor point.
        Cancelled
            If ``cancel`` is set.
        """
        from napari_gigaclf.inference.field import answer_region

        return answer_region(self, self.asked(region), threshold, progress=progress, cancel=cancel)

    def asked(self, region: Place) -> Asked:
        """Return the cells that a question about a place is about, tissue or not, and its outline; see ``ask``."""
        return asked(region, slide_shape(self.slide), self.model.card.field, self.grid, self.scale.grid.step)

    def crop(self, cells: Cells) -> Crop:
        """Return the part of the slide that some cells (at least one) see."""
        return crop_of(self.whole, self.scale.grid, self.network.axes, cells)


def prepare(
    slide: "Slide | str | Path",
    model: "Classifier | str | Path",
    *,
    level: int | Literal["auto"] = "auto",
    um_per_px: float | None = None,
    region: Region | None = None,
    tissue: TissueChoice = True,
    device: str = "auto",
    memory: int | str | None = None,
    tile: int | tuple[int, int] | None = None,
    tile_seconds: float | None = None,
) -> PreparedRun:
    """Decide everything about a run and find the tissue; see ``classify`` for the parameters.

    Parameters
    ----------
    tile_seconds
        Longest time of a tile, so that a stop answers soon; None takes the same tile on every machine. Has no effect
        where ``tile`` or ``memory`` is given.

    Raises
    ------
    GigaclfError
        The slide, model, scale, region or device does not fit; one line.
    """
    start = time.perf_counter()
    opened = open_slide(slide) if isinstance(slide, str | Path) else slide
    classifier = load_model(model) if isinstance(model, str | Path) else model
    _refuse_other_than_brightfield(opened, classifier)
    found_device = find_device(device)
    scale = plan_scale(opened.levels, opened.um_per_px, classifier.um_per_px, level=level, um_per_px=um_per_px)
    geometry = None if region is None else as_geometry(region, slide_shape(opened))
    mask = _tissue(opened, tissue)
    network = make_network(classifier, found_device, tile=tile, memory=memory, tile_seconds=tile_seconds)
    grid = cell_grid(scale.grid, network.axes, map_shape(network, scale.grid.shape))
    image = _image(opened, scale)
    masks = () if mask is None else (InputMask.of_tissue(mask, scale.grid),)
    whole = MaskedImage(image, Box(0, scale.grid.shape[0], 0, scale.grid.shape[1]), masks)
    tissue_here = tissue_cells(mask, grid)
    kept = tissue_here & region_cells(geometry, classifier, grid, scale)
    source, first_cell = whole, (0, 0)
    if geometry is not None and kept.any():
        crop = crop_of(whole, scale.grid, network.axes, Cells.of(kept))
        source, first_cell = crop.source, crop.first_cell
    network = fit_memory(network, source, found_device.free_bytes)
    read = partial(_near, image)
    strides = (network.axes[0].stride, network.axes[1].stride)
    return PreparedRun(
        slide=opened,
        network=network,
        device=found_device,
        scale=scale,
        tissue=mask,
        region=geometry,
        grid=grid,
        tissue_cells=tissue_here,
        kept=kept,
        source=source,
        first_cell=first_cell,
        whole=whole,
        head=StoredHead.of(classifier),
        estimate=estimate_run(network, source, scale, int(kept.sum()), read=read),
        warnings=(
            *(() if region is None or geometry is None else region_warnings(region, geometry)),
            *size_warnings(classifier.config.slide_answer, int(kept.sum())),
            *scale_warnings(scale, classifier.um_per_px),
            *stain_warnings(read, tissue_here, strides, classifier.card),
        ),
        parameters={
            "level": str(level),
            "um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
            "region": "whole slide" if geometry is None else geometry.geom_type,
            "tissue": type(tissue).__name__ if not isinstance(tissue, bool) else str(tissue),
            "device": device,
            "memory": "" if memory is None else str(memory),
            "tile": "" if tile is None else str(tile),
        },
        seconds=time.perf_counter() - start,
    )


def slide_shape(slide: "Slide") -> tuple[int, int]:
    """Return height and width of level 0."""
    return slide.levels[0].height, slide.levels[0].width


def tissue_cells(tissue: TissueMask | None, grid: PixelGrid) -> NDArray[np.bool_]:
    """Return which cells of a map are tissue: at least a quarter of their area."""
    if tissue is None:
        return np.ones(grid.shape, dtype=np.bool_)
    enough: NDArray[np.bool_] = share_shown(tissue.mask, tissue.grid, grid) >= MIN_CELL_TISSUE
    return enough


def region_cells(
    geometry: BaseGeometry | None, model: "Classifier", grid: PixelGrid, scale: InputScale
) -> NDArray[np.bool_]:
    """Return which cells of a map a region means: centres inside a polygon, fields around points.

    Raises
    ------
    RegionError
        A polygon holds no cell's centre.
    """
    if geometry is None:
        return np.ones(grid.shape, dtype=np.bool_)
    if is_points(geometry):
        return field_of(geometry, model.card.field, grid, scale.grid.step).cells.whole(grid.shape)
    cells = cells_inside(geometry, grid)
    if not len(cells):
        raise RegionError(TOO_SMALL)
    return cells.whole(grid.shape)


def map_shape(network: Network, input_shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the map of an input of this height and width.

    Raises
    ------
    ModelError
        The input is smaller than one cell.
    """
    try:
        rows, columns = network.streamed.plan((3, *input_shape)).output_shape[-2:]
    except ImageTooSmallError as error:
        raise ModelError(
            f"{network.model.name}: the slide has {input_shape[0]} x {input_shape[1]} pixels at the model's scale, "
            "less than one cell of its map"
        ) from error
    return int(rows), int(columns)


def _refuse_other_than_brightfield(slide: "Slide", model: "Classifier") -> None:
    """Raise for slides that are not 8-bit RGB brightfield."""
    if slide.is_brightfield:
        return
    if slide.kind == "fluorescence":
        kind = "a fluorescence slide"
    elif slide.dtype.itemsize > 1:
        kind = f"a {8 * slide.dtype.itemsize}-bit slide"
    else:
        kind = "not an RGB slide"
    raise ModelError(
        f"{model.name} reads 8-bit RGB brightfield slides; {slide.name} is {kind} "
        f"({slide.num_channels} channel{'' if slide.num_channels == 1 else 's'} of {slide.dtype})"
    )


def _tissue(slide: "Slide", tissue: TissueChoice) -> TissueMask | None:
    """Find the tissue, or take what was given."""
    if isinstance(tissue, TissueMask):
        return tissue
    if isinstance(tissue, TissueSettings):
        return find_tissue(slide, tissue)
    return find_tissue(slide) if tissue else None


def _image(slide: "Slide", scale: InputScale) -> LevelImage:
    """Return the slide's pixels at the network's scale."""
    level = slide.levels[scale.level]
    return LevelImage(slide, scale.level, (level.height, level.width), scale.factor, scale.grid.shape)


def _near(image: LevelImage, box: Box) -> Image:
    """Read a box of the input; one that reaches beyond it is moved inside as far as it goes."""
    height, width = image.shape
    inside = box.shifted(-min(box.y0, 0), -min(box.x0, 0))
    inside = inside.shifted(-max(0, inside.y1 - height), -max(0, inside.x1 - width))
    return image.read(*inside.intersection(Box(0, height, 0, width)))
