"""Masks that a person painted on a slide: taken from napari to be kept, and shown again.

A napari array is painted in place, so that what is kept is what is there when a worker comes to it: never older than
the wish to keep it, and written once more where painting went on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame, LayerData, mask_layer
from napari_gigaclf.viewer.returning.drawings import LABELS, POINTS, SHAPES, drawn_layers
from napari_gigaclf.viewer.returning.looks import DRAWN, DRAWN_ON
from napari_gigaclf.viewer.returning.mask_file import DTYPES, MAX_MASKS, MAX_NAME, MAX_PIXELS, MaskRecord, MasksTooLarge

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

MASK = "mask"
"""Kind of the tissue mask that Classify shows to be painted."""
PAINTED = "painted"
"""In the metadata of a tissue mask that a person has changed."""
TOO_LARGE = (
    f"masks of more than {MAX_PIXELS} pixels (16384 x 16384), and more than {MAX_MASKS} of them, are not kept: "
    "save its layer"
)
ROWS = 1024
"""Rows that are looked at at once."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PaintedMask:
    """A mask as it is painted now."""

    name: str
    kind: str
    grid: PixelGrid
    labels: NDArray[Any]
    """(rows, columns), the array that is painted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedMasks:
    """The masks of a slide."""

    kept: tuple[PaintedMask, ...] = ()
    left_out: tuple[str, ...] = ()
    """Names of those that are not kept: too large or too many."""


def masks_on(canvas: SlideCanvas, slide: "Slide") -> PaintedMasks:
    """Return the masks that a person painted on a slide; looks at no pixel."""
    layers = drawn_layers(canvas, slide.id, LABELS)
    layers += [each for each in canvas.overlays(slide.id, MASK) if each.metadata.get(PAINTED)]
    kept: list[PaintedMask] = []
    left_out: list[str] = []
    for layer in layers:
        labels = layer.data
        if not isinstance(labels, np.ndarray) or layer.multiscale:
            continue  # a file's, drawn from there: nobody can paint on it
        if labels.size > MAX_PIXELS or len(kept) >= MAX_MASKS or labels.dtype.name not in DTYPES:
            left_out.append(str(layer.name))
            continue
        kind = str(layer.metadata.get("kind", DRAWN))
        kept.append(PaintedMask(name=str(layer.name)[:MAX_NAME], kind=kind, grid=grid_of(layer, slide), labels=labels))
    return PaintedMasks(kept=tuple(kept), left_out=tuple(left_out))


def num_drawn_on(canvas: SlideCanvas, slide_id: str) -> int:
    """Return how many shapes, points and masks of a person's own lie on a slide."""
    drawn = sum(len(layer.data) for layer in drawn_layers(canvas, slide_id, SHAPES, POINTS))
    painted = [each for each in canvas.overlays(slide_id, MASK) if each.metadata.get(PAINTED)]
    return drawn + len(drawn_layers(canvas, slide_id, LABELS)) + len(painted)


def grid_of(layer: Any, slide: "Slide") -> PixelGrid:  # noqa: ANN401 - a napari Labels layer
    """Return where the pixels of a layer lie on level 0."""
    unit = np.asarray(slide.um_per_px or (1.0, 1.0))
    step = np.asarray(layer.scale, dtype=float)[-2:] / unit
    origin = np.asarray(layer.translate, dtype=float)[-2:] / unit - (step - 1) / 2
    rows, columns = layer.data.shape[-2:]
    return PixelGrid(
        origin=(float(origin[0]), float(origin[1])), step=(float(step[0]), float(step[1])), shape=(rows, columns)
    )


def recorded(masks: Sequence[PaintedMask]) -> list[tuple[MaskRecord, NDArray[np.generic]]]:
    """Return what is written of masks: the box that is painted, with numbers as small as they allow. For a worker.

    Raises
    ------
    MasksTooLarge
        They are larger than what is kept, or lie nowhere on the slide.
    """
    found = []
    for mask in masks:
        box, low, high = painted_box(mask.labels)
        y0, y1, x0, x1 = box
        stored = np.result_type(np.min_scalar_type(high), np.min_scalar_type(low)).name
        try:
            record = MaskRecord(
                name=mask.name,
                kind=mask.kind,
                dtype=mask.labels.dtype.name,
                shape=mask.grid.shape,
                step=mask.grid.step,
                origin=mask.grid.origin,
                box=box,
                stored=stored if stored in DTYPES else mask.labels.dtype.name,
            )
        except ValueError as error:
            raise MasksTooLarge(f"{mask.name}: {error}") from error
        found.append((record, mask.labels[y0:y1, x0:x1]))
    return found


def painted_box(labels: NDArray[Any]) -> tuple[tuple[int, int, int, int], int, int]:
    """Return the box (y0, y1, x0, x1) outside which all is 0, with the lowest and the highest number."""
    rows: list[int] = []
    columns = np.zeros(labels.shape[1], dtype=np.bool_)
    low = high = 0
    for start in range(0, len(labels), ROWS):
        strip = labels[start : start + ROWS]
        there = np.flatnonzero(strip.any(axis=1))
        if len(there):
            rows += [start + int(there[0]), start + int(there[-1])]
            columns |= strip.any(axis=0)
            low, high = min(low, int(strip.min())), max(high, int(strip.max()))
    if not rows:
        return (0, 0, 0, 0), 0, 0
    across = np.flatnonzero(columns)
    return (rows[0], rows[-1] + 1, int(across[0]), int(across[-1]) + 1), low, high


def mask_layers(masks: Sequence[tuple[MaskRecord, NDArray[Any]]], slide: "Slide") -> list[LayerData]:
    """Return the layers in which kept masks are shown again."""
    from napari_gigaclf.slides.tissue import TissueMask

    frame = Frame.of_slide(slide)
    layers: list[LayerData] = []
    for record, labels in masks:
        grid = PixelGrid(origin=record.origin, step=record.step, shape=record.shape)
        if record.kind == MASK:
            data, kwargs, kind = mask_layer(TissueMask.from_array(labels, grid, um_per_px=slide.um_per_px), frame)
            kwargs["metadata"] |= {PAINTED: True}
            layers.append((data, kwargs, kind))
        else:
            kwargs = {**frame.place(grid), "name": record.name, "metadata": {DRAWN_ON: slide.id}}
            layers.append((labels, kwargs, "labels"))
    return layers
