"""Tiles that show the same place: cut a few pixels apart from one slide, they overlap, and their names do not say so.

Such tiles are no independent examples. Told apart by chance, a selection holds pictures of what was learnt; counted
singly, one small lesion that was cut out a hundred times outweighs a hundred patients. Tiles are compared by what is
around their most prominent points (nuclei, mostly), so that a shift does not matter: descriptors whose random signs
agree are candidates (locality-sensitive hashing, Charikar 2002), and a pair counts if its pixels agree where the two
tiles would overlap. Tiles that were turned, scaled or stained anew are not recognised.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

MIN_CORRELATION = 0.9
"""Of detail, where two tiles overlap; JPEG noise costs a few hundredths, other tissue has about 0."""
MIN_OVERLAP_PX = 24 * 24
_POINTS = 14
"""Per tile."""
_REACH_PX = 10
"""Around a point; it is described by every second pixel."""
_MIN_CONTRAST = 60.0
"""Norm of a description, in grey levels: blurred and empty tiles all look alike and are left alone."""
_ALIKE = 0.9
"""Cosine of two descriptions that may be of one point."""
_PRINCIPAL = 24
_BITS, _TABLES = 18, 8
_CROWD = 200
"""Descriptions in one bucket above which it tells nothing."""


class _Points(NamedTuple):
    tile: NDArray[np.intp]
    """(P,)."""
    position: NDArray[np.intp]
    """(P, 2), row and column."""
    description: NDArray[np.float32]
    """(P, D), zero mean and unit norm."""


def same_place(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return the number of each tile's place, (N,), counted from 0.

    Tiles are of one place if they overlap, or if others connect them that do. 20 000 tiles of 96 px take about half a
    minute of one core, and 600 MB.

    Parameters
    ----------
    images
        N of them, (H, W, 3), all of one size; looked at once.
    """
    detail: list[NDArray[np.float16]] = []
    points = _points(images, detail)
    pairs = [pair for pair in _candidates(points) if _overlap_agrees(detail, *pair)]
    first, second = (np.array([pair[end] for pair in pairs], np.intp) for end in (0, 1))
    graph = coo_matrix((np.ones(len(pairs)), (first, second)), shape=(len(detail), len(detail)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _points(images: Iterable[NDArray[np.uint8]], detail: list[NDArray[np.float16]]) -> _Points:
    """Describe the prominent points of all tiles, and append their ``detail``: what is finer than three pixels."""
    tiles: list[int] = []
    positions: list[tuple[int, int]] = []
    descriptions: list[NDArray[np.float32]] = []
    for number, image in enumerate(images):
        grey = image.astype(np.float32).mean(-1)
        detail.append((grey - gaussian_filter(grey, 3.0)).astype(np.float16))
        smooth = gaussian_filter(grey, 1.5)
        for row, column in _prominent(np.abs(gaussian_filter(grey, 4.0) - smooth)):
            around = smooth[
                row - _REACH_PX : row + _REACH_PX + 1 : 2, column - _REACH_PX : column + _REACH_PX + 1 : 2
            ].ravel()  # fmt: skip
            around = around - around.mean()
            norm = float(np.linalg.norm(around))
            if norm >= _MIN_CONTRAST:
                tiles.append(number)
                positions.append((row, column))
                descriptions.append(around / norm)
    size = len(range(0, 2 * _REACH_PX + 1, 2)) ** 2
    described = np.array(descriptions, np.float32).reshape(-1, size)
    return _Points(np.array(tiles, np.intp), np.array(positions, np.intp).reshape(-1, 2), described)


def _prominent(strength: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Yield row and column of the strongest local maxima that lie far enough from the border."""
    peak = maximum_filter(strength, 7) == strength
    inner = np.zeros_like(peak)
    inner[_REACH_PX:-_REACH_PX, _REACH_PX:-_REACH_PX] = True
    rows, columns = np.nonzero(peak & inner)
    strongest = np.argsort(-strength[rows, columns], kind="stable")[:_POINTS]
    yield from zip(rows[strongest].tolist(), columns[strongest].tolist(), strict=True)


def _candidates(points: _Points) -> set[tuple[int, int, int, int]]:
    """Return pairs of tiles with the shift between them: (i, j, rows, columns), i < j."""
    found: set[tuple[int, int, int, int]] = set()
    if len(points.tile) < 2:
        return found
    for first, second in _collisions(_signs(points.description)):
        different = points.tile[first] != points.tile[second]
        first, second = first[different], second[different]
        alike = np.einsum("pd,pd->p", points.description[first], points.description[second]) > _ALIKE
        first, second = first[alike], second[alike]
        shift = points.position[first] - points.position[second]
        backwards = points.tile[first] > points.tile[second]
        i, j = points.tile[first], points.tile[second]
        i, j = np.where(backwards, j, i), np.where(backwards, i, j)
        shift[backwards] *= -1
        found.update(zip(i.tolist(), j.tolist(), shift[:, 0].tolist(), shift[:, 1].tolist(), strict=True))
    return found


def _signs(description: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return one number per point and table, (P, tables): signs of random projections of the principal components."""
    centred = description - description.mean(0)
    spread, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    components = centred @ (axes[:, -_PRINCIPAL:] / np.sqrt(spread[-_PRINCIPAL:].clip(1e-9)))
    planes = np.random.default_rng(0).standard_normal((_PRINCIPAL, _TABLES * _BITS))
    signs = (components @ planes.astype(np.float32) > 0).reshape(-1, _TABLES, _BITS)
    return np.asarray(signs @ (1 << np.arange(_BITS)), np.int64)


def _collisions(signs: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs of points that share a number in a table."""
    for table in signs.T:
        order = np.argsort(table, kind="stable")
        ordered = table[order]
        for step in range(1, min(_CROWD, len(order))):  # neighbours, second neighbours, ... in the same bucket
            same = np.flatnonzero(ordered[step:] == ordered[:-step])
            if not len(same):
                break
            yield order[same], order[same + step]


def _overlap_agrees(detail: Sequence[NDArray[np.float16]], i: int, j: int, rows: int, columns: int) -> bool:
    """Whether pixels agree where tile ``j``, moved by the shift, would lie over tile ``i``."""
    height, width = detail[i].shape
    top, bottom = max(0, rows), min(height, height + rows)
    left, right = max(0, columns), min(width, width + columns)
    if (bottom - top) * (right - left) < MIN_OVERLAP_PX:
        return False
    a = detail[i][top:bottom, left:right].astype(np.float32).ravel()
    b = detail[j][top - rows : bottom - rows, left - columns : right - columns].astype(np.float32).ravel()
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) > MIN_CORRELATION * float(np.linalg.norm(a) * np.linalg.norm(b))
