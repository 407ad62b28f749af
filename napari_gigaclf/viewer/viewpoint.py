"""Where one looks at a slide: centre, zoom and orientation of napari's camera in terms of the slide.

napari's 2-D camera cannot turn. A quarter turn is the two axes exchanged (``dims.order``) with one of them reversed
(``camera.orientation2d``), and those two give all eight orientations in which a slide can lie on a stage. World
coordinates stay what they are: overlays, clicks and drawn shapes know nothing of it.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_gigaclf.geometry import HALF_PIXEL
from napari_gigaclf.viewer.layers import Frame

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

MARGIN = 0.03
"""Share of the canvas that is left free around a slide that is fitted."""
UNSEEN = 1e-3
"""Pixels of the screen, and share of the zoom, by which a view may differ from what was asked."""
DOWN, UP, RIGHT, LEFT = "down", "up", "right", "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewBox:
    """What is visible, level-0 corner coordinates; it may reach beyond the slide."""

    y0: float
    y1: float
    x0: float
    x1: float

    @property
    def centre(self) -> tuple[float, float]:
        """The middle, (y, x)."""
        return (self.y0 + self.y1) / 2, (self.x0 + self.x1) / 2


class Viewpoint:
    """The camera over the slide on top.

    Parameters
    ----------
    viewer
        A napari ``Viewer`` or ``ViewerModel``.
    """

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self._viewer = viewer

    def layer(self) -> Any | None:  # noqa: ANN401 - a napari layer
        """Return the layer of the topmost slide one can see; None without one."""
        slides = [layer for layer in self._viewer.layers if layer.metadata.get("slide") is not None]
        visible = [layer for layer in slides if layer.visible]
        return (visible or slides or [None])[-1]

    def slide(self) -> "Slide | None":
        """Return the topmost slide one can see."""
        layer = self.layer()
        slide: Slide | None = None if layer is None else layer.metadata["slide"]
        return slide

    # --- where ------------------------------------------------------------------------------------------------------

    def zoom(self, slide: "Slide") -> float:
        """Return pixels of the screen per pixel of level 0."""
        return float(self._viewer.scene.camera.zoom * np.sqrt(np.prod(_unit(slide))))

    def set_zoom(self, slide: "Slide", zoom: float) -> None:
        """Show level 0 with so many pixels of the screen per pixel."""
        self._viewer.scene.camera.zoom = float(zoom / np.sqrt(np.prod(_unit(slide))))

    def box(self, slide: "Slide") -> ViewBox:
        """Return what is visible of the plane in which the slide lies."""
        camera = self._viewer.scene.camera
        half = self._of_screen(np.asarray(self._viewer.canvas.size, dtype=float) / 2 / camera.zoom)
        centre = self._of_screen(np.asarray(camera.center, dtype=float)[-2:])
        (y0, x0), (y1, x1) = ((centre + sign * half) / _unit(slide) + HALF_PIXEL for sign in (-1, 1))
        return ViewBox(y0=float(y0), y1=float(y1), x0=float(x0), x1=float(x1))

    def look_at(self, slide: "Slide", corner: tuple[float, float]) -> None:
        """Move a place, (y, x) level-0 corner coordinates, into the middle."""
        world = (np.asarray(corner, dtype=float) - HALF_PIXEL) * _unit(slide)
        camera = self._viewer.scene.camera
        camera.center = (*camera.center[:-2], *(float(value) for value in self._of_screen(world)))

    def fit(self, slide: "Slide") -> None:
        """Show the whole slide."""
        frame = Frame.of_slide(slide)
        extent = self._of_screen(np.array(frame.shape) * _unit(slide))
        canvas = np.asarray(self._viewer.canvas.size, dtype=float)
        self.look_at(slide, (frame.shape[0] / 2, frame.shape[1] / 2))
        self._viewer.scene.camera.zoom = float((canvas * (1 - MARGIN) / extent).min())

    def pan(self, down: float, right: float) -> None:
        """Move over the slide by shares of the canvas, in directions of the screen."""
        camera = self._viewer.scene.camera
        signs = np.array([1 if camera.orientation2d[0] == DOWN else -1, 1 if camera.orientation2d[1] == RIGHT else -1])
        by = np.array([down, right]) * np.asarray(self._viewer.canvas.size, dtype=float) / camera.zoom * signs
        vertical, horizontal = np.asarray(camera.center[-2:], dtype=float) + by
        camera.center = (*camera.center[:-2], float(vertical), float(horizontal))

    def magnify(self, factor: float) -> None:
        """Zoom in (above 1) or out about the middle."""
        self._viewer.scene.camera.zoom = float(self._viewer.scene.camera.zoom * factor)

    # --- orientation ------------------------------------------------------------------------------------------------

    @property
    def exchanged(self) -> bool:
        """True while the slide's rows run across the screen."""
        vertical, horizontal = self._viewer.dims.displayed[-2:]
        return bool(vertical > horizontal)

    def turn(self) -> None:
        """Turn the slide clockwise by a quarter; its middle of the view stays."""
        camera = self._viewer.scene.camera
        down, right = camera.orientation2d
        self._exchange()
        # What was to the right lies below now, what was above lies to the right.
        camera.orientation2d = (DOWN if right == RIGHT else UP, LEFT if down == DOWN else RIGHT)

    def flip(self) -> None:
        """Mirror the view, left and right exchanged."""
        down, right = self._viewer.scene.camera.orientation2d
        self._viewer.scene.camera.orientation2d = (down, LEFT if right == RIGHT else RIGHT)

    def upright(self) -> None:
        """Show the slide as its file has it."""
        if self.exchanged:
            self._exchange()
        self._viewer.scene.camera.orientation2d = (DOWN, RIGHT)

    def orient_as(self, other: "Viewpoint") -> None:
        """Turn and mirror the view as another one is."""
        if self.exchanged != other.exchanged:
            self._exchange()
        orientation = other._viewer.scene.camera.orientation2d
        if self._viewer.scene.camera.orientation2d != orientation:
            self._viewer.scene.camera.orientation2d = orientation

    # --- in the world -----------------------------------------------------------------------------------------------

    @property
    def world_centre(self) -> tuple[float, float]:
        """The middle of the view, (y, x) in the unit of the world, whatever the orientation."""
        y, x = self._of_screen(np.asarray(self._viewer.scene.camera.center, dtype=float)[-2:])
        return float(y), float(x)

    def set_world(self, centre: tuple[float, float], zoom: float) -> None:
        """Look at a place of the world, (y, x), with so many pixels of the screen per unit; no nearer than one sees."""
        camera = self._viewer.scene.camera
        moved = max(abs(new - old) for new, old in zip(centre, self.world_centre, strict=True)) * zoom
        if not math.isclose(camera.zoom, zoom, rel_tol=UNSEEN):
            camera.zoom = float(zoom)
        if moved > UNSEEN:
            vertical, horizontal = self._of_screen(np.asarray(centre, dtype=float))
            camera.center = (*camera.center[:-2], float(vertical), float(horizontal))

    def _exchange(self) -> None:
        """Exchange the axes; napari fits its view when they change, so centre and zoom are put back."""
        camera, dims = self._viewer.scene.camera, self._viewer.dims
        centre, zoom, order = camera.center, camera.zoom, tuple(dims.order)
        dims.order = (*order[:-2], order[-1], order[-2])
        camera.center = (*centre[:-2], centre[-1], centre[-2])
        camera.zoom = zoom

    def _of_screen(self, pair: Any) -> Any:  # noqa: ANN401 - a pair of numbers as an array
        """Exchange (down, right) and (y, x) while the axes are exchanged."""
        return pair[::-1] if self.exchanged else pair


def _unit(slide: "Slide") -> Any:  # noqa: ANN401 - an array of two
    return np.asarray(slide.um_per_px or (1.0, 1.0), dtype=float)
