"""Says what lies where on a mosaic: outlines of tumour and sham clusters, in the slide's pixels.

A cluster's outline runs along the middle of the seams around it. What is certain is less: a tile's label speaks of its
central 32 x 32 px, and of "any tumour there", not of all its pixels.
"""

import uuid
from typing import Final

import numpy as np
import shapely
from scipy.ndimage import label as connected
from shapely.geometry.base import BaseGeometry

from napari_gigaclf.annotations import Annotation
from napari_gigaclf.training.mosaics.plan import SHAM, TUMOUR, SlidePlan

CLASS_NAMES: Final = {TUMOUR: "Tumour", SHAM: "Sham"}
_NAMESPACE: Final = uuid.UUID("6f1c9a52-3b0e-5f0c-9d0a-6a6f0f6d4a11")


def truth(plan: SlidePlan, seed: int) -> list[Annotation]:
    """Return an annotation for every connected cluster of tumour tiles and of sham tiles.

    Parameters
    ----------
    plan
        The slide.
    seed
        Of the set; the annotations' ids follow from it, so that the same slide gives the same file.
    """
    found = []
    for role, name in CLASS_NAMES.items():
        mask = np.zeros((plan.grid.num, plan.grid.num), bool)
        cells = plan.cells[plan.roles == role]
        mask[cells[:, 0], cells[:, 1]] = True
        parts, num_parts = connected(mask)
        for part in range(1, num_parts + 1):
            inside = np.argwhere(parts == part)
            found.append(
                Annotation(
                    geometry=_outline(plan, inside),
                    class_name=name,
                    author="mosaic",
                    measurements={"tiles": float(len(inside))},
                    id=str(uuid.uuid5(_NAMESPACE, f"{seed} {plan.name} {name} {part}")),
                    metadata={"lesion": plan.lesion} if plan.lesion else {},
                )
            )
    return found


def _outline(plan: SlidePlan, cells: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> BaseGeometry:
    bounds = [plan.grid.cell_bounds(row, column) for row, column in cells.tolist()]
    return shapely.union_all([shapely.box(x0, y0, x1, y1) for y0, y1, x0, x1 in bounds])
