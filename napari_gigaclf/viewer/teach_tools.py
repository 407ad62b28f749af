"""Mouse and keys of teaching, on every canvas: a click, or a key, gives the chosen class, keys choose it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.canvas_keys import CanvasKeys
from napari_gigaclf.viewer.click_tool import ClickTool
from napari_gigaclf.viewer.companions import say_unseen, wish_for
from napari_gigaclf.viewer.controllers.teach import TeachController
from napari_gigaclf.viewer.every_canvas import EveryCanvas
from napari_gigaclf.viewer.proxied import key_of
from napari_gigaclf.viewer.teach_texts import EXAMPLE_KEY, NO_SLIDE, not_taught_there_text
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide


class TeachTools:
    """What a person teaches with over a slide.

    Parameters
    ----------
    viewer
        A napari viewer.
    teaching
        Takes the examples.
    keys
        What each key does, as napari spells it.
    in_front
        Whether a person sees the widget; clicks teach nothing while they do not.
    say
        Shows one line.
    """

    def __init__(
        self,
        viewer: Any,  # noqa: ANN401 - napari has no stubs
        teaching: TeachController,
        keys: Mapping[str, Callable[[], None]],
        *,
        in_front: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._viewer, self._main = viewer, key_of(viewer)
        self._teaching, self._say = teaching, say
        self._on = False
        self._every = EveryCanvas(viewer, lambda each: self._made(each, keys, in_front))

    def switch(self, on: bool) -> None:
        """Let clicks teach, or not."""
        self._on = on
        for each in self._every.all():
            each.tool.switch(on)

    def middle(self) -> None:
        """Give the chosen class to the middle of what napari's own canvas shows."""
        self._middle_of(self._viewer)

    def stop(self) -> None:
        """Give the mouse and the keys back."""
        self._every.stop()

    def _made(
        self,
        viewer: Any,  # noqa: ANN401
        keys: Mapping[str, Callable[[], None]],
        in_front: Callable[[], bool],
    ) -> "_OnOneCanvas":
        idle = None if key_of(viewer) == self._main else partial(say_unseen, viewer, "Teach")
        tool = ClickTool(viewer, partial(self._clicked, viewer), acts=in_front, idle=idle)
        tool.switch(self._on)
        here = {**keys, EXAMPLE_KEY: lambda: self._middle_of(viewer) if in_front() else None}
        return _OnOneCanvas(tool, CanvasKeys(viewer, here, before_tools=lambda: tool.takes_clicks))

    def _clicked(self, viewer: Any, world: tuple[float, float]) -> None:  # noqa: ANN401
        slide = self._slide_on(viewer)
        if slide is not None:
            y, x = SlideCanvas(viewer).to_corner(slide, np.array([world]))[0].tolist()
            self._teaching.click(slide, (y, x))

    def _middle_of(self, viewer: Any) -> None:  # noqa: ANN401
        slide = self._slide_on(viewer)
        if slide is not None:
            self._teaching.click(slide, Viewpoint(viewer).box(slide).centre)

    def _slide_on(self, viewer: Any) -> "Slide | None":  # noqa: ANN401
        """Return the slide that is taught on if a canvas shows it; else say why nothing is taught there."""
        slide = self._teaching.slide
        if slide is None:
            self._say(NO_SLIDE)
            return None
        if key_of(viewer) != self._main:
            there: Slide | None = Viewpoint(viewer).slide()
            if there is None or there.id != slide.id:
                self._say(not_taught_there_text(slide))
                return None
            wish_for(viewer, "examples")
        return slide


class _OnOneCanvas:
    """Mouse and keys over one canvas."""

    def __init__(self, tool: ClickTool, keys: CanvasKeys) -> None:
        self.tool, self._keys = tool, keys

    def stop(self) -> None:
        """Give both back."""
        self.tool.stop()
        self._keys.stop()
