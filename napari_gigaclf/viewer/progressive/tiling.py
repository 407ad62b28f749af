"""Which tiles a view needs, which first, and which it will need next: arithmetic on boxes, no pixels."""

from napari_gigaclf.geometry import Box

SMALLEST_TILE = 256
"""Smaller chunks are fetched several at a time: a call costs more than their pixels."""
LARGEST_TILE = 512
"""Larger chunks are shown part by part; their decoded rest waits in the slide's own cache."""
AHEAD_TILES = 2
"""So many rows or columns of tiles are read ahead of a view that moves."""
MAX_AHEAD = 24
"""Tiles read ahead at most."""
SIDEWAYS = 0.35
"""A movement counts along an axis if it is at least this share of the movement along the other one."""

Place = tuple[int, int]
"""Row and column of a tile."""


def tile_shape(chunks: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the tiles in which a level is shown.

    Parameters
    ----------
    chunks
        Height and width of what the file decodes together.
    shape
        Height and width of the level.

    Examples
    --------
    >>> tile_shape((512, 512), (9000, 9000)), tile_shape((240, 240), (9000, 9000)), tile_shape((8, 3840), (900, 3840))
    ((512, 512), (480, 480), (256, 512))
    """
    height, width = (_tile_side(chunk, side) for chunk, side in zip(chunks, shape, strict=True))
    return height, width


def _tile_side(chunk: int, side: int) -> int:
    whole_chunks = chunk * -(-SMALLEST_TILE // chunk)
    return min(whole_chunks, LARGEST_TILE, side) if chunk < LARGEST_TILE else min(LARGEST_TILE, side)


def tiles_of(box: Box, tile: tuple[int, int]) -> list[Place]:
    """Return the tiles which a box touches, nearest to its middle first.

    Examples
    --------
    >>> tiles_of(Box(0, 10, 0, 30), (10, 10))
    [(0, 1), (0, 0), (0, 2)]
    """
    middle = ((box.y0 + box.y1) / 2 / tile[0] - 0.5, (box.x0 + box.x1) / 2 / tile[1] - 0.5)
    return sorted(_touched(box, tile), key=lambda place: (place[0] - middle[0]) ** 2 + (place[1] - middle[1]) ** 2)


def tile_box(place: Place, tile: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the pixels of a tile, cut at the level's edge."""
    y, x = place[0] * tile[0], place[1] * tile[1]
    return Box(y, min(y + tile[0], shape[0]), x, min(x + tile[1], shape[1]))


def travel(before: Box, after: Box) -> tuple[int, int]:
    """Return the direction, (y, x) each -1, 0 or 1, in which a view moved; (0, 0) for a jump to another place.

    Examples
    --------
    >>> travel(Box(0, 100, 0, 100), Box(0, 100, 40, 140)), travel(Box(0, 9, 0, 9), Box(500, 509, 0, 9))
    ((0, 1), (0, 0))
    """
    if before.intersection(after).empty:
        return 0, 0
    moved = (after.y0 + after.y1 - before.y0 - before.y1, after.x0 + after.x1 - before.x0 - before.x1)
    most = max(abs(moved[0]), abs(moved[1]))
    directions = [0 if most == 0 or abs(by) < SIDEWAYS * most else (1 if by > 0 else -1) for by in moved]
    return directions[0], directions[1]


def tiles_ahead(box: Box, direction: tuple[int, int], tile: tuple[int, int], shape: tuple[int, int]) -> list[Place]:
    """Return the tiles that a view which keeps its direction will need next, the nearest first."""
    if direction == (0, 0):
        return []
    step = (AHEAD_TILES * tile[0], AHEAD_TILES * tile[1])
    wider = Box(
        box.y0 - step[0] * (direction[0] < 0),
        box.y1 + step[0] * (direction[0] > 0),
        box.x0 - step[1] * (direction[1] < 0),
        box.x1 + step[1] * (direction[1] > 0),
    ).intersection(Box(0, shape[0], 0, shape[1]))
    in_view = set(_touched(box, tile))
    middle = ((box.y0 + box.y1) / 2 / tile[0], (box.x0 + box.x1) / 2 / tile[1])
    ahead = [place for place in _touched(wider, tile) if place not in in_view]
    ahead.sort(key=lambda place: (place[0] + 0.5 - middle[0]) ** 2 + (place[1] + 0.5 - middle[1]) ** 2)
    return ahead[:MAX_AHEAD]


def _touched(box: Box, tile: tuple[int, int]) -> list[Place]:
    rows = range(box.y0 // tile[0], -(-box.y1 // tile[0]))
    columns = range(box.x0 // tile[1], -(-box.x1 // tile[1]))
    return [(row, column) for row in rows for column in columns]
