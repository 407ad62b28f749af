"""Where to click next: cells of which the head is unsure, and which are unlike the examples and one another.

Unsure are the cells with the smallest margin between the two likeliest classes, 1 in 50 of them. Among these, one
after another, the cell is taken whose standardised features lie farthest from all examples and from those taken before
(Gonzalez 1985): ten clicks on one border would teach what one teaches. Without a head yet, all cells are asked.
"""

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.inference.teaching.learning import Evidence
from napari_gigaclf.inference.teaching.painting import Canvas

SHARE = 0.02
LEAST, MOST = 200, 4000
"""Candidates, whatever share of the cells they are."""
NUM_SUGGESTIONS = 10


def suggest(
    canvas: Canvas,
    evidence: Evidence,
    probabilities: NDArray[np.float32] | None,
    count: int = NUM_SUGGESTIONS,
    skipped: frozenset[tuple[int, int]] = frozenset(),
) -> list[tuple[int, int]]:
    """Return cells (row, column) to click next, the most useful first.

    Parameters
    ----------
    canvas
        The slide's features.
    evidence
        The examples so far.
    probabilities
        The map of the head, (K, rows, columns); None while there is no head.
    count
        How many.
    skipped
        Cells (row, column) that a person does not want to be asked about: they are not suggested again.
    """
    numbers = _candidates(canvas, probabilities)
    if not len(numbers):
        return []
    mean, deviation = evidence.mean, evidence.deviation
    if not np.isfinite(deviation).any():
        mean, deviation = (value.astype(np.float64) for value in canvas.moments())
        deviation = np.where(deviation > 0, deviation, np.inf)
    points = (canvas.features[numbers] - mean) / deviation
    taken = (evidence.features - mean) / deviation
    nearest = np.full(len(points), np.inf)
    for example in taken:
        nearest = np.minimum(nearest, _squares(points - example))
    if not len(taken):  # begin with what is most usual
        nearest = 1 / (1 + _squares(points))
    cells = [(int(row), int(column)) for row, column in canvas.cells_of(numbers)]
    nearest[[cell in skipped for cell in cells]] = 0.0
    return [cells[place] for place in _farthest(points, nearest, count, fresh=not len(taken))]


def _farthest(points: NDArray[np.float64], nearest: NDArray[np.float64], count: int, *, fresh: bool) -> list[int]:
    """Take points one after another, each the farthest from all that are taken; none that lies on one of them."""
    chosen: list[int] = []
    for _ in range(count):
        place = int(nearest.argmax())
        if nearest[place] <= 0:
            break
        chosen.append(place)
        distances = _squares(points - points[place])
        open_to = nearest > 0
        nearest = np.where(open_to, distances if fresh else np.minimum(nearest, distances), 0.0)
        fresh = False
    return chosen


def _squares(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.einsum("nf,nf->n", differences, differences)
    return found


def _candidates(canvas: Canvas, probabilities: NDArray[np.float32] | None) -> NDArray[np.intp]:
    """Return the cells that are asked, as positions among the features, ascending."""
    total = len(canvas.features)
    wanted = min(total, max(LEAST, min(MOST, int(total * SHARE))))
    if probabilities is None:
        return np.unique(np.linspace(0, total - 1, wanted).round().astype(np.intp)) if total else np.zeros(0, np.intp)
    kept = probabilities[:, canvas.kept]
    top = np.partition(kept, len(kept) - 2, axis=0)[-2:]
    margin = top[1] - top[0]
    found: NDArray[np.intp] = np.sort(np.argpartition(margin, wanted - 1)[:wanted]) if total else np.zeros(0, np.intp)
    return found
