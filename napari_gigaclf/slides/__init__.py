"""Opens slides and reads their pixels a region at a time; knows no network, no viewer and no torch."""

from napari_gigaclf.slides.opening import open_slide
from napari_gigaclf.slides.slide import Kind, Level, Slide

__all__ = ["Kind", "Level", "Slide", "open_slide"]
