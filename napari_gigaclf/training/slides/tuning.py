"""How good a network is on the tuning slides, each seen whole and unchanged, as ``classify`` would see it."""

from collections.abc import Sequence

import numpy as np
import torch

from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import Cohort, CohortRow
from napari_gigaclf.training.runs.tuning import Tuning
from napari_gigaclf.training.slides.losses import Loss
from napari_gigaclf.training.slides.network import SlideNetwork
from napari_gigaclf.training.slides.slides import Slides


@torch.no_grad()
def tune(
    network: SlideNetwork, slides: Slides, rows: Sequence[CohortRow], loss: Loss, cancel: CancelToken | None = None
) -> list[tuple[int, list[float], float]]:
    """Return row number, logits and loss of slides.

    Parameters
    ----------
    rows
        The slides that this process looks at.
    """
    network.train(mode=False)
    found = []
    for row in slides.readable(rows, cancel):
        source = slides.whole(row)
        cells = slides.view(row).cells(network.axes, network.map_shape(source.shape))
        logits = network.logits(source, cells, cancel)
        found.append((row.number, logits.double().tolist(), float(loss(logits, row))))
    return found


def joined(cohort: Cohort, parts: Sequence[list[tuple[int, list[float], float]]]) -> Tuning:
    """Return what all processes found."""
    by_row = {number: (logits, loss) for part in parts for number, logits, loss in part}
    present = cohort.with_rows(row for row in cohort.rows if row.number in by_row)
    return Tuning(
        cohort=present,
        logits=np.array([by_row[row.number][0] for row in present.rows], dtype=np.float64),
        losses=np.array([by_row[row.number][1] for row in present.rows], dtype=np.float64),
    )
