"""Takes how a slide is shown from napari, and shows it so again. Colours and camera only: no file is touched here.

What lies over a slide is found by its kind, whatever it is called; layers of the slide itself (channels) by name.
"""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from napari_gigaclf.viewer.canvas import BLINDFOLDED, SlideCanvas
from napari_gigaclf.viewer.layers import COVERED, RULER, LayerData
from napari_gigaclf.viewer.returning.label_colours import colormap_of, colours_of
from napari_gigaclf.viewer.returning.state import MAX_LAYERS, LayerLook, SeenView, finite
from napari_gigaclf.viewer.viewpoint import DOWN, RIGHT, Viewpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gigaclf.slides import Slide

SLIDE = "slide"
DRAWN = "drawn"
RETURNING = (SLIDE, "probability", "saliency", "tissue", "mask", "truth", "annotations", RULER, DRAWN)
"""Kinds whose looks return. The others belong to a tool that is open, which shows them anew."""
OPENED_WITH_IT = (SLIDE, "truth")
"""Kinds of layers that a reader returns together with the slide."""
DRAWN_ON = "drawn_on"
"""In the metadata of a layer with a person's shapes: the slide they were drawn on."""


def look_of(canvas: SlideCanvas, slide_id: str) -> tuple[LayerLook, ...]:
    """Return how the layers of a slide and those over it are shown."""
    looks = [_look(kind, layer) for kind, layer in _layers(canvas, slide_id)]
    return tuple(looks[:MAX_LAYERS])


def apply_looks(canvas: SlideCanvas, slide_id: str, looks: "Sequence[LayerLook]") -> None:
    """Show the layers of a slide that has just been opened as they were; what lies over it is given its look before."""
    for kind, layer in _layers(canvas, slide_id):
        look = _found(looks, kind, str(layer.name)) if kind in OPENED_WITH_IT else None
        if look is not None:
            _apply(look, layer)


def apply_order(canvas: SlideCanvas, slide_id: str, looks: "Sequence[LayerLook]") -> None:
    """Lay the layers of a slide over one another as they lay; those that are not known stay where they are."""
    ranked: list[tuple[int, Any]] = []
    for kind, layer in _layers(canvas, slide_id):
        look = _found(looks, kind, str(layer.name))
        if look is not None:
            ranked.append((looks.index(look), layer))
    layers = canvas.viewer.layers
    wanted = [layer for _, layer in sorted(ranked, key=lambda each: each[0])]
    for below, above in itertools.pairwise(wanted):
        if layers.index(above) < layers.index(below):
            layers.move(layers.index(above), layers.index(below) + 1)


def with_look(data: LayerData, looks: "Sequence[LayerLook]") -> LayerData:
    """Return a layer that will be added with the look it had; its own where none is known.

    It must not change its look afterwards: a reader who is to say first what they see (``blindfold``) has it hidden as
    soon as it is there.
    """
    array, kwargs, kind = data
    look = _found(looks, kwargs["metadata"].get("kind", DRAWN), kwargs["name"])
    if look is None:
        return data
    changed: dict[str, object] = {"visible": look.visible, "opacity": look.opacity}
    if kind == "image":
        changed |= {} if look.limits is None else {"contrast_limits": look.limits}
        changed |= {"colormap": look.colormap} if _is_known(look.colormap) else {}
    elif kind == "labels" and look.colours is not None:
        changed |= {"colormap": colormap_of(look.colours)}
    return array, {**kwargs, **changed}, kind


def view_of(canvas: SlideCanvas, slide: "Slide") -> SeenView | None:
    """Return where one looks; None if that is nowhere near a slide."""
    point = Viewpoint(canvas.viewer)
    vertical, horizontal = canvas.viewer.scene.camera.orientation2d
    centre, zoom = point.box(slide).centre, point.zoom(slide)
    if not finite(centre) or not zoom > 0:
        return None
    try:
        return SeenView(
            centre=centre,
            zoom=zoom,
            exchanged=point.exchanged,
            vertical="down" if vertical == DOWN else "up",
            horizontal="right" if horizontal == RIGHT else "left",
        )
    except ValueError:
        return None


def apply_view(canvas: SlideCanvas, slide: "Slide", view: SeenView) -> None:
    """Look where one looked; the middle of the view is put back onto the slide where it lay far outside."""
    point = Viewpoint(canvas.viewer)
    point.upright()
    if view.exchanged:
        point.turn()
    canvas.viewer.scene.camera.orientation2d = (view.vertical, view.horizontal)
    finest = slide.levels[0]
    y, x = (min(max(value, 0.0), float(side)) for value, side in zip(view.centre, finest.shape[:2], strict=True))
    point.set_zoom(slide, view.zoom)
    point.look_at(slide, (y, x))


def camera_of(canvas: SlideCanvas) -> tuple[float, ...]:
    """Return numbers that change whenever a person moves the view."""
    camera = canvas.viewer.scene.camera
    return (*(float(value) for value in camera.center), float(camera.zoom))


def _layers(canvas: SlideCanvas, slide_id: str) -> Iterator[tuple[str, Any]]:
    """Yield the kind and the layer of everything that shows a slide or lies over it; of results the one on top."""
    result = canvas.overlay(slide_id, "probability")
    for layer in canvas.viewer.layers:
        metadata = layer.metadata
        slide = metadata.get("slide")
        kind = metadata.get("kind", DRAWN)
        if slide is not None and slide.id == slide_id:
            yield SLIDE, layer
        elif kind == "probability" and layer is not result:
            continue
        elif slide_id in (metadata.get("slide_id"), metadata.get(DRAWN_ON)) and kind in RETURNING:
            yield kind, layer


def _look(kind: str, layer: Any) -> LayerLook:  # noqa: ANN401 - a napari layer
    limits = colormap = colours = None
    if type(layer).__name__ == "Labels":
        colours = colours_of(layer)
    elif type(layer).__name__ == "Image" and not layer.rgb:
        low, high = (float(value) for value in layer.contrast_limits)
        limits = (low, high) if finite((low, high)) and low < high else None
        colormap = str(layer.colormap.name)
    return LayerLook(
        kind=kind,
        name=str(layer.name)[:1000],
        visible=bool(layer.visible or layer.metadata.get(BLINDFOLDED) or layer.metadata.get(COVERED)),
        opacity=float(layer.opacity),
        limits=limits,
        colormap=colormap,
        colours=colours,
    )


def _apply(look: LayerLook, layer: Any) -> None:  # noqa: ANN401 - a napari layer
    layer.visible, layer.opacity = look.visible, look.opacity
    if type(layer).__name__ != "Image" or layer.rgb:
        return
    if look.limits is not None:
        layer.contrast_limits = look.limits
    if _is_known(look.colormap):
        layer.colormap = look.colormap


def _found(looks: "Sequence[LayerLook]", kind: str, name: str) -> LayerLook | None:
    """Return the look of a layer: by kind, and where there may be several of it by name."""
    several = kind in (SLIDE, "annotations", DRAWN)
    return next((look for look in looks if look.kind == kind and (not several or look.name == name)), None)


def _is_known(colormap: str | None) -> bool:
    """Return whether napari knows colours of this name; those of our maps are never named in a file."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    return colormap is not None and colormap in AVAILABLE_COLORMAPS
