"""Draws the layers of a slide again when tiles have come; from any thread, at most one wish at a time."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_gigaclf.viewer.bridge import GuiPost
    from napari_gigaclf.viewer.progressive.feed import Feed


def window_post() -> "GuiPost | None":
    """Return the way to the window's thread; None where there is no window, as in a script. Imports no Qt itself."""
    if "qtpy" not in sys.modules:
        return None
    from napari_gigaclf.viewer.bridge import application_post

    return application_post()


class Redrawing:
    """Passes a feed's news on to the layers that show it. ``feed`` is set once both exist."""

    def __init__(self) -> None:
        self.feed: Feed | None = None
        self._on_its_way = False

    def soon(self) -> None:
        """Draw every layer of the slide again, on the window's thread; without a window nothing happens."""
        post = window_post()
        if post is not None and not self._on_its_way:
            self._on_its_way = True
            post(self._redraw)

    def tell(self, message: str) -> None:
        """Show one line on the window's thread, if the slide is still shown."""
        post = window_post()
        if post is not None:
            post(lambda: self._tell(message))

    def _redraw(self) -> None:
        self._on_its_way = False
        layers = list(self._layers())
        for layer in layers:
            layer.refresh(extent=False, thumbnail=False, highlight=False)
        if not layers and self.feed is not None:
            self.feed.stop()

    def _tell(self, message: str) -> None:
        if any(True for _ in self._layers()):
            from napari.utils.notifications import show_warning

            show_warning(message)

    def _layers(self) -> Iterator[Any]:
        """Yield the layers of all windows which show the slide."""
        from napari_gigaclf.viewer.progressive.shown_level import ShownLevel

        for viewer in open_viewers():
            for layer in viewer.layers:
                levels = layer.data if getattr(layer, "multiscale", False) else ()
                if any(isinstance(level, ShownLevel) and level.feed is self.feed for level in levels):
                    yield layer


def open_viewers() -> list[Any]:
    """Return napari's open viewers and those beside them; napari has no public list, only the current one."""
    from napari import Viewer, current_viewer

    from napari_gigaclf.viewer.companions import companions

    known = getattr(Viewer, "_instances", None)
    viewers = list(known) if known is not None else [current_viewer()]
    return [*(viewer for viewer in viewers if viewer is not None), *companions()]
