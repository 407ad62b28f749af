"""Lesions: foci of one tissue section that lie close together, with area, largest diameter and, in a node, size class.

A section is a connected piece of the tissue mask; foci of two sections are never one lesion, however near. Within a
section, foci whose edges lie no further apart than ``JOIN_UM`` are joined: the CAMELYON16 challenge merged annotations
nearer than 75 um (Ehteshami Bejnordi et al., JAMA 318, 2199, 2017). An infinite distance joins all of a section.

The size classes are those of the TNM classification for metastases in lymph nodes, by largest diameter alone: isolated
tumour cells up to 0.2 mm, micrometastasis up to 2 mm, macrometastasis above (its count of 200 cells is not looked at).
Weakness: what is measured is the map's outline, whose cells are as large as the model's stride; a person decides.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_gigaclf.geometry import PixelGrid
from napari_gigaclf.inference.findings.foci import Foci, Runs, largest_diameters, runs_of

if TYPE_CHECKING:
    from napari_gigaclf.models import ModelConfig
    from napari_gigaclf.slides.tissue import TissueMask

JOIN_UM = 75.0
"""Foci of a section whose edges are no further apart are one lesion."""
JOIN_PX = 150.0
"""The same where a slide does not say how large its pixels are, level-0 pixels."""
ISOLATED_MM = 0.2
MICRO_MM = 2.0
SizeClass = Literal["isolated cells", "micro", "macro"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """Foci of one section that belong together."""

    section: int
    """Number of the piece of tissue, from 1 in reading order."""
    foci: tuple[int, ...]
    """Numbers of its foci in ``Foci.labels``."""
    num_cells: int
    area_mm2: float | None
    """None where the slide's scale is unknown, as for the diameter."""
    area_px: float
    diameter_mm: float | None
    """Longest distance within it."""
    diameter_px: float | None
    """The same in level-0 pixels, where the scale is unknown; else None, since pixels need not be square."""
    highest: float
    """Largest probability in it."""
    place: tuple[float, float]
    """Centre of the cell that has it, (y, x), level-0 pixels."""
    size_class: SizeClass | None
    """None where sizes mean nothing, or the scale is unknown."""

    @property
    def num_foci(self) -> int:
        """Number of foci it joins."""
        return len(self.foci)


def size_class(diameter_mm: float) -> SizeClass:
    """Return the size class of a metastasis in a lymph node.

    Examples
    --------
    >>> size_class(0.2), size_class(0.21), size_class(2.0), size_class(2.1)
    ('isolated cells', 'micro', 'micro', 'macro')
    """
    if diameter_mm <= ISOLATED_MM:
        return "isolated cells"
    return "micro" if diameter_mm <= MICRO_MM else "macro"


def has_size_classes(model: "ModelConfig", class_name: str) -> bool:
    """Return whether a class of a model is one that is sized: what a model of lymph nodes looks for."""
    return "lymph node" in model.card.intended_tissue.casefold() and class_name == model.card.positive_class


def tissue_sections(tissue: "TissueMask | None", grid: PixelGrid) -> NDArray[np.int32]:
    """Return the section of every cell of a map, (rows, columns), from 1; without a mask all is one section.

    A cell belongs to the piece of tissue at its centre, or else to the one nearest to it.
    """
    if tissue is None or not tissue.mask.any():
        return np.ones(grid.shape, dtype=np.int32)
    pieces = np.empty(tissue.mask.shape, dtype=np.int32)
    ndimage.label(tissue.mask, output=pieces)
    places = []
    for axis in range(2):
        centre = grid.origin[axis] + (np.arange(grid.shape[axis]) + 0.5) * grid.step[axis]
        place = np.floor((centre - tissue.grid.origin[axis]) / tissue.grid.step[axis]).astype(np.intp)
        places.append(np.clip(place, 0, tissue.mask.shape[axis] - 1))
    sections: NDArray[np.int32] = pieces[np.ix_(*places)]
    if sections.all():
        return sections
    if not sections.any():  # no cell has its centre on tissue: pieces smaller than a cell
        return np.ones(grid.shape, dtype=np.int32)
    nearest = ndimage.distance_transform_edt(
        sections == 0, sampling=grid.step, return_distances=False, return_indices=True
    )
    found: NDArray[np.int32] = sections[tuple(nearest)]
    return found


def find_lesions(
    scores: NDArray[np.floating],
    foci: Foci,
    grid: PixelGrid,
    um_per_px: tuple[float, float] | None,
    sections: NDArray[np.int32],
    *,
    join: float | None = None,
    sized: bool = False,
) -> list[Lesion]:
    """Join foci into lesions, largest diameter first.

    Parameters
    ----------
    scores
        Probabilities (rows, columns) of the class.
    foci
        Its foci (``find_foci``).
    grid
        Place of the cells over level 0.
    um_per_px
        Micrometres per level-0 pixel, (y, x); None where unknown.
    sections
        Section of every cell (``tissue_sections``).
    join
        Foci of a section whose edges are no further apart are one lesion, um (level-0 pixels where the scale is
        unknown); None takes the usual distance, infinity joins all foci of a section.
    sized
        Whether lesions get a size class.
    """
    if not foci.count:
        return []
    unit = um_per_px or (1.0, 1.0)
    side = (grid.step[0] * unit[0], grid.step[1] * unit[1])
    usual = JOIN_PX if um_per_px is None else JOIN_UM
    section = _section_of(foci, sections)
    runs = runs_of(foci)
    count, lesion = _joined(runs, foci.count, section, side, usual if join is None else join)
    diameters = largest_diameters(runs, lesion[runs.focus], count, side)
    order = np.argsort(lesion, kind="stable")
    members = np.split(order + 1, np.cumsum(np.bincount(lesion, minlength=count))[:-1])
    num_cells = np.bincount(lesion, weights=foci.num_cells, minlength=count).astype(np.intp)
    row, column = _highest(scores, foci, lesion, count)
    of_section = np.zeros(count, dtype=np.intp)
    of_section[lesion] = section
    found = [
        Lesion(
            section=int(of_section[i]),
            foci=tuple(members[i].tolist()),
            num_cells=int(num_cells[i]),
            area_mm2=None if um_per_px is None else float(num_cells[i] * side[0] * side[1] / 1e6),
            area_px=float(num_cells[i] * grid.step[0] * grid.step[1]),
            diameter_mm=None if um_per_px is None else float(diameters[i] / 1e3),
            diameter_px=float(diameters[i]) if um_per_px is None else None,
            highest=float(scores[row[i], column[i]]),
            place=grid.centre_of(int(row[i]), int(column[i])),
            size_class=size_class(float(diameters[i] / 1e3)) if sized and um_per_px is not None else None,
        )
        for i in range(count)
    ]
    return [found[i] for i in np.lexsort((column, row, -diameters))]


def _section_of(foci: Foci, sections: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the section that holds most cells of each focus, the first of equals, (count,)."""
    inside = foci.labels > 0
    pairs, cells = np.unique(
        np.stack([foci.labels[inside], sections[inside]], axis=1).astype(np.int64) @ (1 << 32, 1), return_counts=True
    )
    focus, section = pairs >> 32, pairs & 0xFFFFFFFF
    best = np.lexsort((section, -cells, focus))
    _, first = np.unique(focus[best], return_index=True)
    found: NDArray[np.intp] = section[best][first].astype(np.intp)
    return found


def _joined(
    runs: Runs, count: int, section: NDArray[np.intp], side: tuple[float, float], join: float
) -> tuple[int, NDArray[np.intp]]:
    """Return the number of lesions, and the lesion of each focus, (count,)."""
    if join == np.inf:
        names, lesion = np.unique(section, return_inverse=True)
        return len(names), lesion.astype(np.intp)
    # Boxes in um; the distance between two foci is the least between two of their runs, exactly.
    boxes = shapely.box(
        runs.first * side[1], runs.row * side[0], runs.last * side[1], (runs.row + 1) * side[0]
    )  # fmt: skip
    one, other = shapely.STRtree(boxes).query(boxes, predicate="dwithin", distance=join)
    a, b = runs.focus[one], runs.focus[other]
    near = (a < b) & (section[a] == section[b])
    graph = sparse.coo_matrix((np.ones(near.sum(), dtype=np.int8), (a[near], b[near])), shape=(count, count))
    number, lesion = csgraph.connected_components(graph, directed=False)
    return int(number), lesion.astype(np.intp)


def _highest(
    scores: NDArray[np.floating], foci: Foci, lesion: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of the highest cell of each lesion, the first of equals."""
    row, column = np.nonzero(foci.labels)
    of_cell = lesion[foci.labels[row, column] - 1]
    order = np.lexsort((-scores[row, column], of_cell))  # stable: reading order among equals
    first = order[np.searchsorted(of_cell[order], np.arange(count))]
    return row[first], column[first]
