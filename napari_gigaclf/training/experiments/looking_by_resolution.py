"""Where networks of several resolutions look, measured as ``looking`` does: one share of cells for all of them.

A cell stands for 32 px of the slide whatever the resolution, so that lesion, margins and saliency (the gradient of the
slide's answer by the pixels of the network's own input, mean over those of a cell) lie on one grid.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch

from napari_gigaclf.inference.network import cell_axes
from napari_gigaclf.inference.saliency import MagnitudeSink, block_means
from napari_gigaclf.streaming import stream
from napari_gigaclf.training.experiments.ladder import Ladder, Rung
from napari_gigaclf.training.experiments.looking import Gaze, gaze_from, looking_path
from napari_gigaclf.training.experiments.painted import painted
from napari_gigaclf.training.experiments.resolution import SlideSet
from napari_gigaclf.training.mosaics import SlidePlan, TilePool
from napari_gigaclf.training.mosaics.settings import Lesion

LOOKED_AT: Final[tuple[Lesion, ...]] = ("macro", "micro")
"""Lesions that the gaze is measured on: of smaller ones hardly a cell is inside."""
SHAM_SET: Final = ", sham"
"""Behind the name of a set: its slides without tumour."""


def looked_at(experiment: str) -> dict[str, tuple[str, int]]:
    """Return what is looked at by name: a set of test slides, and the label of those that are.

    Twins without tumour have shams in the lesion's place, of the same colours: what draws a network there is no tumour.
    """
    found = {}
    for lesion in LOOKED_AT:
        found[f"{experiment}, {lesion}"] = (f"{experiment}, {lesion}", 1)
        found[f"{experiment}, {lesion}{SHAM_SET}"] = (f"{experiment}, {lesion}", 0)
    return found


def gazes_path(folder: Path, of: str, rung: str, seed: int) -> Path:
    """Return where it is written how a network looks on a set of test slides."""
    return looking_path(folder, of, f"{rung}, {seed}")


def gazes_paths(folder: Path, of: str, rung: str) -> list[Path]:
    """Return what is written, a file for each seed of training."""
    return sorted(gazes_path(folder, of, rung, 0).parent.glob(f"{of}, {rung}, [0-9]*.json"))


def gazes_of(network: Ladder, rung: Rung, slides: SlideSet, label: int, count: int) -> list[Gaze]:
    """Return where a network looks on the first ``count`` slides of a label."""
    chosen = [plan for plan in slides.plans if plan.label == label][:count]
    return [gaze(network.eval(), rung, plan, slides.pool) for plan in chosen]


def gaze(network: Ladder, rung: Rung, plan: SlidePlan, pool: TilePool) -> Gaze:
    """Return where a network looks on a slide."""
    streamed = stream(network.features)
    with painted(plan, pool, rung.factor) as view, torch.enable_grad():
        raw = np.zeros(view.shape, np.float32)
        rows, columns = streamed.plan(view.whole.shape, backward=True).output_shape[-2:]
        tissue = view.cells(cell_axes(streamed), (int(rows), int(columns)))
        cells = streamed.stream(view.whole, sink=MagnitudeSink(raw, view.whole), cells=tissue)[0].T
        network.slide(cells, "tumour").backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        logits = network.head(cells)
    salient = block_means(raw, rung.stride_px)[: tissue.shape[0], : tissue.shape[1]][tissue]
    return gaze_from(plan, tissue, (logits[:, 1] - logits[:, 0]).numpy(), salient)
