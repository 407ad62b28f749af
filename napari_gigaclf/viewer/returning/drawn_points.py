"""Points that a person set on a slide: taken from napari to be kept as GeoJSON, and shown again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from napari_gigaclf.annotations import Annotation
from napari_gigaclf.geometry import corner_to_napari_data, swap_xy
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.layers import Frame, LayerData
from napari_gigaclf.viewer.returning.drawn_looks import Look, colour_in, colour_texts, feature_table, features_of

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

SIZE, SYMBOL, BORDER = "size", "symbol", "border"
DIM_GREY = (0.41, 0.41, 0.41, 1.0)
"""napari's own border."""
SYMBOLS = (
    "arrow", "clobber", "cross", "diamond", "disc", "hbar", "ring", "square", "star", "tailed_arrow", "triangle_down",
    "triangle_up", "vbar", "x",
)  # fmt: skip
"""Those of napari."""
MAX_SIZE = 1e6
"""Largest diameter of a point, level-0 pixels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DrawnPoints:
    """The points of one layer."""

    corners: NDArray[np.float64]
    """(N, 2), (y, x), level-0 pixels, corner convention."""
    colours: NDArray[np.float64]
    """(N, 4), 0 to 1."""
    classes: tuple[str, ...]
    sizes: NDArray[np.float64]
    """(N,), level-0 pixels."""
    symbols: tuple[str, ...]
    borders: tuple[str, ...]
    """Colours of the lines around them, as texts."""
    features: tuple[Look, ...]


def points_of(canvas: SlideCanvas, layer: Any, slide: "Slide") -> DrawnPoints:  # noqa: ANN401 - a Points layer
    """Return the points of a napari layer over a slide."""
    scale, unit = np.asarray(layer.scale, dtype=float)[-2:], np.asarray(slide.um_per_px or (1.0, 1.0))
    world = np.asarray(layer.data, dtype=float).reshape(-1, layer.ndim)[:, -2:] * scale
    world += np.asarray(layer.translate, dtype=float)[-2:]
    classes = layer.features.get("class")
    said = [""] * len(world) if classes is None else ["" if each != each else str(each or "") for each in classes]
    return DrawnPoints(
        corners=canvas.to_corner(slide, world),
        colours=np.array(layer.face_color, dtype=float).reshape(-1, 4),
        classes=tuple(said),
        sizes=np.array(layer.size, dtype=float) * float((scale / unit).mean()),
        symbols=tuple(str(getattr(each, "value", each)) for each in layer.symbol),
        borders=tuple(colour_texts(layer.border_color)),
        features=tuple(features_of(layer)),
    )


def annotations_of_points(points: DrawnPoints, metadata: dict[str, str]) -> list[Annotation]:
    """Return points as annotations; one that lies nowhere is left out. For a worker."""
    found = []
    for index, (y, x) in enumerate(points.corners.tolist()):
        if not (math.isfinite(y) and math.isfinite(x)):
            continue
        red, green, blue = (round(255 * min(max(value, 0.0), 1.0)) for value in points.colours[index, :3].tolist())
        looks = {SIZE: repr(float(points.sizes[index])), SYMBOL: points.symbols[index], BORDER: points.borders[index]}
        more = {**points.features[index], **looks}
        found.append(
            Annotation(
                geometry=shapely.Point(x, y),
                class_name=points.classes[index].strip() or None,
                colour=(red, green, blue),
                metadata={**metadata, **more},
            )
        )
    return found


def points_layer(annotations: Sequence[Annotation], slide: "Slide", name: str) -> LayerData:
    """Return the layer of points that were kept, each as large and with the symbol it had."""
    frame = Frame.of_slide(slide)
    colours = [(*(value / 255 for value in each.colour or (255, 255, 255)), 1.0) for each in annotations]
    kwargs: dict[str, Any] = {
        **frame.place(),
        "name": name,
        "size": np.array([_size(each, frame) for each in annotations]),
        "symbol": [_symbol(each) for each in annotations],
        "face_color": np.array(colours),
        "border_color": np.array([colour_in(each.metadata.get(BORDER), DIM_GREY) for each in annotations]),
        "features": feature_table(annotations),
        "metadata": {},
    }
    xy = np.concatenate([shapely.get_coordinates(each.geometry)[:1] for each in annotations])
    return corner_to_napari_data(swap_xy(xy)), kwargs, "points"


def _size(annotation: Annotation, frame: Frame) -> float:
    """Return the diameter that a file gives a point; another one where it gives none that can be."""
    try:
        size = float(annotation.metadata.get(SIZE, ""))
    except ValueError:
        size = math.nan
    return size if 0 < size <= MAX_SIZE else 5 * frame.edge_width


def _symbol(annotation: Annotation) -> str:
    symbol = annotation.metadata.get(SYMBOL, "")
    return symbol if symbol in SYMBOLS else "disc"
