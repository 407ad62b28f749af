"""The one place that touches the viewer's layers: what is shown, where one looks, what is selected.

All methods belong to the GUI thread. Layers over a slide carry its id and what they are (``slide_id``, ``kind``) in
their metadata, so that they are found again whatever a person renames or reorders.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.errors import RegionError
from napari_gigaclf.geometry import Box, corner_to_napari_data, napari_data_to_corner
from napari_gigaclf.viewer.constant_width import keep_outlines_thin
from napari_gigaclf.viewer.finished_frames import finish_frames
from napari_gigaclf.viewer.layers import LayerData, belongs_to
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_gigaclf.viewer.shapes import DrawnShape

MICROMETRE = ("micrometer", "um", "µm")
BLINDFOLDED = "blindfolded"
"""In the metadata of a layer that is hidden only until its reader has said what they see (see ``blindfold``)."""

ORDER = (
    "probability", "saliency", "taught", "why", "tissue", "mask", "truth", "annotations", "fields", "hotspots",
    "suggestions", "examples",
)  # fmt: skip
"""Overlays from bottom to top."""


def _rank(layer: Any) -> int:  # noqa: ANN401
    """Return an overlay's place from the bottom; layers that are not ours lie above all."""
    kind = layer.metadata.get("kind")
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def layer_key(layer: Any) -> str:  # noqa: ANN401
    """Return what tells one slide from another in a list: the slide's id, or the layer where no slide is known yet."""
    slide = layer.metadata.get("slide")
    return str(slide.id) if slide is not None else f"layer {id(layer)}"


class SlideCanvas:
    """A napari viewer, seen as slides and what lies over them.

    Parameters
    ----------
    viewer
        A napari ``Viewer`` or ``ViewerModel``.
    """

    def __init__(self, viewer: Any) -> None:  # noqa: ANN401 - napari has no stubs
        self.viewer = viewer
        # Both here, since all of ours that changes a viewer's layers goes through this class.
        finish_frames(viewer)
        keep_outlines_thin(viewer)

    # --- slides -----------------------------------------------------------------------------------------------------

    def slide_layers(self) -> list[Any]:
        """Return one layer per slide: those our reader opened, and colour images opened otherwise."""
        found: dict[str, Any] = {}
        for layer in self.viewer.layers:
            plain = getattr(layer, "rgb", False) and "kind" not in layer.metadata
            if layer.metadata.get("slide") is not None or plain:
                found.setdefault(layer_key(layer), layer)
        return list(found.values())

    def layer_of(self, slide_id: str) -> Any | None:  # noqa: ANN401
        """Return a layer that shows the slide itself, or None if it was closed."""
        for layer in self.viewer.layers:
            slide = layer.metadata.get("slide")
            if slide is not None and slide.id == slide_id:
                return layer
        return None

    def loaded_results(self) -> list[Any]:
        """Return the probability layers that bring a whole result with them."""
        return [layer for layer in self.viewer.layers if layer.metadata.get("prediction") is not None]

    def painted_masks(self) -> list[Any]:
        """Return the tissue masks that a person has painted on."""
        return [each for each in self.viewer.layers if each.metadata.get("painted") and "slide_id" in each.metadata]

    def add_slide(self, layers: Sequence[LayerData]) -> None:
        """Show a slide that has just been opened, as napari would show what its reader returns."""
        for data, kwargs, layer_type in layers:
            getattr(self.viewer, f"add_{layer_type}")(data, **kwargs)

    def close_slide(self, slide_id: str) -> None:
        """Take a slide away, after all that lies over it; shapes that were drawn on it go as well."""
        ours = (each for each in self.viewer.layers if belongs_to(each.metadata, slide_id))
        self.remove_layers(sorted(ours, key=lambda each: each.metadata.get("slide") is None))

    def bring_forward(self, slide: Any) -> None:  # noqa: ANN401
        """Lay a slide and its overlays over the other slides, under what a person drew, and make sure one sees it."""
        layers, ours, others = list(self.viewer.layers), [], []
        for index, layer in enumerate(layers):
            shown, over = layer.metadata.get("slide"), layer.metadata.get("slide_id")
            if slide.id in (over, None if shown is None else shown.id):
                ours.append(index)
            elif shown is not None or over is not None:
                others.append(index)
        self.viewer.layers.move_multiple(ours, max(others, default=-1) + 1)
        for index in ours:
            if layers[index].metadata.get("slide") is not None:
                layers[index].visible = True
        try:
            self.view_box(slide)
        except RegionError:  # another scene may be smaller than the place one looks at
            self.look_at(slide, (slide.levels[0].height / 2, slide.levels[0].width / 2))

    def adopt(self, layer: Any, slide: Any) -> None:  # noqa: ANN401
        """Remember the slide which a layer shows."""
        layer.metadata["slide"] = slide

    def show_scale_bar(self) -> None:
        """Switch the scale bar on, in the unit of the layers."""
        self.viewer.canvas.overlays.scale_bar.visible = True

    # --- overlays ---------------------------------------------------------------------------------------------------

    def overlays(self, slide_id: str, kind: str | None = None) -> Iterator[Any]:
        """Yield the overlays of a slide, of one kind or of all."""
        for layer in list(self.viewer.layers):
            metadata = layer.metadata
            if metadata.get("slide_id") == slide_id and kind in (None, metadata.get("kind")):
                yield layer

    def overlay(self, slide_id: str, kind: str) -> Any | None:  # noqa: ANN401
        """Return the overlay of one kind, or None; of several (two results, say) the one on top."""
        return next(iter([*self.overlays(slide_id, kind)][::-1]), None)

    def put_under(self, layer: Any, other: Any) -> None:  # noqa: ANN401 - napari layers
        """Lay a layer right under another, if it does not lie under it already."""
        layers = self.viewer.layers
        if layers.index(layer) > layers.index(other):
            layers.move(layers.index(layer), layers.index(other))

    def put(self, slide_id: str, data: LayerData) -> Any:  # noqa: ANN401 - a napari layer
        """Show an overlay of a slide in place of the one of its kind, if any; the selected layer stays selected.

        An image that is there already takes the new pixels, and one of the same ``source`` is left as it is: taking a
        layer out of napari costs 0.15 s, which a person who pressed Cancel would feel.
        """
        array, kwargs, layer_type = data
        metadata = {**kwargs["metadata"], "slide_id": slide_id}
        old = self.overlay(slide_id, metadata["kind"])
        if old is not None and metadata.get("source") is not None and old.metadata.get("source") is metadata["source"]:
            return old
        if old is not None and layer_type == "image" and not kwargs["rgb"]:
            _take_over(old, array, {**kwargs, "metadata": metadata})
            return old
        visible = kwargs.get("visible", True)
        selected = self.viewer.layers.selection.active
        if old is not None:
            visible = old.visible
            if selected == old:
                selected = None
            self.viewer.layers.remove(old)
        add = getattr(self.viewer, f"add_{layer_type}")
        layer = add(array, **{**kwargs, "metadata": metadata, "visible": visible})
        self._put_in_order(layer)
        if selected is not None and selected in self.viewer.layers:
            self.viewer.layers.selection.active = selected
        return layer

    def _put_in_order(self, layer: Any) -> None:  # noqa: ANN401
        """Move an overlay down to its place: above its slide and what belongs below it, under everything else.

        Another slide that lies over its own one covers it.
        """
        layers = self.viewer.layers
        rank = ORDER.index(layer.metadata["kind"])
        slides = [(index, slide.id) for index, each in enumerate(layers) if (slide := each.metadata.get("slide"))]
        own = max((index for index, slide_id in slides if slide_id == layer.metadata["slide_id"]), default=len(layers))
        cover = min((index for index, _ in slides if index > own), default=len(layers))
        below = [
            index
            for index, other in enumerate(layers)
            if other is not layer and index < cover and (_rank(other) < rank or other.metadata.get("slide") is not None)
        ]
        layers.move(layers.index(layer), max(below, default=-1) + 1)

    def remove(self, slide_id: str, kind: str | None = None) -> None:
        """Take the overlays of one kind, or all, away."""
        self.remove_layers(list(self.overlays(slide_id, kind)))

    def remove_layers(self, layers: list[Any]) -> None:
        """Take layers away together, the last first: napari tidies up once, a third of a second, not after each.

        The list is empty afterwards.
        """
        with self.viewer.layers.batched_update() if layers else nullcontext():
            while layers:  # nobody holds one any more when napari tidies up
                self.viewer.layers.remove(layers.pop())

    # --- where one looks and what is drawn --------------------------------------------------------------------------

    def view_box(self, slide: Any) -> Box:  # noqa: ANN401
        """Return what is visible of a slide, level-0 pixels.

        Raises
        ------
        RegionError
            The slide lies outside the window.
        """
        seen = Viewpoint(self.viewer).box(slide)
        finest = slide.levels[0]
        box = Box(math.floor(seen.y0), math.ceil(seen.y1), math.floor(seen.x0), math.ceil(seen.x1))
        box = box.intersection(Box(0, finest.height, 0, finest.width))
        if box.empty:
            raise RegionError("the slide lies outside the view: move it into the window, or choose another region")
        return box

    def to_corner(self, slide: Any, world: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
        """Turn world points (N, 2) into level-0 corner coordinates (y, x)."""
        unit = np.asarray(slide.um_per_px or (1.0, 1.0))
        return napari_data_to_corner(np.asarray(world, dtype=float)[:, -2:] / unit)

    def to_data(self, corner: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn level-0 corner coordinates into napari data coordinates of a layer that lies as level 0 does."""
        return corner_to_napari_data(corner)

    def drawn_classes(self, slide: Any) -> dict[str, int]:  # noqa: ANN401 - a Slide or None
        """Return how many shapes of each class are drawn on a slide, by class name; those without one under ""."""
        found: dict[str, int] = {}
        for layer in [] if slide is None else self._layers_drawn_on(slide):
            classes = layer.features.get("class")
            for index in range(len(layer.data)):
                name = "" if classes is None else _text(classes.iloc[index])
                found[name] = found.get(name, 0) + 1
        return found

    def drawn(self, slide: Any, *, selected_only: bool) -> "list[DrawnShape]":  # noqa: ANN401
        """Return what a person drew: the selected shapes, or those of every Shapes layer that lies on the slide."""
        shapes: list[DrawnShape] = []
        for layer in self._layer_with_selection() if selected_only else self._layers_drawn_on(slide):
            shapes += self.shapes_of(layer, slide, sorted(layer.selected_data) if selected_only else None)
        return shapes

    def shapes_of(self, layer: Any, slide: Any, indices: Sequence[int] | None = None) -> "list[DrawnShape]":  # noqa: ANN401
        """Return shapes of a layer in the pixels of a slide; all without ``indices``."""
        from napari_gigaclf.viewer.shapes import DrawnShape

        data, kinds, colours = layer.data, layer.shape_type, layer.edge_color
        classes = layer.features.get("class")
        return [
            DrawnShape(
                vertices=self.to_data(
                    self.to_corner(slide, self._layer_to_world(layer, np.asarray(data[index], dtype=float)))
                ),
                kind=str(kinds[index]),
                colour=tuple(float(value) for value in colours[index]),
                class_name="" if classes is None else _text(classes.iloc[index]),
            )
            for index in (range(len(data)) if indices is None else indices)
        ]

    def selected_area(self, slide: Any) -> "BaseGeometry":  # noqa: ANN401
        """Return the area of the selected shapes, (x, y) level-0 corner coordinates.

        Raises
        ------
        RegionError
            Nothing is selected, or what is selected has no area.
        """
        shapes = self.drawn(slide, selected_only=True)
        if not shapes:
            raise RegionError("no shape is selected: draw one in a Shapes layer and select it")
        from napari_gigaclf.viewer.shapes import area_of

        return area_of(shapes)

    def class_area(self, slide: Any, class_name: str) -> "BaseGeometry":  # noqa: ANN401
        """Return the area of all shapes of a class together, (x, y) level-0 corner coordinates; lines have none.

        Raises
        ------
        RegionError
            No shape of the class has an area.
        """
        shapes = [shape for shape in self.drawn(slide, selected_only=False) if shape.class_name == class_name]
        areas = [shape for shape in shapes if shape.kind != "line"]
        if not areas:
            raise RegionError(f"no drawn area is of the class {class_name!r}")
        from napari_gigaclf.viewer.shapes import area_of

        return area_of(areas)

    def look_at(self, slide: Any, corner: tuple[float, float]) -> None:  # noqa: ANN401
        """Move the view to a place, (y, x) level-0 corner coordinates."""
        Viewpoint(self.viewer).look_at(slide, corner)

    def arrays_of(self, layer: Any) -> tuple[list[Any], tuple[float, float] | None]:  # noqa: ANN401
        """Return the levels of an ordinary image layer and its micrometres per pixel, if it says so."""
        levels = list(layer.data) if layer.multiscale else [layer.data]
        in_um = all(str(unit) in MICROMETRE for unit in layer.units[-2:])
        scale = tuple(float(value) for value in layer.scale[-2:])
        return levels, (scale[0], scale[1]) if in_um else None

    def watch(self, inserted: Callable[[], None], removed: Callable[[Any], None]) -> Callable[[], None]:
        """Call back when layers come and go (with the layer that went); returns what ends this."""

        def on_inserted(_event: Any) -> None:  # noqa: ANN401
            inserted()

        def on_removed(event: Any) -> None:  # noqa: ANN401
            removed(event.value)

        events = self.viewer.layers.events
        events.inserted.connect(on_inserted)
        events.removed.connect(on_removed)

        def stop() -> None:
            events.inserted.disconnect(on_inserted)
            events.removed.disconnect(on_removed)

        return stop

    def watch_view(self, moved: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever the view moves or zooms; returns what ends this."""

        def on_moved(_event: Any) -> None:  # noqa: ANN401
            moved()

        events = self.viewer.scene.camera.events
        events.center.connect(on_moved)
        events.zoom.connect(on_moved)

        def stop() -> None:
            events.center.disconnect(on_moved)
            events.zoom.disconnect(on_moved)

        return stop

    def _shape_layers(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if type(layer).__name__ == "Shapes"]

    def _layer_with_selection(self) -> list[Any]:
        """Return the one layer whose selected shapes are meant, if any are selected."""
        active = self.viewer.layers.selection.active
        with_selection = [layer for layer in self._shape_layers() if layer.selected_data]
        return [active] if active in with_selection else with_selection[:1]

    def _layers_drawn_on(self, slide: Any) -> list[Any]:  # noqa: ANN401
        """Return a person's shapes on a slide, and those of which nobody knows on which slide they were drawn."""
        drawn = [layer for layer in self._shape_layers() if layer.metadata.get("kind") in (None, "annotations")]
        return [layer for layer in drawn if layer.metadata.get("drawn_on") in (None, slide.id)]

    def _layer_to_world(self, layer: Any, vertices: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
        scale, translate = np.asarray(layer.scale)[-2:], np.asarray(layer.translate)[-2:]
        return np.asarray(vertices[:, -2:] * scale + translate)


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)


def _take_over(layer: Any, array: NDArray[Any], kwargs: dict[str, Any]) -> None:  # noqa: ANN401
    """Give an image layer other pixels at another place; contrast, colours and opacity stay as a person left them."""
    if layer.data is not array:
        layer.data = array
    if tuple(layer.scale) != tuple(kwargs["scale"]) or tuple(layer.translate) != tuple(kwargs["translate"]):
        layer.scale, layer.translate = kwargs["scale"], kwargs["translate"]
    layer.name = kwargs["name"]
    still = {BLINDFOLDED: True} if layer.metadata.get(BLINDFOLDED) else {}
    layer.metadata = {**kwargs["metadata"], **still}
    layer.refresh(extent=False)
