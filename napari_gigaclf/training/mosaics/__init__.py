"""Metastasis mosaics: slides of real tissue, made of small labelled tiles; neither colour nor seams tell their label.

For measuring what networks learn from slide labels alone. See ``docs/experiments/mosaics.md``. Needs scikit-learn to
match colours; loads no torch.
"""

from napari_gigaclf.training.mosaics.matching import match_colours
from napari_gigaclf.training.mosaics.plan import SlidePlan, plan_slide
from napari_gigaclf.training.mosaics.pools import Pools, TilePool
from napari_gigaclf.training.mosaics.render import MosaicSlide
from napari_gigaclf.training.mosaics.settings import MosaicSettings
from napari_gigaclf.training.mosaics.tile_pools import make_pools
from napari_gigaclf.training.mosaics.truth import truth
from napari_gigaclf.training.mosaics.writing import plan_set, write_set

__all__ = [
    "MosaicSettings",
    "MosaicSlide",
    "Pools",
    "SlidePlan",
    "TilePool",
    "make_pools",
    "match_colours",
    "plan_set",
    "plan_slide",
    "truth",
    "write_set",
]
