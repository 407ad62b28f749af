"""Notices results: a run that has ended, a saved one that was opened, one that was closed.

A result lies in the metadata of its probability layer (``prediction``), whoever put it there. Metadata of a layer that
stays are given anew when a second run ends, which is watched as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_gigaclf.inference import Prediction
    from napari_gigaclf.slides import Slide

KIND = "probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result that lies over a slide."""

    slide_id: str
    prediction: "Prediction"
    class_name: str
    """The class on show."""
    slide: "Slide | None"
    """The slide, if it is open."""

    @property
    def name(self) -> str:
        """Name for a list."""
        slide = self.prediction.record.slide
        place = "" if slide.scene is None else f" [scene {slide.scene}]"
        return f"{slide.name}{place}: {self.prediction.record.model.name}"


class ResultWatch:
    """Calls back when the results in a viewer may have changed; all on the GUI thread.

    Parameters
    ----------
    viewer
        A napari viewer.
    changed
        Called then.
    """

    def __init__(self, viewer: Any, changed: Callable[[], None]) -> None:  # noqa: ANN401 - napari has no stubs
        self._viewer = viewer
        self._changed = changed
        self._watched: dict[Any, Any] = {}
        self._on_layers = lambda _event: self._layers_changed()
        self._on_metadata = lambda _event: self._changed()
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._watch_layers()

    def results(self) -> list[Result]:
        """Return the results there are, one per slide."""
        slides = {}
        for layer in self._viewer.layers:
            slide = layer.metadata.get("slide")
            if slide is not None:
                slides[str(slide.id)] = slide
        found: dict[str, Result] = {}
        for layer in self._viewer.layers:
            prediction = layer.metadata.get("prediction")
            if layer.metadata.get("kind") == KIND and prediction is not None:
                slide_id = str(layer.metadata["slide_id"])
                found[slide_id] = Result(
                    slide_id=slide_id,
                    prediction=prediction,
                    class_name=str(layer.metadata["class_name"]),
                    slide=slides.get(slide_id),
                )
        return list(found.values())

    def stop(self) -> None:
        """Watch no more."""
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        for layer in self._watched.values():
            layer.events.metadata.disconnect(self._on_metadata)
        self._watched = {}

    def _layers_changed(self) -> None:
        self._watch_layers()
        self._changed()

    def _watch_layers(self) -> None:
        there = {layer.unique_id: layer for layer in self._viewer.layers if layer.metadata.get("kind") == KIND}
        for name in set(self._watched) - set(there):
            self._watched.pop(name).events.metadata.disconnect(self._on_metadata)
        for name in set(there) - set(self._watched):
            there[name].events.metadata.connect(self._on_metadata)
            self._watched[name] = there[name]
