"""Where a network looks: how much of its highest probability and of its saliency lies inside the true lesion.

    share = part of the top 1 % of a slide's tissue cells that lies in the lesion,    chance = the lesion's part of all

for the margin of single cells (the probability map, in another scale) and for the mean over the cell's pixels of

    max_c | d logit / d pixel(c, y, x) |

of the slide's logit, streamed backward. The lesion is what the mosaic's plan says, middle of seam to middle of seam.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gigaclf.inference.saliency import MagnitudeSink, block_means
from napari_gigaclf.models import Classifier
from napari_gigaclf.models.networks.cell_net import CELL_PX
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.bench import Bench
from napari_gigaclf.training.experiments.maps import SlideMap
from napari_gigaclf.training.experiments.on_maps import OnMaps
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.mosaics import SlidePlan, TilePool
from napari_gigaclf.training.mosaics.plan import SHAM, TUMOUR
from napari_gigaclf.writing import replacing

logger = logging.getLogger(__name__)

TOP: Final = 0.01
"""Share of a slide's tissue cells that counts as the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaze:
    """Where a network looked on one slide."""

    slide: str
    chance: float
    """Share of the tissue cells that lie in the lesion."""
    probability: float
    """Share of the cells of highest probability that do."""
    saliency: float
    """Share of the most salient cells that do."""
    hit: bool
    """Whether the one cell of highest probability does."""


def looking_path(folder: Path, experiment: str, arm: str) -> Path:
    """Return where it is written how an arm looks."""
    return folder / "looking" / f"{experiment}, {arm}.json"


def look(bench: Bench, model: Classifier, path: Path) -> None:
    """Measure where a model looks on the first positive test slides, and write it."""
    positive = [one for one in bench.test if one.plan.label == 1][: bench.experiment.num_looked_at]
    write_gazes(path, [gaze(model, one, bench.pools["test"]) for one in positive])


def gaze(model: Classifier, one: SlideMap, pool: TilePool) -> Gaze:
    """Return where a model looks on a slide."""
    tissue = one.cells_hw.numpy()
    with torch.no_grad():
        _, logits = OnMaps(model).eval().map_logits(one.features_Fhw[None])
    margin = (logits[0, 1] - logits[0, 0]).numpy()[tissue]
    salient = block_means(saliency(model, one, pool), CELL_PX)[: tissue.shape[0], : tissue.shape[1]][tissue]
    return gaze_from(one.plan, tissue, margin, salient)


def gaze_from(
    plan: SlidePlan, tissue: NDArray[np.bool_], margin: NDArray[np.float32], salient: NDArray[np.float32]
) -> Gaze:  # fmt: skip
    """Return where a network looks, from what it says of each cell of tissue.

    Parameters
    ----------
    plan
        Of the slide.
    tissue
        Which cells of the map (rows, columns) are tissue.
    margin, salient
        Of these cells, in order.
    """
    inside = lesion_cells(plan, tissue.shape)[tissue]
    return Gaze(
        slide=plan.name,
        chance=float(inside.mean()),
        probability=share_in(margin, inside),
        saliency=share_in(salient, inside, above=0.0),
        hit=bool(inside[margin.argmax()]),
    )


def saliency(model: Classifier, one: SlideMap, pool: TilePool) -> NDArray[np.float32]:
    """Return the largest magnitude over channels of the gradient of the slide's tumour logit, (y, x)."""
    with painted(one.plan, pool) as view, torch.enable_grad():
        raw = np.zeros(view.shape, np.float32)
        sink = MagnitudeSink(raw, view.whole)
        features = stream(model.features.eval()).stream(view.whole, sink=sink, cells=one.cells_hw.numpy())
        logits = model.cell_logits(model.pool(features[0].T))
        (logits[1] - logits[0]).backward()  # type: ignore[no-untyped-call]
    return raw


def lesion_cells(plan: SlidePlan, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return which cells of the map, (rows, columns), have their middle in a tumour tile, of label 0 in a sham."""
    grid = plan.grid
    tumour = np.zeros((grid.num, grid.num), bool)
    where = plan.cells[plan.roles == (TUMOUR if plan.label == 1 else SHAM)]
    tumour[where[:, 0], where[:, 1]] = True
    first = grid.offset_px + grid.overlap_px / 2
    rows, columns = (
        np.floor(((np.arange(length) + 0.5) * CELL_PX - first) / grid.stride_px).astype(np.int64) for length in shape
    )
    on_grid = [(places >= 0) & (places < grid.num) for places in (rows, columns)]
    found: NDArray[np.bool_] = tumour[np.ix_(rows.clip(0, grid.num - 1), columns.clip(0, grid.num - 1))]
    return found & on_grid[0][:, None] & on_grid[1][None, :]


def share_in(values: NDArray[np.float32], inside: NDArray[np.bool_], above: float = -np.inf) -> float:
    """Return the share of the top cells that lie inside.

    Parameters
    ----------
    above
        Cells of this value or less are never at the top: without a gradient none is more salient than another.
    """
    count = max(1, min(round(TOP * len(values)), int(np.sum(values > above))))
    return float(inside[np.argsort(-values, kind="stable")[:count]].mean())


def write_gazes(path: Path, gazes: Sequence[Gaze], key: str = "") -> None:
    """Write gazes, whole or not at all, with a digest of what they depend on."""
    with replacing(path) as beside:
        text = json.dumps({"key": key, "gazes": [asdict(one) for one in gazes]})
        beside.write_text(text + "\n", encoding="utf-8")
    logger.info("looked at %d slides: %s", len(gazes), path.name)


def read_gazes(path: Path) -> list[Gaze]:
    """Read what ``write_gazes`` wrote."""
    return [Gaze(**one) for one in _read(path)["gazes"]]


def key_of_gazes(path: Path) -> str:
    """Return the digest of what gazes depend on; empty where there are none."""
    return str(_read(path)["key"]) if path.is_file() else ""


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
