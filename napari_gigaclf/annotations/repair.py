"""Repairs outlines that cross themselves, in bounded time: what would take minutes is refused before it begins.

GEOS looks at each pair of segments whose boxes overlap, and its repair takes time with the square of the pieces into
which crossings cut an outline: 200 000 corners that jitter around their line took two minutes, 300 corners at random
17 s. So pairs are counted before an outline is looked at, and pieces before it is repaired.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from napari_gigaclf.annotations.geojson_write import polygonal
from napari_gigaclf.errors import AnnotationError

MAX_AREA_POINTS = 2_000_000
"""Points of one area."""
FEW_POINTS = 1000
"""So many segments have fewer pairs than are allowed, however they lie."""
MAX_PAIRS = 500_000
PAIRS_PER_POINT = 10
"""Pairs of segments whose boxes overlap, beside which each point may bring more; outlines of tissue have about two."""
MAX_PIECES = 2000
"""Pieces between the crossings of one area; repairing them takes half a second."""
MAX_FILE_PIECES = 40_000
"""Pieces of all areas of a file that are repaired, where one has more than a few."""
FEW_PIECES = 100
PAIRS_AT_ONCE = 1 << 24
REMEDY = "simplify it, or repair it in the program that drew it"


@dataclass(slots=True)
class Repairs:
    """The repairs of one file, and how many pieces they had so far where they had more than a few."""

    pieces: int = 0

    def valid(self, area: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
        """Return an area whose outlines do not cross, holes by the even-odd rule; itself if they do not.

        Raises
        ------
        AnnotationError
            It has too many points, or crosses itself too often to be repaired.
        """
        _check_density(area)
        if area.is_valid:
            return area
        pieces = int(shapely.get_num_geometries(shapely.unary_union(area.boundary)))
        if pieces > MAX_PIECES:
            raise AnnotationError(
                f"its outline crosses itself so often that it has {pieces} pieces, more than the {MAX_PIECES} that are "
                f"repaired: {REMEDY}"
            )
        self.pieces += pieces if pieces > FEW_PIECES else 0
        if self.pieces > MAX_FILE_PIECES:
            raise AnnotationError(
                f"its outline crosses itself, as those before it did, which are more than can be repaired in one file "
                f"(limit: {MAX_FILE_PIECES} pieces): {REMEDY}"
            )
        return polygonal(shapely.make_valid(area))


def _check_density(area: Polygon | MultiPolygon) -> None:
    """Refuse an area whose segments GEOS would take minutes to compare."""
    points = int(shapely.get_num_coordinates(area))
    if points > MAX_AREA_POINTS:
        raise AnnotationError(f"it has {points} points, more than the {MAX_AREA_POINTS} of an area: simplify it")
    if points <= FEW_POINTS:
        return
    allowed = 2 * (MAX_PAIRS + PAIRS_PER_POINT * points)  # each pair is met twice
    segments = _segments(area)
    tree = shapely.STRtree(segments)
    at_once = max(1, PAIRS_AT_ONCE // points)
    met = 0
    for start in range(0, len(segments), at_once):
        met += tree.query(segments[start : start + at_once]).shape[1]
        if met > allowed:
            raise AnnotationError(
                f"its {points} points lie so dense that their lines overlap everywhere (more than {allowed // 2} "
                f"pairs): {REMEDY}"
            )


def _segments(area: Polygon | MultiPolygon) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Return each side of every ring as a line."""
    xy, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(area)), return_index=True)
    sides = np.stack([xy[:-1], xy[1:]], axis=1)[ring[:-1] == ring[1:]]
    segments: np.ndarray[tuple[int], np.dtype[np.object_]] = shapely.linestrings(sides)
    return segments
