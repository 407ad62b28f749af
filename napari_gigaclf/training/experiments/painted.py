"""A mosaic as a network sees it: painted where it is read, at the network's scale, glass white."""

from collections.abc import Iterator
from contextlib import contextmanager

from napari_gigaclf.training.mosaics import MosaicSlide, SlidePlan, TilePool
from napari_gigaclf.training.slides.view import SlideView, view_of


@contextmanager
def painted(plan: SlidePlan, pool: TilePool, factor: int = 1) -> Iterator[SlideView]:
    """Open a mosaic; a backward pass reads it again and has to end before it closes.

    Parameters
    ----------
    plan, pool
        The slide and its tiles.
    factor
        Pixels of the slide per pixel of the view, along each axis.
    """
    with MosaicSlide(plan, pool) as slide:
        yield view_of(slide, plan.um_per_px * factor, tissue=True)
