"""Rectangles, ellipses and straight lines, which GeoJSON does not know: told by their corners beside the outline.

The outline is what counts, for this program and for others. Its corners stand in the metadata, and are believed only
where the outline still is theirs: whoever moves or cuts it elsewhere has made something else of it. QuPath has a flag
of its own for ellipses that lie straight (``isEllipse``), which is written and read as well.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations.annotation import Annotation

FRAME_KEY = "gigaclf_frame"
"""Metadata entry: the kind and the corners, x and y in turn, level-0 pixels."""
FrameKind = Literal["rectangle", "ellipse", "line"]
NUM_CORNERS: Mapping[str, int] = {"rectangle": 4, "ellipse": 4, "line": 2}
ELLIPSE_VERTICES = 96
AGREEMENT_PX = 0.05
"""Most that an outline may lie beside that of its corners; files keep a hundredth of a pixel."""
AGREEMENT = 0.02
"""Most that the area of an ellipse may differ, as a share: other programs give it other vertices."""
ON_ELLIPSE = 0.002
"""Most that these may lie beside it, as a share of its longer radius."""
MAX_TEXT = 400
MAX_COORDINATE = 1e9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShapeFrame:
    """Corners of a rectangle, of the rectangle around an ellipse, or the two ends of a line."""

    kind: FrameKind
    corners: NDArray[np.float64]
    """(4, 2) or (2, 2), (x, y), level-0 pixels, one after the other around the shape; it may lie askew."""

    @property
    def outline(self) -> BaseGeometry:
        """The shape as a geometry."""
        if self.kind == "line":
            return shapely.LineString(self.corners)
        return shapely.Polygon(ellipse_ring(self.corners) if self.kind == "ellipse" else self.corners)

    @property
    def straight(self) -> bool:
        """Whether its sides run along the axes."""
        sides = np.abs(np.diff(self.corners, axis=0))
        return bool((sides.min(axis=1) <= AGREEMENT_PX).all())


def ellipse_ring(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ellipse in a frame of four corners (perhaps askew), closed, (N, 2), in the axes of the corners."""
    centre = corners.mean(axis=0)
    half_a = (corners[1] - corners[0]) / 2
    half_b = (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_VERTICES, endpoint=False)[:, None]
    points = centre + np.cos(angles) * half_a + np.sin(angles) * half_b
    return np.concatenate([points, points[:1]])


def framed(annotation: Annotation, frame: ShapeFrame) -> Annotation:
    """Return an annotation that remembers the corners of its shape."""
    return dataclasses.replace(annotation, metadata={**annotation.metadata, FRAME_KEY: _text(frame)})


def frame_of(annotation: Annotation) -> ShapeFrame | None:
    """Return the corners of an annotation's shape; None where it has none, or its outline has become another."""
    frame = _parsed(annotation.metadata.get(FRAME_KEY, ""))
    return frame if frame is not None and _agrees(frame, annotation.geometry) else None


def shifted(metadata: Mapping[str, str], by: tuple[float, float]) -> dict[str, str]:
    """Return metadata with the corners moved by (x, y), as the outline is where another corner counts as (0, 0)."""
    frame = _parsed(metadata.get(FRAME_KEY, ""))
    if frame is None or by == (0.0, 0.0):
        return dict(metadata)
    return {**metadata, FRAME_KEY: _text(dataclasses.replace(frame, corners=frame.corners + np.array(by)))}


def flags_of(annotation: Annotation) -> dict[str, Any]:
    """Return what QuPath writes beside the coordinates of an ellipse; nothing for other shapes."""
    frame = frame_of(annotation)
    return {"isEllipse": True} if frame is not None and frame.kind == "ellipse" and frame.straight else {}


def with_flags(annotation: Annotation, geometry: Mapping[str, Any]) -> Annotation:
    """Return an annotation that QuPath calls an ellipse as one, in the box around its outline."""
    if geometry.get("isEllipse") is not True or frame_of(annotation) is not None:
        return annotation
    x0, y0, x1, y1 = annotation.geometry.bounds
    frame = ShapeFrame(kind="ellipse", corners=np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]))
    return framed(annotation, frame) if _agrees(frame, annotation.geometry) else annotation


def _agrees(frame: ShapeFrame, geometry: BaseGeometry) -> bool:
    """Return whether an outline is that of a frame."""
    outline = frame.outline
    if not outline.is_valid or outline.geom_type != geometry.geom_type:
        return False
    if frame.kind == "ellipse" and frame.straight:
        beside = np.abs(np.subtract(outline.bounds, geometry.bounds)).max()
        same = math.isclose(outline.area, geometry.area, rel_tol=AGREEMENT)
        return bool(beside <= AGREEMENT_PX and same and _on_ellipse(geometry, outline.bounds))
    return bool(shapely.hausdorff_distance(outline, geometry) <= AGREEMENT_PX)


def _on_ellipse(geometry: BaseGeometry, bounds: tuple[float, float, float, float]) -> bool:
    """Return whether all vertices lie on the ellipse in a box; other programs choose them otherwise than we do."""
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    radii = (high - low) / 2
    from_middle = np.hypot(*((shapely.get_coordinates(geometry) - (low + high) / 2) / radii).T)
    return bool((np.abs(from_middle - 1) * radii.max() <= max(AGREEMENT_PX, ON_ELLIPSE * radii.max())).all())


def _text(frame: ShapeFrame) -> str:
    return " ".join([frame.kind, *(repr(float(value)) for value in frame.corners.ravel())])


def _parsed(text: str) -> ShapeFrame | None:
    """Return what a text from anywhere says; None if that is no frame."""
    kind, *numbers = (text.split() if len(text) <= MAX_TEXT else []) or [""]
    if kind not in get_args(FrameKind) or len(numbers) != 2 * NUM_CORNERS[kind]:
        return None
    try:
        corners = np.array([float(number) for number in numbers])
    except ValueError:
        return None
    if not (np.abs(corners) <= MAX_COORDINATE).all():  # NaN is not either
        return None
    return ShapeFrame(kind=kind, corners=corners.reshape(-1, 2))  # type: ignore[arg-type]
