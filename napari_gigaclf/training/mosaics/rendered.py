"""The control on pixels: slides painted in full, with blending and stain, described by the colours of their pixels."""

from collections.abc import Sequence

import numpy as np

from napari_gigaclf.training.evaluation.intervals import bootstrap_interval
from napari_gigaclf.training.evaluation.ranking import auc
from napari_gigaclf.training.mosaics.colour_model import make_model
from napari_gigaclf.training.mosaics.colours import colour_features
from napari_gigaclf.training.mosaics.controls import Arena, Control
from napari_gigaclf.training.mosaics.plan import SlidePlan
from napari_gigaclf.training.mosaics.pools import TilePool
from napari_gigaclf.training.mosaics.render import MosaicSlide


def rendered_control(arena: Arena, count: int) -> Control:
    """Fit the linear colour model on ``count`` painted training slides and score as many test slides.

    The interval is over slides only (bootstrap): painting is too slow to do it for many drawings of tiles. Twins
    resemble each other, so it is rather too wide for the difference between labels, and too narrow for other tiles.
    """
    features, labels = {}, {}
    for split in ("train", "test"):
        plans = arena.plans(split, count)
        features[split] = _painted_features(plans, arena.pools[split])
        labels[split] = np.array([plan.label for plan in plans], np.int64)
    model = make_model("linear", arena.seed).fit(features["train"], labels["train"])
    scores = np.asarray(model.decision_function(features["test"]), np.float64)
    low, high = bootstrap_interval(scores, labels["test"])
    return Control(
        name="colour of painted slides, linear",
        auc=auc(scores, labels["test"]),
        low=low,
        high=high,
        num_slides=count,
    )


def _painted_features(plans: Sequence[SlidePlan], pool: TilePool) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = []
    for plan in plans:
        with MosaicSlide(plan, pool) as slide:
            # Every second pixel each way: colours need no more, and it takes a quarter of the time.
            found.append(colour_features(slide.read(0, 0, plan.side_px, 0, plan.side_px)[None, ::2, ::2]))
    return np.concatenate(found)
