"""Lets a layer go when its slide goes, also one that a person takes away by hand while no widget looks."""

from typing import Any


def go_with_slide(layers: Any, layer: Any) -> None:  # noqa: ANN401 - napari's list of layers, and one of them
    """Take a layer away as soon as the last layer that shows its slide has been taken away.

    Parameters
    ----------
    layers
        The viewer's list of layers.
    layer
        One of them, with the ``slide_id`` of its slide in its metadata.
    """
    name, slide_id = layer.unique_id, layer.metadata["slide_id"]

    def removed(event: Any) -> None:  # noqa: ANN401 - napari's event
        if event.value.unique_id == name:
            layers.events.removed.disconnect(removed)
            return
        if not _shows(event.value, slide_id) or any(_shows(each, slide_id) for each in layers):
            return
        layers.events.removed.disconnect(removed)
        for each in [each for each in layers if each.unique_id == name]:
            layers.remove(each)

    layers.events.removed.connect(removed)


def _shows(layer: Any, slide_id: str) -> bool:  # noqa: ANN401 - a napari layer
    slide = layer.metadata.get("slide")
    return slide is not None and slide.id == slide_id
