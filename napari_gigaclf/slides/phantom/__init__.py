"""A made-up slide that looks like stained tissue, in which every tumour's outline is known exactly."""

from napari_gigaclf.slides.phantom.slide import PHANTOM_VERSION, PhantomSlide, TumourRegion

__all__ = ["PHANTOM_VERSION", "PhantomSlide", "TumourRegion"]
