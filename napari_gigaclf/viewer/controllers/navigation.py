"""Decides what the navigator shows: the slide on top, its objective, the view's box, what lies under the cursor.

No Qt here. All methods belong to the GUI thread; the overview's picture is read by the worker.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.overview import needs_coarse_levels
from napari_gigaclf.viewer import commands
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.companions import NAME as SECOND_CANVAS
from napari_gigaclf.viewer.controllers.objective import OBJECTIVES, Objective
from napari_gigaclf.viewer.controllers.thumbnails import as_rgb
from napari_gigaclf.viewer.proxied import key_of
from napari_gigaclf.viewer.readings import read_at, reading_lines
from napari_gigaclf.viewer.viewpoint import ViewBox, Viewpoint
from napari_gigaclf.viewer.worker import Worker

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

OVERVIEW_SIDE = 480
"""The overview's picture is at most this long, in pixels: twice what is drawn, for screens with dense pixels."""


class NavigatorView(Protocol):
    """What the controller asks of the widget."""

    def show_slide(self, slide: "Slide | None", reachable: tuple[float, ...]) -> None:
        """Show which slide is on top, and which objectives can be jumped to."""
        ...

    def show_overview(self, picture: NDArray[np.uint8] | None) -> None:
        """Show the slide from afar, (h, w, 3), or nothing."""
        ...

    def show_view(self, text: str, objective: float | None, box: tuple[float, float, float, float]) -> None:
        """Show the magnification, the objective it is, if any, and the view as shares (y0, y1, x0, x1) of the slide."""
        ...

    def show_reading(self, lines: list[str]) -> None:
        """Show what lies under the cursor."""
        ...

    def show_problem(self, text: str) -> None:
        """Show one line that says why something cannot be done."""
        ...


class NavigationController:
    """The navigator of a viewer.

    Parameters
    ----------
    view
        The widget, or a fake of it.
    canvas
        Where the layers are.
    worker
        Reads the overview.
    """

    def __init__(self, view: NavigatorView, canvas: SlideCanvas, *, worker: Worker) -> None:
        self._view = view
        self._canvas = canvas
        self._point = Viewpoint(canvas.viewer)
        self._worker = worker
        self._shown: Slide | None = None
        self._objective = Objective(base=None, um_per_px=None)

    @property
    def slide(self) -> "Slide | None":
        """The slide which is navigated."""
        return self._shown

    def layers_changed(self) -> None:
        """Look which slide is on top now; a slide whose coarse levels have come counts as another."""
        slide = self._point.slide()
        if slide is not self._shown:
            self._shown = slide
            self._objective = Objective.of_slide(slide) if slide is not None else Objective(base=None, um_per_px=None)
            self._view.show_slide(slide, self._reachable())
            self._view.show_overview(None)
            if slide is not None and not needs_coarse_levels(slide):
                self._worker.submit(
                    lambda _job: overview_picture(slide), self._pictured(slide), self._view.show_problem
                )
        self.view_moved()

    def view_moved(self) -> None:
        """Show where one looks now."""
        slide = self._shown
        if slide is None:
            return
        zoom = self._point.zoom(slide)
        box = shares_of(self._point.box(slide), slide)
        self._view.show_view(self._objective.text(zoom), self._objective.nearest(zoom), box)

    def jump(self, magnification: float) -> None:
        """Show the slide at a magnification."""
        commands.jump(self._canvas.viewer, magnification)

    def look_at(self, share: tuple[float, float]) -> None:
        """Move a place of the overview, (y, x) as shares of the slide, into the middle of the view."""
        slide = self._shown
        if slide is not None:
            finest = slide.levels[0]
            inside = np.clip(share, 0, 1) * (finest.height, finest.width)
            self._point.look_at(slide, (float(inside[0]), float(inside[1])))

    def hover(self, viewer: Any, world: tuple[float, float]) -> None:  # noqa: ANN401 - napari has no stubs
        """Show what lies at a world position, (y, x), of the viewer or of what stands beside it, which is then said."""
        beside = key_of(viewer) != key_of(self._canvas.viewer)
        slide = Viewpoint(viewer).slide() if beside else self._shown
        lines = [] if slide is None else reading_lines(read_at(SlideCanvas(viewer), slide, world))
        if beside and lines:
            lines[0] = f"{SECOND_CANVAS}: {lines[0]}"
        self._view.show_reading(lines)

    def _reachable(self) -> tuple[float, ...]:
        return () if self._objective.at_level_0 is None else OBJECTIVES

    def _pictured(self, slide: "Slide") -> Any:  # noqa: ANN401 - a callback
        def show(picture: NDArray[np.uint8]) -> None:
            if slide is self._shown:
                self._view.show_overview(picture)

        return show


def shares_of(box: ViewBox, slide: "Slide") -> tuple[float, float, float, float]:
    """Return a view as shares (y0, y1, x0, x1) of the slide; beyond 0 and 1 where it reaches beyond the slide."""
    height, width = slide.levels[0].height, slide.levels[0].width
    return box.y0 / height, box.y1 / height, box.x0 / width, box.x1 / width


def overview_picture(slide: "Slide", side: int = OVERVIEW_SIDE) -> NDArray[np.uint8]:
    """Return the whole slide, at most ``side`` pixels long, (h, w, 3); reads the coarsest level."""
    pixels = as_rgb(np.asarray(slide.levels[-1]))
    step = max(1, -(-max(pixels.shape[:2]) // side))
    height, width = (size // step * step for size in pixels.shape[:2])
    if step == 1 or not height or not width:
        return np.ascontiguousarray(pixels[::step, ::step])
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step, 3)
    return np.ascontiguousarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))
