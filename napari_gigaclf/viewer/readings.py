"""What lies under the cursor: place, colour, and what the overlays say there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.geometry import UM_PER_MM
from napari_gigaclf.viewer.canvas import SlideCanvas

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

NOTHING_HERE = "nothing was computed here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of one place."""

    point: tuple[float, float]
    """(y, x), level-0 corner coordinates."""
    um_per_px: tuple[float, float] | None
    colour: tuple[float, ...] | None = None
    """The pixel as it is drawn, one number per channel; None outside the slide."""
    probabilities: dict[str, float] | None = None
    """Numbers per class where a map is shown; empty where nothing was computed; None without a map."""
    saliency: float | None = None
    """Where a saliency is shown, else None."""
    gradient: float | None = None
    """Where the gradient of a place is shown, signed or not, else None."""


def read_at(canvas: SlideCanvas, slide: "Slide", world: tuple[float, float]) -> Reading:
    """Return what lies at a world position (y, x). Takes what is in memory and reads no file."""
    point = tuple(float(value) for value in canvas.to_corner(slide, np.array([world]))[0])
    finest = slide.levels[0]
    where = (point[0], point[1])
    inside = 0 <= where[0] < finest.height and 0 <= where[1] < finest.width
    return Reading(
        point=where,
        um_per_px=slide.um_per_px,
        colour=_colour(canvas, slide, world) if inside else None,
        probabilities=_probabilities(canvas, slide, where),
        saliency=_overlay_value(canvas, slide, where, "saliency"),
        gradient=_overlay_value(canvas, slide, where, "why"),
    )


def reading_lines(reading: Reading) -> list[str]:
    """Return a reading as lines for a person.

    Examples
    --------
    >>> reading_lines(Reading(point=(2000.0, 500.0), um_per_px=(0.5, 0.5), colour=(200, 120, 180)))
    ['x 0.250 mm, y 1.000 mm', 'colour 200, 120, 180']
    """
    y, x = reading.point
    if reading.um_per_px is None:
        lines = [f"x {x:.0f} px, y {y:.0f} px"]
    else:
        mm = (y * reading.um_per_px[0] / UM_PER_MM, x * reading.um_per_px[1] / UM_PER_MM)
        lines = [f"x {mm[1]:.3f} mm, y {mm[0]:.3f} mm"]
    if reading.colour is not None:
        lines.append("colour " + ", ".join(f"{value:g}" for value in reading.colour))
    if reading.probabilities is not None:
        said = ", ".join(f"{name} {value:.3f}" for name, value in reading.probabilities.items())
        lines.append(said or NOTHING_HERE)
    if reading.saliency is not None:
        lines.append(f"saliency {reading.saliency:.2f} of the cap")
    if reading.gradient is not None:
        lines.append(f"d logit / d pixel {reading.gradient:.3g}")
    return lines


def _colour(canvas: SlideCanvas, slide: "Slide", world: tuple[float, float]) -> tuple[float, ...] | None:
    """Return the drawn pixel: three numbers of a colour layer, or one of each visible channel."""
    values: list[float] = []
    for layer in canvas.viewer.layers:
        shown = layer.metadata.get("slide")
        if shown is None or shown.id != slide.id or not layer.visible:
            continue
        position = (*np.zeros(canvas.viewer.dims.ndim - 2), *world)
        value = layer.get_value(position, world=True)
        value = value[1] if isinstance(value, tuple) else value
        if value is not None:
            values.extend(float(each) for each in np.atleast_1d(value))
    return tuple(values) or None


def _probabilities(canvas: SlideCanvas, slide: "Slide", point: tuple[float, float]) -> dict[str, float] | None:
    """Return all classes of the map one sees: taught, or a result; one class of a map that is being computed."""
    maps = [each for kind in ("probability", "taught") for each in canvas.overlays(slide.id, kind)]
    layer = next((each for each in reversed(maps) if each.visible), None)
    if layer is None:
        return None
    cell = _cell(layer, point)
    if cell is None:
        return {}
    prediction, live = layer.metadata.get("prediction"), layer.metadata.get("live")
    if live is not None:
        values = np.asarray(live.values[:, cell[0], cell[1]], dtype=float)
        found = dict(zip(live.classes, values.tolist(), strict=True))
    elif prediction is None:
        found = {layer.metadata["class_name"]: float(layer.data[cell])}
    else:
        values = np.asarray(prediction.probability_map[:, cell[0], cell[1]], dtype=float)
        found = dict(zip(prediction.classes, values.tolist(), strict=True))
    return {name: value for name, value in found.items() if not np.isnan(value)}


def _overlay_value(canvas: SlideCanvas, slide: "Slide", point: tuple[float, float], kind: str) -> float | None:
    layer = canvas.overlay(slide.id, kind)
    if layer is None or not layer.visible:
        return None
    cell = _cell(layer, point)
    return None if cell is None else float(np.nan_to_num(layer.data[cell]))


def _cell(layer: Any, point: tuple[float, float]) -> tuple[int, int] | None:  # noqa: ANN401 - a napari layer
    """Return row and column of an overlay at a point; None beside it."""
    row, column = layer.metadata["grid"].index_of(point)
    height, width = layer.data.shape[:2]
    return (row, column) if 0 <= row < height and 0 <= column < width else None
