"""Takes a snapshot of napari's canvas once it is sharp: pixels, scale and the legends of the overlays that are seen."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.viewer.controllers.objective import Objective
from napari_gigaclf.viewer.progressive.shown_level import is_sharp
from napari_gigaclf.viewer.screen_colours import feed_of
from napari_gigaclf.viewer.snapshot import Legend, Snapshot
from napari_gigaclf.viewer.texts import RESEARCH_USE
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.slides import Slide

RAMP = 64
"""Colours of a legend."""
PROFILED = "Colours through the slide's ICC profile"
DARK, LIGHT = 20, 255
"""Grey values of a curtain's line."""
LEGEND_KINDS = ("probability", "saliency", "taught", "why")


def canvas_is_sharp(viewer: Any) -> bool:  # noqa: ANN401 - napari has no stubs
    """Return whether every layer one sees is drawn with its own pixels."""
    return all(is_sharp(layer) for layer in viewer.layers)


def take_snapshot(viewer: Any) -> Snapshot:  # noqa: ANN401 - napari has no stubs
    """Return what the canvas shows now, without napari's own scale bar and colour bars, which are drawn anew below."""
    hidden = [layer for layer in viewer.layers if getattr(getattr(layer, "colorbar", None), "visible", False)]
    bar = viewer.canvas.overlays.scale_bar
    bar_was_visible = bar.visible
    bar.visible = False
    for layer in hidden:
        layer.colorbar.visible = False
    try:
        pixels = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3]
    finally:
        bar.visible = bar_was_visible
        for layer in hidden:
            layer.colorbar.visible = True
    point = Viewpoint(viewer)
    slide = point.slide()
    pixels = np.array(pixels)
    curtain = _draw_curtain(viewer, pixels)
    dense = pixels.shape[1] / viewer.canvas.size[1]
    known = slide is not None and slide.um_per_px is not None
    return Snapshot(
        pixels=np.ascontiguousarray(pixels),
        um_per_px=1 / viewer.scene.camera.zoom / dense if known else None,
        caption=(*_caption(point, slide), *curtain),
        legends=tuple(_legend(layer) for layer in viewer.layers if _has_legend(layer)),
    )


def _caption(point: Viewpoint, slide: "Slide | None") -> tuple[str, ...]:
    if slide is None:
        return (RESEARCH_USE,)
    feed = feed_of(point.layer())
    colours = () if feed is None or feed.looks is None else (PROFILED,)
    return slide.name, Objective.of_slide(slide).text(point.zoom(slide)), *colours, RESEARCH_USE


def _draw_curtain(viewer: Any, pixels: NDArray[np.uint8]) -> tuple[str, ...]:  # noqa: ANN401 - napari has no stubs
    """Draw the line of a curtain that hangs, and return the line of text that says what is left and right of it."""
    from napari_gigaclf.viewer.widgets.curtain_line import curtain_line

    line = curtain_line(viewer)
    if line is None or not line.curtain.on:
        return ()
    edge = round(line.curtain.at * pixels.shape[1])
    pixels[:, max(0, edge - 1) : edge + 2] = DARK
    pixels[:, edge : edge + 1] = LIGHT
    return (f"Curtain, {line.curtain.caption(line.layers)}",)


def _has_legend(layer: Any) -> bool:  # noqa: ANN401 - a napari layer
    return bool(layer.visible and layer.metadata.get("kind") in LEGEND_KINDS)


def _legend(layer: Any) -> Legend:  # noqa: ANN401 - a napari layer
    low, high = layer.contrast_limits
    return Legend(title=layer.name, colours=_over_white(layer), low=f"{low:.3g}", high=f"{high:.3g}")


def _over_white(layer: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - a napari layer
    """Return a layer's colours, low to high, as they look over white."""
    colours = np.asarray(layer.colormap.map(np.linspace(0, 1, RAMP)), dtype=float)
    opacity = colours[:, 3:] * layer.opacity
    over = 255 * (colours[:, :3] * opacity + 1 - opacity)
    return np.asarray(over.round(), dtype=np.uint8)
