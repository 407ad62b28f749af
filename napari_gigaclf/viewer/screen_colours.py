"""Shows a slide through its own ICC profile, as its scanner meant it: tiles on their way to the screen and no others.

Runs, clicks, readings and whoever reads a layer's levels get the file's pixels: only what napari draws is converted.
"""

import io
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.viewer.progressive.shown_level import ShownLevel


class ScreenColours:
    """Converts colours of a profile to sRGB, which screens show; safe to use from several threads.

    Parameters
    ----------
    profile
        An ICC profile of RGB pixels.

    Raises
    ------
    GigaclfError
        It is damaged, or is not one of RGB pixels.
    """

    def __init__(self, profile: bytes) -> None:
        self._profile = profile
        self._own = threading.local()
        self.name = self._described()

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Return pixels, (h, w, 3) uint8, as they look on a screen."""
        from PIL import Image, ImageCms

        if not hasattr(self._own, "transform"):
            self._own.transform = self._transform()
        shown = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels)), self._own.transform)
        return np.asarray(shown)

    def _transform(self) -> Any:  # noqa: ANN401 - Pillow's
        from PIL import ImageCms

        profile = ImageCms.ImageCmsProfile(io.BytesIO(self._profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(profile))
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB", intent)

    def _described(self) -> str:
        from PIL import ImageCms

        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(self._profile))
            space = profile.profile.xcolor_space.strip()
            if space != "RGB":
                raise GigaclfError(f"the slide's colour profile is one of {space} pixels, not of RGB: it is not used")
            self._own.transform = self._transform()
            return " ".join(str(ImageCms.getProfileDescription(profile)).split())
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            raise GigaclfError(f"the slide's colour profile is damaged: {error}") from error


def feed_of(layer: Any) -> Any | None:  # noqa: ANN401 - a napari layer, a Feed
    """Return what feeds a slide's layer with tiles; None for layers that are drawn from memory."""
    levels = layer.data if getattr(layer, "multiscale", False) else ()
    return next((level.feed for level in levels if isinstance(level, ShownLevel)), None)


def switch_profile(layer: Any) -> str:  # noqa: ANN401 - a napari layer
    """Show a slide through its colour profile, or as its file has it again; return one line for a person.

    Raises
    ------
    GigaclfError
        The profile cannot be used; the text says why.
    """
    from napari_gigaclf.slides.colour_profile import colour_profile
    from napari_gigaclf.viewer.layers import is_colour

    slide, feed = layer.metadata["slide"], feed_of(layer)
    if feed is not None and feed.looks is not None:
        _look_through(layer, feed, None)
        return f"{slide.name}: colours as they lie in the file"
    profile = colour_profile(slide) if is_colour(slide) and feed is not None else None
    if profile is None or feed is None:
        return f"{slide.name} has no colour profile that can be read: colours are shown as they lie in the file"
    colours = ScreenColours(profile)
    _look_through(layer, feed, colours)
    return f"{slide.name}: colours through its profile ({colours.name}), for the eye alone; models get the file's own"


def _look_through(layer: Any, feed: Any, colours: ScreenColours | None) -> None:  # noqa: ANN401 - a layer and its feed
    """Have a layer drawn in other colours, also the coarsest level, of which napari holds an array of its own."""
    feed.look_through(colours)
    layer.data = layer.data
