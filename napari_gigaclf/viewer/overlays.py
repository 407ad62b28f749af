"""What lies over a slide and when it changes: the map that fills in, saliency, tissue, the fields that were clicked."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari_gigaclf.models.map_scale import MapScale
from napari_gigaclf.viewer.canvas import SlideCanvas
from napari_gigaclf.viewer.colour_bars import colour_bars_of
from napari_gigaclf.viewer.constant_width import OUTLINE_WIDTH, width_on
from napari_gigaclf.viewer.layers import (
    FILE,
    Frame,
    field_layer,
    probability_layer,
    probability_name,
)
from napari_gigaclf.viewer.viewpoint import Viewpoint

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide
    from napari_gigaclf.viewer.controllers.mapping import LiveMap
    from napari_gigaclf.viewer.controllers.probe import ProbeRow
    from napari_gigaclf.viewer.layers import LayerData


class Overlays:
    """Puts overlays on a canvas; all methods belong to the GUI thread."""

    def __init__(self, canvas: SlideCanvas) -> None:
        self._canvas = canvas

    def show_on_top(self, slide_id: str) -> None:
        """Lay a slide over the others, if it is not on top already."""
        layer = self._canvas.layer_of(slide_id)
        top = Viewpoint(self._canvas.viewer).slide()
        if layer is not None and (top is None or top.id != slide_id):
            self._canvas.bring_forward(layer.metadata["slide"])

    def go_to(self, slide_id: str, corner: tuple[float, float]) -> None:
        """Look at a place of a slide, (y, x) level-0 corner coordinates, and lay the slide on top."""
        layer = self._canvas.layer_of(slide_id)
        if layer is not None:
            self.show_on_top(slide_id)
            self._canvas.look_at(layer.metadata["slide"], corner)

    def begin(self, slide: "Slide", live: "LiveMap", layers: "Sequence[LayerData]") -> None:
        """Show the empty map of a run that begins and what it looks at; the saliency of an earlier one goes."""
        self._canvas.remove(slide.id, "saliency")
        self._hide_mask(slide)
        self._put_map(slide, live, partial=False, prediction=None)
        for data in layers:
            self._canvas.put(slide.id, data)

    def refresh(self, slide: "Slide") -> None:
        """Redraw the map, whose array has changed; neither extent nor thumbnail (2 ms instead of 4)."""
        layer = self._canvas.overlay(slide.id, "probability")
        if layer is None:
            return
        if layer.metadata["prediction"] is None:  # while it runs: a range that no model says grows with the map
            scale = layer.metadata["scale"].over(layer.data)
            if (scale.low, scale.high) != tuple(layer.contrast_limits):
                _fit(layer, scale)
        layer.refresh(extent=False, thumbnail=False)

    def look(self, slide: "Slide", live: "LiveMap") -> None:
        """Redraw the map, of which another class or threshold is on show."""
        layer = self._canvas.overlay(slide.id, "probability")
        if layer is not None:
            layer.name = probability_name(live.class_name, partial=layer.metadata["partial"], scale=live.scale)
            layer.metadata["class_name"], layer.metadata["threshold"] = live.class_name, live.threshold
            self.refresh(slide)

    def finish(self, slide: "Slide", prediction: "Prediction", live: "LiveMap", layers: "Sequence[LayerData]") -> None:
        """Show everything a run found, complete or partial; ``layers`` go beside the map."""
        there = self._canvas.overlay(slide.id, "probability")
        if there is None or not _is_of(there, prediction):  # else it was on show before, and the mask as well
            self._hide_mask(slide)
        self._put_map(slide, live, partial=not prediction.complete, prediction=prediction)
        for data in layers:
            self._canvas.put(slide.id, data)

    def tissue(self, slide: "Slide", layers: "Sequence[LayerData]", painted: Callable[[Any], None]) -> None:
        """Show the tissue's outline, and the mask to be painted; for ``painted`` see ``watch_mask``."""
        old = self._canvas.overlay(slide.id, "mask")
        changed = old is not None and old.metadata.get("painted", False)
        for data in layers:
            self._canvas.put(slide.id, data)
        layer = self._canvas.overlay(slide.id, "mask")
        if layer is None:
            return
        layer.metadata["painted"] = changed
        layer.visible = True
        self.watch_mask(layer, painted)
        self._canvas.viewer.layers.selection.active = layer

    def watch_mask(self, layer: Any, painted: Callable[[Any], None]) -> None:  # noqa: ANN401 - a Labels layer
        """Let ``painted`` be called with napari's event after every stroke on a mask, and sometimes without one."""
        layer.selected_label = 1
        layer.events.paint.connect(painted)
        layer.events.labels_update.connect(painted)  # each movement of the brush
        layer.events.set_data.connect(painted)  # undoing, and whatever else draws the layer anew

    def why(self, slide: "Slide", data: "LayerData") -> None:
        """Show the gradient of a place, in place of the one before, with colours of its own."""
        _, kwargs, _ = data
        layer = self._canvas.put(slide.id, data)
        layer.colormap = kwargs["colormap"]
        layer.contrast_limits_range = kwargs["contrast_limits"]
        layer.contrast_limits = kwargs["contrast_limits"]
        layer.visible = True
        colour_bars_of(self._canvas.viewer).show(layer)

    def fields(self, slide: "Slide", rows: "Sequence[ProbeRow]") -> None:
        """Outline the fields and areas that were asked about, or none."""
        if not rows:
            self._canvas.remove(slide.id, "fields")
            return
        fields = [(row.number, row.answer.outline) for row in rows]
        layer = self._canvas.overlay(slide.id, "fields")
        if layer is None or len(layer.data) != len(fields) - 1:
            self._canvas.put(slide.id, field_layer(fields, Frame.of_slide(slide)))
            return
        data, kwargs, _ = field_layer(fields, Frame.of_slide(slide))
        width = width_on(self._canvas.viewer, layer, OUTLINE_WIDTH)
        layer.add_paths(data[-1:], edge_color=kwargs["edge_color"][-1:], edge_width=width)
        layer.features = kwargs["features"]

    def _hide_mask(self, slide: "Slide") -> None:
        """Hide the mask; the map, here or to come, is selected: letters would go on painting what one cannot see."""
        mask, selection = self._canvas.overlay(slide.id, "mask"), self._canvas.viewer.layers.selection
        if mask is None:
            return
        mask.visible = False
        if selection.active == mask:
            selection.active = self._canvas.overlay(slide.id, "probability")

    def _put_map(self, slide: "Slide", live: "LiveMap", *, partial: bool, prediction: "Prediction | None") -> None:
        data, kwargs, kind = probability_layer(
            live.shown, live.grid, Frame.of_slide(slide), class_name=live.class_name, partial=partial, scale=live.scale
        )
        kwargs["metadata"] |= {"prediction": prediction, "threshold": live.threshold}
        old = self._canvas.overlay(slide.id, "probability")
        on_show = old is not None and prediction is not None and _is_of(old, prediction)
        if on_show and old is not None and FILE in old.metadata:
            kwargs["metadata"][FILE] = old.metadata[FILE]
        layer = self._canvas.put(slide.id, (data, kwargs, kind))
        if not on_show:
            _fit(layer, live.scale)  # a result that was on show already keeps the contrast a person gave it
        colour_bars_of(self._canvas.viewer).show(layer)


def _is_of(layer: Any, prediction: "Prediction") -> bool:  # noqa: ANN401 - a napari layer
    """Return whether a map shows a result, perhaps read from another place."""
    before = layer.metadata.get("prediction")
    return before is not None and before.record is prediction.record


def _fit(layer: Any, scale: MapScale) -> None:  # noqa: ANN401 - a napari layer
    """Draw a map between the ends of a scale; napari keeps limits within a range of its own, which goes first."""
    layer.contrast_limits_range = (scale.low, scale.high)
    layer.contrast_limits = (scale.low, scale.high)
