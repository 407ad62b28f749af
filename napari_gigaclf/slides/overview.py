"""Tells whether a slide can be shown from afar as it is, or needs an overview computed first (see ``pyramid``)."""

from napari_gigaclf.slides.slide import Slide

MAX_COARSEST_SIDE = 4096
"""A slide whose coarsest level is longer than this gets coarser ones."""


def needs_coarse_levels(slide: Slide) -> bool:
    """Return whether the slide's coarsest level is too large to be shown as an overview."""
    coarsest = slide.levels[-1]
    return max(coarsest.height, coarsest.width) > MAX_COARSEST_SIDE
