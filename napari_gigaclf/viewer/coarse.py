"""A slide without coarse levels is shown at once, blank from afar, while its overview is computed in the background.

napari reads the coarsest level as a whole when a layer is added. For a slide with one huge level this would read the
whole file on the thread of the window, so the layer starts with empty coarse levels which cost no memory, and the real
ones take their place when they are there.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import GigaclfError
from napari_gigaclf.slides.pyramid import ensure_coarse_levels
from napari_gigaclf.viewer.layers import LayerData, contrast_limits, is_colour, slide_layers
from napari_gigaclf.viewer.progressive.shown_level import read_coarsest
from napari_gigaclf.viewer.worker import lower_priority

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

SMALLEST_SIDE = 1024
"""The coarsest placeholder is at most this long."""


def placeholder_levels(slide: "Slide") -> list[Any]:
    """Return the slide's levels and, below them, blank ones which halve until they are small; they hold no memory."""
    levels: list[Any] = list(slide.levels)
    height, width = levels[-1].height, levels[-1].width
    while max(height, width) > SMALLEST_SIDE:
        height, width = max(1, height // 2), max(1, width // 2)
        levels.append(_blank((height, width), levels[0], slide.background))
    return levels


def start_coarse_levels(slide: "Slide") -> threading.Thread:
    """Compute coarse levels in the background; when they are there, every layer of the slide is given them.

    To be called on the GUI thread.
    """
    from qtpy.QtCore import QCoreApplication

    from napari_gigaclf.viewer.bridge import GuiPost

    post = GuiPost(QCoreApplication.instance())  # the application owns it until the call below has arrived

    def work() -> None:
        lower_priority()
        complete: list[LayerData] = []
        message = ""
        try:
            complete = complete_layers(slide)
        except (GigaclfError, OSError) as error:
            message = f"{slide.name}: no overview could be computed: {error}"

        def deliver() -> None:
            post.deleteLater()
            if complete:
                swap_levels(slide, complete)
            else:
                _notify(message)

        post(deliver)

    thread = threading.Thread(target=work, name="gigaclf-overview", daemon=True)
    thread.start()
    return thread


def complete_layers(slide: "Slide") -> list[LayerData]:
    """Compute the coarse levels of a slide; return its layers with them. Takes long, and is for no window's thread."""
    complete = ensure_coarse_levels(slide)
    layers = slide_layers(complete, limits=contrast_limits(complete))
    for levels, _, _ in layers:
        read_coarsest(levels)
    return layers


def swap_levels(slide: "Slide", complete: Sequence[LayerData]) -> None:
    """Give the layers of a slide its complete levels, in place; layers that were closed meanwhile are left alone."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return
    layers = [layer for layer in viewer.layers if layer.metadata.get("slide") is slide]
    for layer, (levels, kwargs, _) in zip(layers, complete, strict=False):
        layer.data = levels
        layer.metadata["slide"] = kwargs["metadata"]["slide"]
        if not is_colour(slide):
            layer.contrast_limits = kwargs["contrast_limits"]
        layer.refresh()


def _blank(shape: tuple[int, int], like: Any, background: tuple[int, ...]) -> NDArray[Any]:  # noqa: ANN401
    """Return an array of the background colour that takes a few bytes whatever its shape."""
    if like.ndim == len(shape):
        return np.broadcast_to(np.asarray(background[0], dtype=like.dtype), shape)
    return np.broadcast_to(np.asarray(background, dtype=like.dtype), (*shape, like.shape[-1]))


def _notify(message: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(message)
